"""A published period is recomputed from its trades: any one changed value is found, and named."""

from datetime import date, timedelta

import msgspec
import pytest

from finance.claim import TermsTrade, terms_trade
from finance.period import Draft, Pair, bundle, draft
from finance.published import (
    PublishedPeriod,
    PublishedRemainder,
    publish_receivable,
    publish_trade,
    remainders_of,
    verify_period,
    verify_succession,
)
from settlement import hexjson
from settlement.delivery import Delivery
from settlement.hexjson import Hex
from settlement.trade_leaf import Common, Half, TradeRecord, trade_leaf

PLANT, HYDRO, FACTORY = 100, 101, 200
TRADES = [
    TermsTrade(1, PLANT, FACTORY, 60, 1_001, 3_501, b"\1" * 32),
    TermsTrade(2, HYDRO, FACTORY, 60, 2_000, 3_000, b"\2" * 32),
    TermsTrade(3, PLANT, FACTORY, 60, 500, 3_600, b"\3" * 32),
    TermsTrade(4, HYDRO, FACTORY, 30, 1, 99, b"\4" * 32),
]
CARRIED = {Pair(PLANT, FACTORY, 60): 4_499}


def publish(period: int, drafted: Draft, first_day: str, cycles: tuple[int, int]) -> PublishedPeriod:
    return PublishedPeriod(
        period=period,
        billing="month",
        first_day=first_day,
        last_day="2026-06-30",
        first_cycle=cycles[0],
        last_cycle=cycles[1],
        root=Hex(drafted.root),
        count=len(drafted.issues),
        receivables=tuple(
            publish_receivable(issue.claim.receivable_id, issue.claim, map(publish_trade, issue.trades))
            for issue in drafted.issues
        ),
        remainders=tuple(PublishedRemainder(*pair, amount) for pair, amount in drafted.remainders_micro.items()),
        state="drafted",
        operator_signature=Hex(bytes(64)),
    )


@pytest.fixture
def published() -> PublishedPeriod:
    bundles = bundle(TRADES, CARRIED)
    drafted = draft(2, date(2026, 6, 30), bundles, {each.pair: bytes([each.pair.creditor]) * 32 for each in bundles})
    return publish(2, drafted, "2026-06-01", (31, 60))


@pytest.mark.usefixtures("database_url")
def test_what_was_computed_is_found_right_also_after_a_journey_as_json(published: PublishedPeriod) -> None:
    assert verify_period(published, TRADES, CARRIED) == []
    again = hexjson.load(hexjson.dumps(published), PublishedPeriod)
    assert verify_period(again, reversed(TRADES), CARRIED) == []
    assert remainders_of(again) == {
        Pair(PLANT, FACTORY, 60): 9_000,
        Pair(HYDRO, FACTORY, 60): 0,
        Pair(HYDRO, FACTORY, 30): 99,
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("receivable_id", Hex(bytes(32))),
        ("face_fen", 531),
        ("debtor", 201),
        ("terms_days", 90),
        ("issue_day", "2026-07-02"),
        ("due_day", "2026-08-31"),
        ("trades_root", Hex(bytes(32))),
        ("salt", Hex(b"\7" * 32)),
        ("trades", ()),
    ],
)
def test_any_changed_field_of_a_receivable_is_named(published: PublishedPeriod, field: str, value: object) -> None:
    first, *rest = published.receivables
    changed = msgspec.structs.replace(first, **{field: value})
    tampered = msgspec.structs.replace(published, receivables=(changed, *rest))
    found = {each.column for each in verify_period(tampered, TRADES, CARRIED)}
    renames = {"debtor", "terms_days", "salt"}  # another pair, or another leaf: the receivable is another one
    assert "receivables" in found or "receivable_id" in found if field in renames else field in found


@pytest.mark.parametrize(
    "change",
    [
        {"root": Hex(bytes(32))},
        {"count": 3},
        {"receivables": ()},
        {"remainders": ()},
        {"remainders": (PublishedRemainder(PLANT, FACTORY, 60, 8_999),)},
        {"last_day": "2026-07-31"},
    ],
)
def test_any_changed_figure_of_the_period_is_named(published: PublishedPeriod, change: dict[str, object]) -> None:
    assert verify_period(msgspec.structs.replace(published, **change), TRADES, CARRIED)


def test_a_receivable_more_or_twice_is_named(published: PublishedPeriod) -> None:
    first, second = published.receivables
    for receivables in ((first, second, first), (second, first), (first,)):
        assert verify_period(msgspec.structs.replace(published, receivables=receivables), TRADES, CARRIED)
    assert verify_period(published, TRADES[:-1], CARRIED)
    assert verify_period(published, TRADES, {})


def test_periods_take_in_every_cycle_once_in_the_period_of_its_day(published: PublishedPeriod) -> None:
    before = msgspec.structs.replace(
        published, period=1, first_day="2026-05-01", last_day="2026-05-31", first_cycle=1, last_cycle=30
    )
    days = {n: (date(2026, 5, 1) + timedelta(days=n)).isoformat() for n in range(1, 61)}
    assert verify_succession([before, published], days) == []
    assert verify_succession([], {}) == []
    assert [each.column for each in verify_succession([published], days)] == ["period", "first_cycle"]
    for change in (
        {"first_cycle": 32},
        {"first_cycle": 30},
        {"last_cycle": 61},
        {"last_cycle": 30},
        {"period": 3},
        {"first_day": "2026-06-02"},
        {"last_day": "2026-06-29"},
        {"billing": "day"},
    ):
        assert verify_succession([before, msgspec.structs.replace(published, **change)], days)
    assert verify_succession([before, published], days | {40: "2026-07-01"})


def test_only_delivered_and_read_energy_on_terms_is_claimed() -> None:
    common = Common(9, 1, 0, 500, 60, 1, 1, 0)
    record = TradeRecord(
        common, Half(bytes(32), FACTORY, "f", 3_600, 0, 0), Half(bytes(32), PLANT, "p", 3_500, 0, 0), bytes(range(96))
    )
    claimed = terms_trade(record, Delivery(9, 400, financeable=True))
    assert claimed == TermsTrade(9, PLANT, FACTORY, 60, 400, 3_500, trade_leaf(record))
    assert claimed.amount_micro == 1_400_000
    assert terms_trade(record, Delivery(9, 400, financeable=False)) is None
    assert terms_trade(record, Delivery(9, 0, financeable=True)) is None
    prepaid = record._replace(common=msgspec.structs.replace(common, terms_days=0))
    assert terms_trade(prepaid, Delivery(9, 400, financeable=True)) is None
