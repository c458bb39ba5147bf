"""SQL of deposits: which bank references have been used, and for what, and whether the chain has taken them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from data.tables import deposits, outbox
from settlement.outbox import REVERTED


class Deposit(NamedTuple):
    """Money that reached the custodian under the bank's own reference."""

    reference: str
    member_id: int
    amount_micro: int
    to_escrow: bool


def known(connection: Connection, references: Sequence[str]) -> dict[str, Deposit]:
    """Those of the references that were used before."""
    columns = (deposits.c.reference, deposits.c.member_id, deposits.c.amount_micro, deposits.c.to_escrow)
    rows = connection.execute(select(*columns).where(deposits.c.reference.in_(references)))
    return {row.reference: Deposit(*row) for row in rows}


def add(connection: Connection, new: Sequence[Deposit], outbox_id: int) -> None:
    """Keep deposits and the outbox entry that mints them."""
    connection.execute(insert(deposits), [{**deposit._asdict(), "outbox_id": outbox_id} for deposit in new])


def forget_reverted(connection: Connection, references: Sequence[str]) -> None:
    """References whose minting the chain refused are not used: the money is there, and they may be sent again."""
    reverted = select(outbox.c.outbox_id).where(outbox.c.kind == "Cash.mint_many", outbox.c.state == REVERTED)
    connection.execute(delete(deposits).where(deposits.c.reference.in_(references), deposits.c.outbox_id.in_(reverted)))
