"""The outbox: calls on their way to the chain, written in the transaction that caused them.

A row goes ``waiting -> sent -> done | reverted``. ``writer.py`` takes the rows in order; before a call leaves, its
signed transaction is kept in the row, so that after a crash the very same one is sent again and nothing happens twice.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from data.tables import outbox
from settlement.chain import Call, Receipt
from settlement.keccak import keccak

WAITING, SENT, DONE, REVERTED = "waiting", "sent", "done", "reverted"


class Entry(NamedTuple):
    """A call that has not ended yet; ``raw`` is its signed transaction once it was made."""

    outbox_id: int
    call: Call
    raw: bytes | None


def put(connection: Connection, call: Call) -> int:
    """Queue a call; its outbox id. It will be sent after all that were queued before."""
    last = connection.execute(select(func.max(outbox.c.outbox_id))).scalar() or 0
    row = {"outbox_id": last + 1, "kind": call.kind, "call": call.data, "state": WAITING}
    connection.execute(insert(outbox), row)
    return int(last) + 1


def unfinished(connection: Connection, limit: int) -> list[Entry]:
    """The oldest calls that are neither done nor reverted, in order."""
    query = (
        select(outbox.c.outbox_id, outbox.c.kind, outbox.c.call, outbox.c.raw)
        .where(outbox.c.state.in_((WAITING, SENT)))
        .order_by(outbox.c.outbox_id)
        .limit(limit)
    )
    entries = []
    for outbox_id, kind, data, raw in connection.execute(query):
        contract, function = kind.split(".")
        entries.append(Entry(outbox_id, Call(contract, function, data), raw))
    return entries


def count_unfinished(connection: Connection) -> int:
    """How many calls are neither done nor reverted."""
    query = select(func.count()).select_from(outbox).where(outbox.c.state.in_((WAITING, SENT)))
    return connection.execute(query).scalar_one()


def keep_signed(connection: Connection, signed: Sequence[tuple[int, bytes]]) -> None:
    """Keep the raw transactions that are about to be sent, by outbox id."""
    statement = (
        update(outbox)
        .where(outbox.c.outbox_id == bindparam("id"))
        .values(state=SENT, raw=bindparam("signed"), transaction_hash=bindparam("hash"))
    )
    connection.execute(statement, [{"id": each, "signed": raw, "hash": keccak(raw)} for each, raw in signed])


def forget_signed(connection: Connection, outbox_ids: Iterable[int]) -> None:
    """Put calls back to waiting whose transactions can no longer be accepted: they will be signed anew."""
    statement = update(outbox).where(outbox.c.outbox_id == bindparam("id"))
    rows = [{"id": each} for each in outbox_ids]
    if rows:
        connection.execute(statement.values(state=WAITING, raw=None, transaction_hash=None), rows)


def finish(connection: Connection, receipts: Sequence[tuple[int, Receipt]]) -> None:
    """Record what became of calls, by outbox id."""
    statement = (
        update(outbox)
        .where(outbox.c.outbox_id == bindparam("id"))
        .values(
            state=bindparam("end"),
            block=bindparam("in_block"),
            gas=bindparam("gas_used"),
            refusal=bindparam("reason"),
        )
    )
    rows = [
        {
            "id": outbox_id,
            "end": DONE if receipt.succeeded else REVERTED,
            "in_block": receipt.block,
            "gas_used": receipt.gas,
            "reason": None if receipt.succeeded else receipt.refusal,
        }
        for outbox_id, receipt in receipts
    ]
    connection.execute(statement, rows)
