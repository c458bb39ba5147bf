"""Blocks that the chain gives up: receivables, offers and periods stand as they stood before them, and come again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from data.database import reading
from data.tables import cash, offers, periods, receivables
from finance import reorganisation as finance_reorganisation
from settlement import mirror_store, reorganisation
from tests.finance.ledger import FACTORY, OTHER_BANK, PLANT, TIME_ZONE, Ledger, a_day_on_terms, open_ledger
from tests.finance.test_receivables_book import offered

pytestmark = pytest.mark.usefixtures("database_url")

OF_ITS_WAY = {"act", "act_outbox", "act_reason", "change", "changed_s"}
"""Columns of what is on its way, and of when something changed last: these go on."""


def standing(ledger: Ledger) -> list[Any]:
    """All that is mirrored."""
    with reading(ledger.database) as connection:
        columns = [column for column in receivables.c if column.name not in OF_ITS_WAY]
        found: list[Any] = [
            [tuple(row) for row in connection.execute(select(*columns).order_by(receivables.c.number))],
            {row.offer_id: row.state for row in connection.execute(select(offers))},
            [tuple(row) for row in connection.execute(select(periods.c.period, periods.c.state))],
            {row.member_id: tuple(row) for row in connection.execute(select(cash)) if any(row[1:])},
        ]
        return found


def give_up(ledger: Ledger, block: int) -> None:
    with ledger.database.begin() as connection:
        lost = mirror_store.mirrored_events(connection, block)
        reorganisation.unroll(connection, block)
        finance_reorganisation.unroll(connection, block, lost, ledger.now_s, TIME_ZONE)


def life(ledger: Ledger, owed: bytes) -> Iterator[None]:
    """From issued to settled; each pause is a moment to come back to."""
    yield
    ledger.acknowledge(FACTORY, owed)
    ledger.sync()
    yield
    ledger.set_listed(PLANT, owed)
    ledger.sync()
    winner = offered(ledger, owed)
    offered(ledger, owed, OTHER_BANK)
    yield
    ledger.accept(PLANT, winner)
    ledger.sync()
    yield
    ledger.repay(FACTORY, owed, 30)
    ledger.sync()
    yield
    ledger.repay(FACTORY, owed, 40)
    ledger.sync()
    yield


@pytest.fixture
def ledger(tmp_path: Path, chain_file: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path, chain_file) as ledger:
        yield ledger


def test_whatever_is_given_up_stands_as_before_and_comes_again(ledger: Ledger) -> None:
    """From the end back to each moment of a receivable's life, and every time forward to the end again."""
    a_day_on_terms(ledger)
    moments = [(0, standing(ledger))]
    ledger.issue()
    owed = next(row.receivable_id for row in ledger.receivables() if row.debtor == FACTORY)
    moments += [(ledger.chain.head().number + 1, standing(ledger)) for _ in life(ledger, owed)]
    _, end = moments.pop()
    assert ledger.receivable(owed).state == "settled"
    story = ledger.story(owed)
    for block, (held, offered_then, billed, money) in reversed(moments):
        give_up(ledger, block)
        now = standing(ledger)
        if block:
            assert now[0] == held
            assert now[2:] == [billed, money]
        else:
            assert {row[11] for row in now[0]} == {"drafted"}
            assert now[2:] == [[(1, "signed")], {}]
        assert {offer: now[1][offer] for offer in offered_then} == offered_then
        ledger.sync()
        assert standing(ledger) == end
    told = [each for each in ledger.story(owed) if each[2]]
    assert told == [each for each in story if each[2]]
