"""The chain's events, kept in the database, and what follows from them there: balances and the state of cycles.

Cash is owned by the chain; the table ``cash`` mirrors it event by event and can be rebuilt from ``chain_events``.
Pulling twice changes nothing; a pull is one transaction, so that a crash leaves no block half mirrored.
"""

from collections.abc import Callable, Iterable

from sqlalchemy import Connection

from settlement import cycle_store, dispute_mirror, store
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
            cycle_store.set_cycle(connection, number, disputable_until_s=event.arguments["disputable_until_s"])
            cycle_store.move_cycle(connection, number, "signed", "proposed")  # one whose parts were sent stays so
        elif event.event == "CycleApplied" and isinstance(number, int):
            cycle_store.set_cycle(connection, number, state="applied")
        else:
            dispute_mirror.follow(connection, event)


def apply_to(balances: dict[int, Balance], events: Iterable[ChainEvent]) -> set[int]:
    """Carry out events on balances by member (member 0 is the guarantee fund); returns whose balances were named.

    A credit is in the mirror as soon as its part is applied; on the chain it is spendable after the cycle's last part.
    """
    changed: set[int] = set()
    for event in events:
        handle = _HANDLERS.get((event.contract, event.event))
        if handle is None:
            continue
        for member, name, value in handle(event.arguments):
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


def _free(arguments: Arguments) -> list[Change]:
    return [(_number(arguments, "member"), "free_micro", _number(arguments, "balance"))]


def _moved(arguments: Arguments) -> list[Change]:
    sides = ("source", "target")
    return [(_number(arguments, side), "free_micro", _number(arguments, f"{side}_balance")) for side in sides]


def _escrow(account: str, *, arrears: bool = False) -> Callable[[Arguments], list[Change]]:
    """What an event says of the escrow of the account it names, and of its arrears."""
    columns = {"escrow_micro": "escrow"} | ({"arrears_micro": "arrears"} if arrears else {})

    def changes(arguments: Arguments) -> list[Change]:
        member = _number(arguments, account)
        return [(member, column, _number(arguments, name)) for column, name in columns.items()]

    return changes


def _fund_changed(arguments: Arguments) -> list[Change]:
    return [(FUND, "escrow_micro", _number(arguments, "escrow"))]


_HANDLERS: dict[tuple[str, str], Callable[[Arguments], list[Change]]] = {
    ("Cash", "Minted"): _free,
    ("Cash", "Burned"): _free,
    ("Cash", "Moved"): _moved,
    ("Clearing", "Entered"): _escrow("member", arrears=True),
    ("Clearing", "Exited"): _escrow("member"),
    ("Clearing", "Settled"): _escrow("account", arrears=True),
    ("Clearing", "FundChanged"): _fund_changed,
    ("Clearing", "Released"): _escrow("account"),
    ("Clearing", "BondLocked"): _escrow("account"),
    ("Clearing", "BondPaid"): _escrow("account", arrears=True),
}
