"""The chain's events, kept in the database, and what follows from them there: balances and the state of cycles.

Cash is owned by the chain; the table ``cash`` mirrors it event by event and can be rebuilt from ``chain_events``.
Pulling twice changes nothing; a pull is one transaction, so that a crash leaves no block half mirrored.
"""

from collections.abc import Callable, Iterable

from sqlalchemy import Connection

from settlement import cycle_store, store
from settlement.acts import FUND
from settlement.chain import Chain, ChainEvent
from settlement.store import Balance

CONTRACT_ACCOUNTS_FROM = 2**63
"""The account of a contract in ``Cash`` is its address as a number; members' ids are below."""


def pull(connection: Connection, chain: Chain) -> list[ChainEvent]:
    """Mirror what happened on the chain since the last pull; returns the new events, in order.

    Raises ChainUnavailableError. Whoever mirrors more (finance: ``Receivables``) does so with the returned events, in
    the same transaction.
    """
    events = chain.events(store.last_mirrored_block(connection) + 1)
    follow(connection, events)
    return events


def follow(connection: Connection, events: list[ChainEvent]) -> None:
    """Keep these new events, and carry them out on balances and cycles."""
    store.add_chain_events(connection, events)
    balances = store.balances(connection)
    changed = apply_to(balances, events)
    store.put_balances(connection, {member: balances[member] for member in changed})
    for event in events:
        number = event.arguments.get("cycle")
        if event.event == "Proposed" and isinstance(number, int):
            until_s = event.arguments["disputable_until_s"]
            cycle_store.set_cycle(connection, number, state="proposed", disputable_until_s=until_s)
        elif event.event == "CycleApplied" and isinstance(number, int):
            cycle_store.set_cycle(connection, number, state="applied")


def apply_to(balances: dict[int, Balance], events: Iterable[ChainEvent]) -> set[int]:
    """Carry out events on balances by member (member 0 is the guarantee fund); returns whose balances were named.

    A credit is in the mirror as soon as its part is applied; on the chain it is spendable after the cycle's last part.
    """
    changed: set[int] = set()
    for event in events:
        handle = _HANDLERS.get((event.contract, event.event))
        if handle is None:
            continue
        for member, name, value in handle(event.arguments, balances):
            if member < CONTRACT_ACCOUNTS_FROM:
                balances.setdefault(member, new_balance())[name] = value
                changed.add(member)
    return changed


def new_balance() -> Balance:
    """The balances of a member of which the chain has said nothing yet."""
    return {"free_micro": 0, "escrow_micro": 0, "arrears_micro": 0}


Arguments = dict[str, int | bytes | bool]
Change = tuple[int, str, int]
"""(member, column, new value)"""


def _number(arguments: Arguments, name: str) -> int:
    value = arguments[name]
    assert isinstance(value, int)
    return value


def _escrow(balances: dict[int, Balance], member: int) -> int:
    return balances.get(member, new_balance())["escrow_micro"]


def _minted(arguments: Arguments, _: dict[int, Balance]) -> list[Change]:
    return [(_number(arguments, "member"), "free_micro", _number(arguments, "balance"))]


def _moved(arguments: Arguments, _: dict[int, Balance]) -> list[Change]:
    sides = ("source", "target")
    return [(_number(arguments, side), "free_micro", _number(arguments, f"{side}_balance")) for side in sides]


def _entered(arguments: Arguments, balances: dict[int, Balance]) -> list[Change]:
    """Counted up rather than copied: between a cycle's parts the event's escrow lacks a credit not yet spendable."""
    member, arrears_micro = _number(arguments, "member"), _number(arguments, "arrears")
    repaid_micro = balances.get(member, new_balance())["arrears_micro"] - arrears_micro
    escrow_micro = _escrow(balances, member) + _number(arguments, "amount") - repaid_micro
    if member == FUND:
        escrow_micro = _number(arguments, "escrow")
    return [(member, "escrow_micro", escrow_micro), (member, "arrears_micro", arrears_micro)]


def _exited(arguments: Arguments, balances: dict[int, Balance]) -> list[Change]:
    member = _number(arguments, "member")
    return [(member, "escrow_micro", _escrow(balances, member) - _number(arguments, "amount"))]


def _settled(arguments: Arguments, _: dict[int, Balance]) -> list[Change]:
    member = _number(arguments, "account")
    return [
        (member, "escrow_micro", _number(arguments, "escrow")),
        (member, "arrears_micro", _number(arguments, "arrears")),
    ]


def _fund_changed(arguments: Arguments, _: dict[int, Balance]) -> list[Change]:
    return [(FUND, "escrow_micro", _number(arguments, "escrow"))]


def _released(arguments: Arguments, balances: dict[int, Balance]) -> list[Change]:
    member = _number(arguments, "account")
    return [(member, "escrow_micro", _escrow(balances, member) + _number(arguments, "amount"))]


_HANDLERS: dict[tuple[str, str], Callable[[Arguments, dict[int, Balance]], list[Change]]] = {
    ("Cash", "Minted"): _minted,
    ("Cash", "Burned"): _minted,
    ("Cash", "Moved"): _moved,
    ("Clearing", "Entered"): _entered,
    ("Clearing", "Exited"): _exited,
    ("Clearing", "Settled"): _settled,
    ("Clearing", "FundChanged"): _fund_changed,
    ("Clearing", "Released"): _released,
}
