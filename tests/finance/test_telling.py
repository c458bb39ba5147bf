"""The feed tells what happened to those who could see it, each under a number that stays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from data.database import open_database, reading
from finance import consent_store, feed_store, store, telling
from finance.telling import EVERY_BANK, Content, Told
from settlement import mirror_store
from settlement import store as settlement_store
from settlement.chain import ChainEvent
from tests.databases import made
from tests.finance.many import add_part, add_people, add_rows, id_of, row_of

PLANT, FACTORY, BANK, RIVAL, NOSY = 1, 2, 20, 21, 30
NOW_S = 1_000


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Engine]:
    """One receivable of the factory's to the plant; NOSY may see it by the plant's consent."""
    assert made(tmp_path) == database_url
    engine = open_database(database_url)
    with engine.begin() as connection:
        add_people(connection, [PLANT, FACTORY, BANK, RIVAL, NOSY])
        add_rows(connection, [row_of(1, 0, creditor=PLANT, debtor=FACTORY)])
        given = {"seller": PLANT, "bank": NOSY, "receivable_id": None, "granted_s": 0, "until_s": NOW_S + 1}
        consent_store.add(connection, given)
        consent_store.add(connection, {**given, "bank": RIVAL, "until_s": NOW_S})
        feed_store.set_position(connection, "consents", 2)
    yield engine
    engine.dispose()


def change(database: Engine, before: str, after: str) -> None:
    row = {"receivable_id": id_of(1), "before": before, "after": after, "actor": 0, "at_s": 7, "reason": ""}
    with database.begin() as connection:
        store.add_change(connection, row, NOW_S)


def heard(database: Engine, *listeners: int, after: int = 0, limit: int = 100) -> list[tuple[int, str, Any]]:
    with reading(database) as connection:
        rows = feed_store.events_after(connection, listeners or None, after, limit)
    return [(row.number, row.kind, msgspec.json.decode(row.content, type=Content)) for row in rows]


def numbers(database: Engine, *listeners: int, **more: int) -> list[int]:
    return [number for number, _, _ in heard(database, *listeners, **more)]


def chain_event(name: str, block: int, place: int = 0, **arguments: Any) -> ChainEvent:
    return ChainEvent(
        contract="Receivables" if name == "Repaid" else "Sales",
        event=name,
        arguments=arguments,
        block=block,
        log_index=place,
        block_s=block,
        transaction_hash=bytes(32),
        block_hash=bytes(32),
    )


def mirrored(database: Engine, *events: ChainEvent) -> None:
    with database.begin() as connection:
        settlement_store.add_chain_events(connection, events)


def test_a_change_is_told_to_whoever_may_see_it(database: Engine) -> None:
    for before, after in (("drafted", "issued"), ("issued", "acknowledged"), ("acknowledged", "listed")):
        change(database, before, after)
    change(database, "listed", "acknowledged")
    assert telling.tell_due(database, NOW_S)
    assert not telling.tell_due(database, NOW_S)
    assert numbers(database) == numbers(database, PLANT) == numbers(database, FACTORY) == [1, 2, 3, 4]
    assert numbers(database, BANK, EVERY_BANK) == [3, 4], "that it is no longer for sale, too"
    assert numbers(database, NOSY, EVERY_BANK) == [1, 2, 3, 4], "each once"
    assert numbers(database, NOSY) == [1, 2, 3, 4]
    assert numbers(database, RIVAL) == [], "its consent has ended"
    assert heard(database, BANK, EVERY_BANK)[0][2] == Content(before="acknowledged", after="listed", actor=0)


def test_a_part_is_told_to_those_who_have_to_do_with_it(database: Engine) -> None:
    with database.begin() as connection:
        add_part(connection, 1, BANK, 7, 0, pledgee=RIVAL)
        row = {"receivable_id": id_of(1), "part": 1, "before": "0.09", "after": "0.07", "actor": 2, "at_s": 7}
        store.add_change(connection, {**row, "reason": ""}, NOW_S)
    telling.tell_due(database, NOW_S)
    said = [(1, "part", Content(part=1, before="0.09", after="0.07", actor=2))]
    assert heard(database, BANK, EVERY_BANK) == heard(database, RIVAL) == heard(database, FACTORY) == said


def test_any_number_is_a_place_to_begin_again(database: Engine) -> None:
    for _ in range(5):
        change(database, "acknowledged", "listed")
        telling.tell_due(database, NOW_S)
    first = heard(database, BANK, EVERY_BANK)
    assert [heard(database, BANK, EVERY_BANK, after=after) for after in range(6)] == [first[n:] for n in range(6)]
    assert heard(database, BANK, EVERY_BANK, limit=2) == first[:2]
    assert heard(database, PLANT, after=2, limit=2) == heard(database, after=2, limit=2)


def test_payments_and_auctions_are_told_as_the_chain_says_them(database: Engine) -> None:
    mirrored(
        database,
        chain_event("Other", 1, receivable=id_of(1)),
        chain_event("Repaid", 1, 1, receivable=id_of(1), amount=70_000, to_holder=50_000, to_creditor=20_000),
        chain_event("AuctionOpened", 2, auction=9, receivable=id_of(1), seller=PLANT, **_terms()),
        chain_event("BidCommitted", 2, 1, auction=9, bank=BANK, bid=bytes(32)),
        chain_event("BidRevealed", 3, auction=9, bank=RIVAL, proceeds=10_000),
        chain_event("Awarded", 4, auction=9, bank=BANK, proceeds=20_000, pay_by=5),
        chain_event("AuctionEnded", 5, auction=9, state=3),
    )
    telling.tell_due(database, NOW_S)
    assert heard(database, FACTORY) == [
        (1, "payment", Content(amounts={"amount": "0.07", "to_holder": "0.05", "to_creditor": "0.02"}))
    ]
    assert [content.after for _, _, content in heard(database, BANK, EVERY_BANK)] == ["open", "awarded", "settled"]
    assert [content.after for _, _, content in heard(database, RIVAL, EVERY_BANK)] == ["open", "settled"]
    assert numbers(database, NOSY) == [], "consent shows receivables, not money"


def _terms() -> dict[str, int]:
    return {"advance": 60_000, "minimum": 10_000, "bond": 10_000, "costs": 0}


def test_what_takes_the_place_of_lost_blocks_is_told_too(database: Engine) -> None:
    paid = {"receivable": id_of(1), "amount": 70_000}
    mirrored(database, chain_event("Repaid", 1, **paid), chain_event("Repaid", 2, 5, **paid))
    telling.tell_due(database, NOW_S)
    with database.begin() as connection:
        mirror_store.drop_chain_events(connection, 2)
        feed_store.set_back(connection, 2)
    mirrored(database, chain_event("Repaid", 2, 1, **paid))
    assert telling.tell_due(database, NOW_S)
    assert not telling.tell_due(database, NOW_S)
    assert numbers(database, PLANT) == [1, 2, 3]


def test_what_nobody_may_hear_has_no_number(database: Engine) -> None:
    with database.begin() as connection:
        telling.append(connection, [Told("offer", 0, None, 1, Content(), frozenset()) for _ in range(3)])
        telling.append(connection, [Told("offer", 0, None, 1, Content(), frozenset({BANK}))])
    assert numbers(database) == [1]
