"""The queries about what others know of a receivable: members' particulars, registrations, tax invoices.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from data.tables import fapiao, members, particulars, periods, receivables, registrations

# ----------------------------------------------------------------------------------------------- particulars


def particulars_of(connection: Connection, member_id: int, *, confirmed: bool = False) -> Row[Any] | None:
    """What a member last gave as its legal name, code and bank account, or the last that the operator confirmed."""
    query = select(particulars).where(particulars.c.member_id == member_id)
    if confirmed:
        query = query.where(particulars.c.confirmed_s.is_not(None))
    return connection.execute(query.order_by(particulars.c.number.desc()).limit(1)).first()


def confirm_particulars(connection: Connection, number: int, now_s: int) -> None:
    """The operator has seen that these are the member's; the first time counts."""
    first = (particulars.c.number == number) & particulars.c.confirmed_s.is_(None)
    connection.execute(update(particulars).where(first).values(confirmed_s=now_s))


def name_of(connection: Connection, member_id: int) -> str:
    """The name that a member registered with."""
    found: str = connection.execute(select(members.c.name).where(members.c.member_id == member_id)).scalar_one()
    return found


def add_particulars(connection: Connection, member_id: int, **values: Any) -> None:
    """Keep what a member gives, beside what it gave before."""
    number = (connection.scalar(select(func.max(particulars.c.number))) or 0) + 1
    connection.execute(insert(particulars), {"number": number, "member_id": member_id, **values})


# --------------------------------------------------------------------------------------------- registrations


def period_days(connection: Connection, period: int) -> tuple[str, str]:
    """First and last local day of a billing period."""
    row = connection.execute(select(periods.c.first_day, periods.c.last_day).where(periods.c.period == period)).one()
    return row.first_day, row.last_day


def add_registration(connection: Connection, **values: Any) -> None:
    """Keep a registration's number."""
    place = (connection.scalar(select(func.max(registrations.c.place))) or 0) + 1
    connection.execute(insert(registrations), {"place": place, **values})


def registration(connection: Connection, number: str) -> Row[Any] | None:
    """One by its number."""
    return connection.execute(select(registrations).where(registrations.c.number == number)).first()


def registration_by_hash(connection: Connection, registration_hash: bytes) -> Row[Any] | None:
    """One by what stands for it on the chain."""
    same = registrations.c.registration_hash == registration_hash
    return connection.execute(select(registrations).where(same)).first()


def registrations_of(connection: Connection, receivable_id: bytes) -> Sequence[Row[Any]]:
    """Those that were recorded for a receivable, in their order."""
    query = select(registrations).where(registrations.c.receivable_id == receivable_id)
    return connection.execute(query.order_by(registrations.c.recorded_s, registrations.c.number)).all()


def recorded(connection: Connection, *, party: int | None, after: int, limit: int) -> Sequence[Row[Any]]:
    """Registrations of one bank or of all, with state and holder of their receivables, by place from ``after`` on."""
    query = select(registrations, receivables.c.state, receivables.c.holder).join(
        receivables, receivables.c.receivable_id == registrations.c.receivable_id
    )
    query = query.where(registrations.c.place > after)
    if party is not None:
        query = query.where(registrations.c.party == party)
    return connection.execute(query.order_by(registrations.c.place).limit(limit)).all()


def all_registrations(connection: Connection) -> Sequence[Row[Any]]:
    """Every one of all receivables, by number."""
    return connection.execute(select(registrations).order_by(registrations.c.number)).all()


# ------------------------------------------------------------------------------------------------ tax invoices


def all_fapiao(connection: Connection) -> Sequence[Row[Any]]:
    """Every tax invoice, replaced ones too, by number."""
    return connection.execute(select(fapiao).order_by(fapiao.c.number)).all()


def fapiao_by_number(connection: Connection, number: str) -> Row[Any] | None:
    """A tax invoice by its number."""
    return connection.execute(select(fapiao).where(fapiao.c.number == number)).first()


def fapiao_of(connection: Connection, receivable_id: bytes) -> Row[Any] | None:
    """The tax invoice of a receivable that was not replaced by another."""
    query = select(fapiao).where(fapiao.c.receivable_id == receivable_id, fapiao.c.state != "replaced")
    return connection.execute(query).first()


def add_fapiao(connection: Connection, **values: Any) -> None:
    """Keep a tax invoice."""
    connection.execute(insert(fapiao), values)


def set_fapiao(connection: Connection, number: str, **values: Any) -> None:
    """Change columns of a tax invoice."""
    connection.execute(update(fapiao).where(fapiao.c.number == number).values(**values))
