"""Frames hold exactly the rows of the tables, in fixed types, empty or not."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Engine, insert

from data import columns, frames, store, tables
from data.database import open_database
from data.schema import bring_forward
from matching.order import Level, Side, Tif
from tests.data.small_market import (
    LI,
    LINES,
    NEXT_DAY_S,
    ORDERS,
    PLANT,
    READINGS,
    RECEIVABLE_ID,
    SLOT_1_S,
    TIME_ZONE,
    TRADES,
    WANG,
    small_market,
)

FUNCTIONS: dict[str, Callable[..., pd.DataFrame]] = {
    "trades": frames.trades,
    "orders": frames.orders,
    "deliveries": frames.deliveries,
    "receivables": frames.receivables,
    "statements": frames.statements,
    "readings": frames.readings,
}
MICRO = Decimal("0.000001")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[frames.Market]:
    database = small_market(f"sqlite:///{tmp_path_factory.mktemp('market')}/market.db")
    yield frames.Market(database, TIME_ZONE)
    database.dispose()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[frames.Market]:
    database = open_database(f"sqlite:///{tmp_path}/market.db")
    bring_forward(database)
    yield frames.Market(database, TIME_ZONE)
    database.dispose()


def utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_trades_are_the_rows(market: frames.Market) -> None:
    frame = frames.trades(market, names=True)
    assert len(frame) == len(TRADES)
    for got, row in zip(frame.itertuples(), TRADES, strict=True):
        trade_id, slot, buy_order, sell_order, buyer, seller, _, _, lots, p_s, p_b, taker, level, terms = row
        assert (got.trade_id, got.slot, got.terms_days) == (trade_id, utc(slot), terms)
        assert (got.buy_order, got.sell_order) == (buy_order, sell_order)
        assert (got.buyer.split()[0], got.seller) == (str(buyer), f"{seller} Upper weir")
        assert got.sell_meter == "weir"
        assert (got.quantity_lots, got.quantity_kwh) == (lots, lots / 100)
        assert got.seller_price_cny_per_kwh == Decimal(p_s) / 10_000
        assert got.buyer_price_cny_per_kwh == Decimal(p_b) / 10_000
        assert (got.seller_amount_cny, got.buyer_amount_cny) == (lots * p_s * MICRO, lots * p_b * MICRO)
        assert (got.taker, got.level) == (Side(taker).name.lower(), Level(level).name.lower())


def test_orders_are_the_rows(market: frames.Market) -> None:
    frame = frames.orders(market)
    assert frame["order_id"].tolist() == [row[0] for row in ORDERS]
    assert frame["side"].tolist() == [Side(row[3]).name.lower() for row in ORDERS]
    assert frame["slot"].tolist() == [utc(row[4]) for row in ORDERS]
    assert frame["quantity_lots"].tolist() == [row[5] for row in ORDERS]
    assert frame["price_cny_per_kwh"].tolist() == [Decimal(row[6]) / 10_000 for row in ORDERS]
    assert frame["tif"].tolist() == [Tif(row[7]).name.lower() for row in ORDERS]
    assert frame["reach"].tolist() == [Level(row[8]).name.lower() for row in ORDERS]
    assert frame["in_basket"].tolist() == [row[10] is not None for row in ORDERS]
    assert frame["state"].tolist() == [row[11] for row in ORDERS]
    assert frame["remaining_lots"].tolist() == [row[12] for row in ORDERS]


def test_deliveries_join_their_trades(market: frames.Market) -> None:
    frame = frames.deliveries(market)
    assert frame["trade_id"].tolist() == [1, 2]
    assert frame["delivered_lots"].tolist() == [300, 150]
    assert frame["financeable"].tolist() == [True, False]
    assert frame["delivered_amount_cny"].tolist() == [Decimal("1.050000"), Decimal("0.525000")]


def test_statements_add_up_to_zero_exactly(market: frames.Market) -> None:
    frame = frames.statements(market)
    assert frame["amount_cny"].tolist() == [row[9] * MICRO for row in LINES]
    assert frame.groupby("how")["amount_cny"].sum().tolist() == [Decimal(0)] * 3
    assert frame["trade_id"].isna().tolist() == [row[6] is None for row in LINES]
    assert frame["trade_id"].dropna().tolist() == [row[6] for row in LINES if row[6] is not None]


def test_readings_are_the_latest_versions(market: frames.Market) -> None:
    frame = frames.readings(market, names=True)
    assert frame[["meter", "version", "export_lots"]].values.tolist() == [
        ["weir", 2, 450],
        ["li", 1, 0],
        ["wang", 1, 0],
        ["li", 1, 5],
    ]
    assert len(frame) == len(READINGS) - 1


def test_receivables_are_the_rows(market: frames.Market) -> None:
    [row] = frames.receivables(market, names=True).to_dict("records")
    assert row["receivable"] == RECEIVABLE_ID.hex()
    assert (row["creditor"], row["debtor"], row["holder"]) == ("100 Upper weir", "102 王芳", "103 Min Bank")
    assert (row["face_cny"], row["advance_cny"], row["paid_cny"]) == (Decimal("0.52"), Decimal("0.41"), Decimal(0))
    assert (row["issue_day"], row["due_day"]) == (date(2026, 7, 1), date(2026, 7, 31))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_types_are_the_same_empty_or_not(name: str, market: frames.Market, empty: frames.Market) -> None:
    full, none = FUNCTIONS[name](market), FUNCTIONS[name](empty)
    assert len(full) > 0 and len(none) == 0
    assert full.dtypes.to_dict() == none.dtypes.to_dict()
    assert list(full.columns) == store.QUESTIONS[name].schema.names


@pytest.mark.parametrize("name", FUNCTIONS)
def test_types_are_those_promised(name: str, market: frames.Market) -> None:
    for column, dtype in FUNCTIONS[name](market).dtypes.items():
        text = str(dtype)
        match str(column).rsplit("_", 1)[-1]:
            case "lots" | "days" | "id" if column != "trade_id":
                assert text == "int64", column
            case "kwh" if not str(column).endswith("per_kwh"):
                assert text == "float64", column
            case "kwh":
                assert text == "decimal128(18, 4)[pyarrow]", column
            case "cny":
                assert text == f"decimal128(18, {2 if name == 'receivables' else 6})[pyarrow]", column
            case "day":
                assert text == "date32[day][pyarrow]", column
            case "slot" | "traded" | "received" | "changed":
                assert text == "datetime64[us, UTC]", column
            case _:
                assert text in {"int64", "Int64", "str", "bool"}, column


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_names_every_column(name: str) -> None:
    words = set((FUNCTIONS[name].__doc__ or "").replace(",", " ").replace(".", " ").split())
    assert set(store.QUESTIONS[name].schema.names) <= words


def test_codes_are_those_of_the_engine() -> None:
    for codes, enumeration in ((columns.SIDES, Side), (columns.TIFS, Tif), (columns.LEVELS, Level)):
        assert codes == {member.value: member.name.lower() for member in enumeration}


# ----------------------------------------------------------------------------------------------- names


def test_pseudonyms_say_nothing_and_stay(market: frames.Market) -> None:
    once, again = frames.trades(market), frames.trades(market)
    assert once["buyer"].tolist() == again["buyer"].tolist()
    assert once["buyer"].nunique() == 2 and once["seller"].nunique() == 1
    assert once["buyer"].str.fullmatch(r"member-[0-9a-f]{16}").all()
    assert once["buy_meter"].str.fullmatch(r"meter-[0-9a-f]{16}").all()
    orders = frames.orders(market)
    assert orders.loc[0, "member"] == once.loc[0, "seller"], "one member has one pseudonym in every frame"


def test_pseudonyms_of_another_market_are_others(market: frames.Market, tmp_path: Path) -> None:
    database = small_market(f"sqlite:///{tmp_path}/market.db")
    other = frames.trades(frames.Market(database, TIME_ZONE))
    database.dispose()
    assert set(other["buyer"]).isdisjoint(frames.trades(market)["buyer"])


def test_pseudonym_key_is_made_once(empty: frames.Market) -> None:
    assert store.ensure_pseudonym_key(empty.database) == store.ensure_pseudonym_key(empty.database)
    assert len(store.ensure_pseudonym_key(empty.database)) == 32


# --------------------------------------------------------------------------------------------- filters


def test_filter_by_local_day(market: frames.Market) -> None:
    assert frames.trades(market, day="2026-07-01")["trade_id"].tolist() == [1, 2]
    assert frames.trades(market, day=date(2026, 7, 2))["trade_id"].tolist() == [3]
    assert frames.trades(market, day="2026-06-30")["trade_id"].tolist() == []
    assert len(frames.receivables(market, day="2026-07-01")) == 1
    assert len(frames.receivables(market, day="2026-07-02")) == 0


def test_filter_by_slot_is_half_open(market: frames.Market) -> None:
    start, end = utc(SLOT_1_S), utc(NEXT_DAY_S)
    assert frames.trades(market, start=start, end=end)["trade_id"].tolist() == [1, 2]
    assert frames.trades(market, start="2026-07-01T16:00:00Z")["trade_id"].tolist() == [3]
    assert frames.trades(market, start=start.replace(microsecond=1))["trade_id"].tolist() == [3]
    assert frames.trades(market, day="2026-07-01", start=end)["trade_id"].tolist() == []


def test_filter_by_member_takes_either_side(market: frames.Market) -> None:
    assert frames.trades(market, member=PLANT)["trade_id"].tolist() == [1, 2, 3]
    assert frames.trades(market, member=WANG)["trade_id"].tolist() == [2]
    shown = frames.trades(market, member=WANG)["buyer"].iloc[0]
    assert frames.trades(market, member=shown)["trade_id"].tolist() == [2]
    assert frames.statements(market, member=LI)["line"].tolist() == [1, 3]
    assert frames.readings(market, member=LI)["import_lots"].tolist() == [310, 20]
    assert len(frames.receivables(market, member=LI)) == 0


def test_filter_by_meter(market: frames.Market) -> None:
    assert frames.trades(market, meter="wang", names=True)["trade_id"].tolist() == [2]
    assert frames.orders(market, meter="li", names=True)["order_id"].tolist() == [2, 5]


@pytest.mark.parametrize(
    "wrong",
    [
        {"day": "1 July"},
        {"day": "2026-02-30"},
        {"day": datetime(2026, 7, 1)},
        {"start": "2026-07-01"},
        {"end": datetime(2026, 7, 1)},
        {"member": 999},
        {"member": "100 Upper weir"},
        {"meter": "weir"},
    ],
)
def test_impossible_filters_are_refused(market: frames.Market, wrong: dict[str, Any]) -> None:
    with pytest.raises(frames.FilterError):
        frames.trades(market, **wrong)


def test_receivables_have_no_meter(market: frames.Market) -> None:
    with pytest.raises(frames.FilterError, match="leave out meter"):
        frames.receivables(market, meter="weir", names=True)


def test_unknown_filters_are_refused(market: frames.Market) -> None:
    with pytest.raises(TypeError, match="dya"):
        frames.trades(market, dya="2026-07-01")  # type: ignore[call-arg]  # wrong on purpose


# ------------------------------------------------------------------------------------- connect and chunks


def test_connect_takes_a_folder_or_a_url(tmp_path: Path) -> None:
    small_market(f"sqlite:///{tmp_path}/market.db").dispose()
    assert len(frames.trades(str(tmp_path))) == 3
    assert len(frames.trades(f"sqlite:///{tmp_path}/market.db")) == 3
    (tmp_path / "market.toml").write_text('[market]\ntime_zone = "Europe/Madrid"\n')
    assert frames.connect(tmp_path).time_zone == "Europe/Madrid"
    assert frames.trades(tmp_path, day="2026-06-30")["trade_id"].tolist() == [1, 2]


def test_connect_makes_no_market_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"market\.db"):
        frames.connect(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_chunks_lose_and_repeat_nothing(market: frames.Market, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    expected = {name: FUNCTIONS[name](market) for name in FUNCTIONS}
    monkeypatch.setattr(store, "CHUNK_ROWS", rows)
    for name, function in FUNCTIONS.items():
        pd.testing.assert_frame_equal(function(market), expected[name])


def test_large_and_negative_numbers_are_exact(empty: frames.Market) -> None:
    amounts = [0, -1, 1, 10**18 - 1, -(10**18) + 1, 2**53 + 1, -(2**32)]
    array = columns.MONEY.build(np.array(amounts), columns.Naming({}, {}))
    assert array.type == pa.decimal128(18, 6)
    assert [int(value.as_py().scaleb(6)) for value in array] == amounts
    with pytest.raises(AssertionError):
        columns.MONEY.build(np.array([10**18]), columns.Naming({}, {}))


def test_guarantee_fund_has_a_name(market: frames.Market) -> None:
    assert store.names_of(market.database).members[0] == "0 guarantee fund"


def test_what_is_read_is_one_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_ROWS", 1)
    database: Engine = small_market(f"sqlite:///{tmp_path}/market.db")
    naming = store.names_of(database)
    found = store.batches(database, store.READINGS, store.Filters(), naming)
    first = next(found)
    row = {"slot_s": NEXT_DAY_S, "version": 1, "export_lots": 0, "import_lots": 0}
    with database.begin() as connection:
        connection.execute(insert(tables.readings).values(node_id=3, signature_id=0, leaf_index=0, **row))
    assert first.num_rows + sum(batch.num_rows for batch in found) == 4
    assert len(frames.readings(frames.Market(database, TIME_ZONE))) == 5
    database.dispose()
