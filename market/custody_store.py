"""SQL of the custodian's balance: what it signed, what the chain made of it, and whether money can be minted now."""

import json
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from data.tables import chain_events, custody_balances, outbox
from settlement.custody_acts import MAX_AGE_S
from settlement.outbox import REVERTED


class Signed(NamedTuple):
    """A balance as the custodian signed it; ``call`` is the state of the call that tells the chain."""

    as_of_s: int
    balance_micro: int
    call: str
    refusal: str | None


class Attested(NamedTuple):
    """A balance as the chain took it, beside the supply at that time; in an unused market the deployment."""

    as_of_s: int
    balance_micro: int
    supply_micro: int


class Custody(NamedTuple):
    """The newest of both; None where there is none yet."""

    signed: Signed | None
    attested: Attested | None

    def stopped_by(self, now_s: int) -> str | None:
        """Why the contract would mint nothing now, as it will stand when what waits has reached it: a stable code."""
        is_new = self.signed is not None and (self.attested is None or self.signed.as_of_s > self.attested.as_of_s)
        if self.signed is not None and is_new and self.signed.call != REVERTED:
            return "balance_late" if now_s > self.signed.as_of_s + MAX_AGE_S else None
        if self.attested is None:
            return None
        if self.attested.balance_micro < self.attested.supply_micro:
            return "balance_below_supply"
        return "balance_late" if now_s > self.attested.as_of_s + MAX_AGE_S else None


def read(connection: Connection) -> Custody:
    """What is known of the custodian's balance."""
    query = (
        select(custody_balances.c.as_of_s, custody_balances.c.balance_micro, outbox.c.state, outbox.c.refusal)
        .join(outbox, outbox.c.outbox_id == custody_balances.c.outbox_id)
        .order_by(custody_balances.c.as_of_s.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return Custody(None if row is None else Signed(*row), _attested(connection))


def _attested(connection: Connection) -> Attested | None:
    order = (chain_events.c.block, chain_events.c.log_index)
    query = select(chain_events.c.arguments).where(
        chain_events.c.contract == "Cash", chain_events.c.event == "BalanceAttested"
    )
    said = connection.scalar(query.order_by(*(column.desc() for column in order)).limit(1))
    if said is not None:
        found = json.loads(said)
        return Attested(*(int(found[name]) for name in ("as_of_s", "balance", "supply")))
    begun_s = connection.scalar(select(chain_events.c.block_s).order_by(*order).limit(1))
    return None if begun_s is None else Attested(begun_s, 0, 0)


def add(connection: Connection, as_of_s: int, balance_micro: int, outbox_id: int) -> None:
    """Keep a balance that the custodian signed."""
    row = {"as_of_s": as_of_s, "balance_micro": balance_micro, "outbox_id": outbox_id}
    connection.execute(insert(custody_balances), row)
