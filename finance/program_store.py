"""The queries about banks' programs and the rows of their price tables.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, exists, func, insert, or_, select, update

from data.tables import outbox, program_rows, programs
from settlement.sale_acts import PriceRow


def add(connection: Connection, program: dict[str, Any], rows: Sequence[PriceRow]) -> int:
    """Keep a drafted program with its table; returns its number."""
    number = (connection.scalar(select(func.max(programs.c.program))) or 0) + 1
    connection.execute(insert(programs), {"program": number, **program})
    written = [{"program": number, "place": place, **row._asdict()} for place, row in enumerate(rows, start=1)]
    if written:
        connection.execute(insert(program_rows), written)
    return number


def change(connection: Connection, number: int, **values: Any) -> None:
    """Change columns of a program."""
    connection.execute(update(programs).where(programs.c.program == number).values(**values))


def program(connection: Connection, number: int) -> Row[Any] | None:
    """One program, with state and refusal of its last act."""
    return connection.execute(_with_act().where(programs.c.program == number)).first()


def by_nonce(connection: Connection, bank: int, nonce: int) -> Row[Any] | None:
    """The program that a bank gave a nonce."""
    return connection.execute(_with_act().where(programs.c.bank == bank, programs.c.nonce == nonce)).first()


def by_digest(connection: Connection, digest: bytes) -> Row[Any] | None:
    """The program that the chain knows by a digest."""
    return connection.execute(_with_act().where(programs.c.digest == digest)).first()


def with_registration(connection: Connection, registration: bytes) -> Row[Any] | None:
    """The program that carries a registration."""
    return connection.execute(_with_act().where(programs.c.registration == registration)).first()


def _with_act() -> Select[Any]:
    act = (outbox.c.state.label("act_state"), outbox.c.refusal.label("act_refusal"), outbox.c.call.label("act_call"))
    return select(programs, *act).outerjoin(outbox, outbox.c.outbox_id == programs.c.act_outbox)


def rows_of(connection: Connection, number: int, *, after: int = 0, limit: int | None = None) -> list[PriceRow]:
    """A program's table, or the part of it after a place."""
    query = select(program_rows.c.debtor, program_rows.c.max_days, program_rows.c.rate_ppm)
    query = query.where(program_rows.c.program == number, program_rows.c.place > after).order_by(program_rows.c.place)
    return [PriceRow(*row) for row in connection.execute(query if limit is None else query.limit(limit))]


def rows_for(connection: Connection, number: int, debtor: int) -> list[PriceRow]:
    """What a program's table says of one debtor."""
    query = select(program_rows.c.debtor, program_rows.c.max_days, program_rows.c.rate_ppm)
    query = query.where(program_rows.c.program == number, program_rows.c.debtor == debtor)
    return [PriceRow(*row) for row in connection.execute(query.order_by(program_rows.c.place))]


def count_rows(connection: Connection, number: int) -> int:
    """How many rows a program's table has."""
    return connection.scalar(select(func.count()).where(program_rows.c.program == number)) or 0


def open_for(connection: Connection, debtor: int, now_s: int) -> Sequence[Row[Any]]:
    """The programs that can be drawn on for what a debtor owes."""
    speaks_of_it = exists().where(program_rows.c.program == programs.c.program, program_rows.c.debtor == debtor)
    query = _with_act().where(_is("open", now_s), speaks_of_it)
    return connection.execute(query.order_by(programs.c.program)).all()


def list_programs(
    connection: Connection, bank: int, *, state: str | None, now_s: int, after: int, limit: int
) -> Sequence[Row[Any]]:
    """A bank's own programs, by number: what it pays for whom is nobody else's."""
    query = _with_act().where(programs.c.bank == bank, programs.c.program > after)
    if state is not None:
        query = query.where(_is(state, now_s))
    return connection.execute(query.order_by(programs.c.program).limit(limit)).all()


def _is(state: str, now_s: int) -> ColumnElement[bool]:
    is_over = programs.c.expires_s < now_s
    if state == "expired":
        return is_over & (programs.c.state != "cancelled")
    return (programs.c.state == state) & or_(~is_over, programs.c.state == "cancelled")


def all_programs(connection: Connection) -> Sequence[Row[Any]]:
    """Every program with kind and data of the call that is on its way for it, by number."""
    call = (outbox.c.kind.label("act_kind"), outbox.c.call.label("act_call"), outbox.c.state.label("act_state"))
    query = select(programs, *call).outerjoin(outbox, outbox.c.outbox_id == programs.c.act_outbox)
    return connection.execute(query.order_by(programs.c.program)).all()


def all_rows(connection: Connection) -> Sequence[Row[Any]]:
    """Every row of every table, in order."""
    return connection.execute(select(program_rows).order_by(program_rows.c.program, program_rows.c.place)).all()
