"""Withdrawals on their way to the chain and back: a settlement step, and what follows from the chain's events.

A request that was relayed by someone else than this market is an exit all the same: it holds back escrow, and is paid
out when it is due, without being a withdrawal here.
"""

from sqlalchemy import Connection, Engine

from market import withdrawal_store
from market.withdrawal_store import Exit, Withdrawal
from market.withdrawals import reference_of
from settlement import acts, outbox
from settlement.chain import ChainEvent
from settlement.keccak import keccak

EXIT_WITHOUT_OPERATOR_S = 14 * 86_400
"""As in ``Clearing``: so long after the last cycle an exit needs none."""

TRY_AGAIN_S = 3_600


def withdraw_due(database: Engine, now_s: int) -> bool:
    """Send what was asked for and what is due; take back what a contract refused. Whether there was anything."""
    with database.begin() as connection:
        return any([_send_requests(connection), _take_back(connection, now_s), _send_exits(connection, now_s)])


def _send_requests(connection: Connection) -> bool:
    waiting = withdrawal_store.unsent(connection)
    for each in waiting:
        call = acts.request_exit(
            each.member_id, each.amount_micro, each.signature, nonce=each.nonce, deadline_s=each.deadline_s
        )
        withdrawal_store.change(connection, each.withdrawal, "requested", outbox_id=outbox.put(connection, call))
    return bool(waiting)


def _take_back(connection: Connection, now_s: int) -> bool:
    """A refused request ends; after a refused burn the member may sign again."""
    requests, burns = (withdrawal_store.reverted(connection, state) for state in ("requested", "confirmed"))
    for number, refusal in requests:
        withdrawal_store.change(connection, number, "requested", state="refused", refusal=refusal, changed_s=now_s)
    for number, refusal in burns:
        withdrawal_store.change(
            connection,
            number,
            "confirmed",
            state="free",
            refusal=refusal,
            changed_s=now_s,
            payout_nonce=None,
            payout_deadline_s=None,
            payout_signature=None,
            bank_reference=None,
        )
    return bool(requests or burns)


def _send_exits(connection: Connection, now_s: int) -> bool:
    until_s, applied_s = withdrawal_store.applied(connection)
    is_idle = now_s >= applied_s + EXIT_WITHOUT_OPERATOR_S
    idle_from_s = now_s - EXIT_WITHOUT_OPERATOR_S if is_idle else -1
    due = withdrawal_store.exits_to_try(connection, until_s, idle_from_s, now_s - TRY_AGAIN_S)
    for member_id in due:
        outbox_id = outbox.put(connection, acts.exit_escrow(member_id))
        withdrawal_store.sent_exit(connection, member_id, outbox_id, now_s)
    return bool(due)


# -------------------------------------------------------------------------------------- from the chain


def follow(connection: Connection, events: list[ChainEvent], chain_id: int) -> None:
    """Carry out what the chain says of exits and burns. In the transaction that keeps the events."""
    for event in events:
        if (event.contract, event.event) == ("Clearing", "ExitRequested"):
            _requested(connection, event, withdrawal_store.exit_of(event))
        elif (event.contract, event.event) == ("Clearing", "Exited"):
            _exited(connection, event)
        elif (event.contract, event.event) == ("Cash", "Burned"):
            _burned(connection, event, chain_id)


def _requested(connection: Connection, event: ChainEvent, new: Exit) -> None:
    withdrawal_store.put_exit(connection, new)
    for earlier in withdrawal_store.in_states(connection, new.member_id, "waiting"):
        _to(connection, earlier, "replaced", event)
    number = withdrawal_store.of_transaction(connection, event.transaction_hash)
    if number is not None:
        withdrawal_store.change(connection, number, "requested", state="waiting", changed_s=event.block_s)


def _exited(connection: Connection, event: ChainEvent) -> None:
    member_id, amount_micro = int(event.arguments["member"]), int(event.arguments["amount"])
    withdrawal_store.drop_exit(connection, member_id)
    for each in withdrawal_store.in_states(connection, member_id, "waiting"):
        if amount_micro:
            _to(connection, each, "free", event, payable_micro=amount_micro)
        else:
            _to(connection, each, "refused", event, refusal="nothing was left in escrow")


def _burned(connection: Connection, event: ChainEvent, chain_id: int) -> None:
    member_id, reference = int(event.arguments["member"]), event.arguments["reference"]
    for each in withdrawal_store.in_states(connection, member_id, "free", "signed", "confirmed"):
        if keccak(reference_of(chain_id, each.withdrawal).encode()) == reference:
            _to(connection, each, "paid", event)


def _to(connection: Connection, each: Withdrawal, state: str, event: ChainEvent, **values: object) -> None:
    moved = withdrawal_store.change(
        connection, each.withdrawal, each.state, state=state, changed_s=event.block_s, **values
    )
    assert moved


# ------------------------------------------------------------------- when the chain gives up what it said


def unroll(connection: Connection, lost: list[ChainEvent], left: list[ChainEvent], chain_id: int) -> None:
    """Undo what followed from ``lost`` events, newest first; ``left`` are those that the chain still has.

    What members and custodian have signed meanwhile stays: the same transactions are on their way again.
    """
    for event in reversed(lost):
        if (event.contract, event.event) == ("Cash", "Burned"):
            member_id, reference = int(event.arguments["member"]), event.arguments["reference"]
            for each in withdrawal_store.in_states(connection, member_id, "paid"):
                if keccak(reference_of(chain_id, each.withdrawal).encode()) == reference:
                    _to(connection, each, "confirmed", event)
        elif (event.contract, event.event) == ("Clearing", "Exited"):
            for each in withdrawal_store.in_states(connection, int(event.arguments["member"]), "free"):
                if each.source == "escrow" and each.payable_micro == event.arguments["amount"]:
                    _to(connection, each, "waiting", event, payable_micro=None)
        elif (event.contract, event.event) == ("Clearing", "ExitRequested"):
            _unrequested(connection, event)
    for member_id in {int(event.arguments["member"]) for event in lost if event.event in _EXITS}:
        _exit_as_left(connection, member_id, left)


_EXITS = ("ExitRequested", "Exited")


def _unrequested(connection: Connection, event: ChainEvent) -> None:
    number = withdrawal_store.of_transaction(connection, event.transaction_hash)
    if number is not None:
        withdrawal_store.change(connection, number, "waiting", state="requested", changed_s=event.block_s)
    for each in withdrawal_store.in_states(connection, int(event.arguments["member"]), "replaced"):
        if each.changed_s == event.block_s and each.withdrawal != number:
            _to(connection, each, "waiting", event)


def _exit_as_left(connection: Connection, member_id: int, left: list[ChainEvent]) -> None:
    """The exit that the events which are left have put there, to be tried anew."""
    own = [each for each in left if each.event in _EXITS and each.arguments.get("member") == member_id]
    withdrawal_store.drop_exit(connection, member_id)
    if own and own[-1].event == "ExitRequested":
        withdrawal_store.put_exit(connection, withdrawal_store.exit_of(own[-1]))
