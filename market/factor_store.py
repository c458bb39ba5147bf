"""SQL of second factors and recovery codes."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from data.tables import factors, recovery_codes
from market.identity import Directory
from market.vault import Vault


class Factor(NamedTuple):
    """One factor, column for column. ``secret`` is sealed; ``counter``: last step used, or count of signatures."""

    factor_id: str
    member_id: int
    kind: str
    name: str
    secret: bytes
    counter: int
    created_s: int
    used_s: int | None = None


def fill(connection: Connection, directory: Directory, vault: Vault) -> None:
    """Let the directory know who has factors. Raises SealError when the secrets were sealed by another server."""
    for row in connection.execute(select(factors)):
        if row.kind == "totp":
            vault.open(row.factor_id, row.secret)
        directory.factors[row.member_id].add(row.factor_id)


def factors_of(connection: Connection, member_id: int) -> list[Factor]:
    """A member's factors, the oldest first."""
    found = select(factors).where(factors.c.member_id == member_id).order_by(factors.c.created_s, factors.c.factor_id)
    return [Factor(**row._mapping) for row in connection.execute(found)]


def add(connection: Connection, factor: Factor) -> None:
    connection.execute(insert(factors).values(factor._asdict()))


def remove(connection: Connection, factor_id: str) -> None:
    connection.execute(delete(factors).where(factors.c.factor_id == factor_id))


def use(connection: Connection, factor: Factor, counter: int, now_s: int) -> bool:
    """Note that a factor was used; False when someone else did so since it was read."""
    changed = connection.execute(
        update(factors)
        .where(factors.c.factor_id == factor.factor_id, factors.c.counter == factor.counter)
        .values(counter=counter, used_s=now_s)
    )
    return changed.rowcount == 1


def set_recovery_codes(connection: Connection, member_id: int, marks: Sequence[bytes]) -> None:
    """These and no others are good from now on."""
    connection.execute(delete(recovery_codes).where(recovery_codes.c.member_id == member_id))
    if marks:
        connection.execute(insert(recovery_codes), [{"member_id": member_id, "mark": mark} for mark in marks])


def use_recovery_code(connection: Connection, member_id: int, mark: bytes) -> bool:
    """Whether the code was good; it is not any more."""
    gone = connection.execute(
        delete(recovery_codes).where(recovery_codes.c.member_id == member_id, recovery_codes.c.mark == mark)
    )
    return gone.rowcount == 1


def recovery_codes_left(connection: Connection, member_id: int) -> int:
    asked = select(func.count()).select_from(recovery_codes).where(recovery_codes.c.member_id == member_id)
    return connection.scalar(asked) or 0
