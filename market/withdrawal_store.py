"""SQL of withdrawals, and of exits as the chain has them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from data.tables import chain_events, cycles, exits, members, outbox, withdrawals
from settlement.chain import ChainEvent


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One withdrawal, column for column; ``withdrawals.py`` says what the states are."""

    withdrawal: int
    member_id: int
    source: str
    amount_micro: int
    nonce: int
    deadline_s: int
    signature: bytes
    requested_s: int
    state: str
    changed_s: int
    outbox_id: int | None = None
    payable_micro: int | None = None
    payout_nonce: int | None = None
    payout_deadline_s: int | None = None
    payout_signature: bytes | None = None
    bank_reference: str | None = None
    refusal: str | None = None


class Exit(NamedTuple):
    """What the chain lets out of a member's escrow once it is due."""

    member_id: int
    amount_micro: int
    requested_s: int
    horizon_s: int


_COLUMNS = [withdrawals.c[field.name] for field in fields(Withdrawal)]


def add(connection: Connection, new: Withdrawal) -> None:
    connection.execute(insert(withdrawals).values(**asdict(new)))


def change(connection: Connection, number: int, before: str, **values: Any) -> bool:
    """Change columns of a withdrawal that is in the state ``before``; whether it was."""
    in_state = update(withdrawals).where(withdrawals.c.withdrawal == number, withdrawals.c.state == before)
    return connection.execute(in_state.values(**values)).rowcount == 1


def find(connection: Connection, number: int) -> Withdrawal | None:
    row = connection.execute(select(*_COLUMNS).where(withdrawals.c.withdrawal == number)).one_or_none()
    return None if row is None else Withdrawal(*tuple(row))


def with_bank_reference(connection: Connection, reference: str) -> int | None:
    """The withdrawal that was paid under a reference of the bank."""
    return connection.scalar(select(withdrawals.c.withdrawal).where(withdrawals.c.bank_reference == reference))


def some(
    connection: Connection, *, member_id: int | None, state: str | None, after: int, limit: int
) -> list[Withdrawal]:
    """Withdrawals by number from the one after ``after`` on, of one member or of all."""
    asked = select(*_COLUMNS).where(withdrawals.c.withdrawal > after)
    if member_id is not None:
        asked = asked.where(withdrawals.c.member_id == member_id)
    if state is not None:
        asked = asked.where(withdrawals.c.state == state)
    rows = connection.execute(asked.order_by(withdrawals.c.withdrawal).limit(limit))
    return [Withdrawal(*tuple(row)) for row in rows]


def numbers(connection: Connection) -> dict[tuple[int, int], int]:
    """The number of each withdrawal, by member and nonce."""
    asked = select(withdrawals.c.member_id, withdrawals.c.nonce, withdrawals.c.withdrawal)
    return {(member_id, nonce): number for member_id, nonce, number in connection.execute(asked)}


def is_known(connection: Connection, member_id: int, nonce: int) -> bool:
    """Whether a member has a withdrawal with this nonce."""
    asked = select(withdrawals.c.withdrawal).filter_by(member_id=member_id, nonce=nonce)
    return connection.scalar(asked) is not None


def leaving(connection: Connection) -> tuple[dict[int, int], int]:
    """Escrow on its way out by member: asked for here and not yet on the chain, and what the chain has; last number."""
    found: dict[int, int] = {}
    here = select(withdrawals.c.member_id, withdrawals.c.amount_micro).where(withdrawals.c.state == "requested")
    there = select(exits.c.member_id, exits.c.amount_micro)
    for asked in (here, there):
        for member_id, amount_micro in connection.execute(asked):
            found[member_id] = found.get(member_id, 0) + amount_micro
    return found, connection.scalar(select(func.coalesce(func.max(withdrawals.c.withdrawal), 0))) or 0


def promised_micro(connection: Connection, member_id: int, states: Sequence[str]) -> int:
    """Free cash that a member's withdrawals in these states are about to take."""
    taken = func.coalesce(func.sum(func.coalesce(withdrawals.c.payable_micro, 0)), 0)
    asked = select(taken).where(withdrawals.c.member_id == member_id)
    return int(connection.scalar(asked.where(withdrawals.c.state.in_(states))) or 0)


# ------------------------------------------------------------------------------------- to and from the chain


def unsent(connection: Connection) -> list[Withdrawal]:
    """Requests that no call carries yet, by number."""
    asked = select(*_COLUMNS).where(withdrawals.c.state == "requested", withdrawals.c.outbox_id.is_(None))
    return [Withdrawal(*tuple(row)) for row in connection.execute(asked.order_by(withdrawals.c.withdrawal))]


def reverted(connection: Connection, state: str) -> list[tuple[int, str]]:
    """Number and refusal of the withdrawals in a state whose call a contract did not take."""
    asked = (
        select(withdrawals.c.withdrawal, outbox.c.refusal)
        .join(outbox, outbox.c.outbox_id == withdrawals.c.outbox_id)
        .where(withdrawals.c.state == state, outbox.c.state == "reverted")
    )
    return [(number, refusal or "reverted") for number, refusal in connection.execute(asked)]


def of_transaction(connection: Connection, transaction_hash: bytes) -> int | None:
    """The withdrawal whose call a transaction carried."""
    return connection.scalar(
        select(withdrawals.c.withdrawal)
        .join(outbox, outbox.c.outbox_id == withdrawals.c.outbox_id)
        .where(outbox.c.transaction_hash == transaction_hash)
    )


def in_states(connection: Connection, member_id: int, *states: str) -> list[Withdrawal]:
    asked = select(*_COLUMNS).where(withdrawals.c.member_id == member_id, withdrawals.c.state.in_(states))
    return [Withdrawal(*tuple(row)) for row in connection.execute(asked.order_by(withdrawals.c.withdrawal))]


def put_exit(connection: Connection, new: Exit) -> None:
    """A later request takes the place of an earlier one."""
    drop_exit(connection, new.member_id)
    connection.execute(insert(exits).values(**new._asdict()))


def drop_exit(connection: Connection, member_id: int) -> None:
    connection.execute(delete(exits).where(exits.c.member_id == member_id))


def exits_to_try(connection: Connection, due_s: int, idle_from_s: int, tried_before_s: int) -> Sequence[int]:
    """Members whose exit is due and not on its way.

    Due: its horizon is not after ``due_s``, or it was requested not after ``idle_from_s``. One that a contract did not
    take is tried again when that was before ``tried_before_s``. Frozen members wait.
    """
    asked = (
        select(exits.c.member_id)
        .join(members, members.c.member_id == exits.c.member_id)
        .outerjoin(outbox, outbox.c.outbox_id == exits.c.outbox_id)
        .where(members.c.frozen.is_(False))
        .where((exits.c.horizon_s <= due_s) | (exits.c.requested_s <= idle_from_s))
        .where(exits.c.outbox_id.is_(None) | ((outbox.c.state == "reverted") & (exits.c.tried_s < tried_before_s)))
    )
    return connection.scalars(asked.order_by(exits.c.member_id)).all()


def sent_exit(connection: Connection, member_id: int, outbox_id: int, now_s: int) -> None:
    connection.execute(update(exits).where(exits.c.member_id == member_id).values(outbox_id=outbox_id, tried_s=now_s))


def applied(connection: Connection) -> tuple[int, int]:
    """Up to when slots are settled, and when the chain last applied a cycle; 0 where never."""
    until_s = connection.scalar(select(func.max(cycles.c.end_s)).where(cycles.c.state == "applied"))
    at_s = connection.scalar(
        select(func.max(chain_events.c.block_s)).where(
            chain_events.c.contract == "Clearing", chain_events.c.event == "CycleApplied"
        )
    )
    return until_s or 0, at_s or 0


def exit_of(event: ChainEvent) -> Exit:
    """What ``ExitRequested`` says."""
    values = event.arguments
    return Exit(int(values["member"]), int(values["amount"]), event.block_s, int(values["horizon_s"]))
