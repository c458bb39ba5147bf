"""What is exported is what the frames hold, in all three formats, in pieces."""

import csv
import io
from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from data import frames, store
from data.export import Format, encode
from tests.data.small_market import ORDERS, TIME_ZONE, small_market


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[frames.Market]:
    database = small_market(f"sqlite:///{tmp_path_factory.mktemp('market')}/market.db")
    yield frames.Market(database, TIME_ZONE)
    database.dispose()


def exported(market: frames.Market, question: store.Question, chosen: Format) -> list[bytes]:
    naming = store.pseudonyms_of(market.database)
    return list(encode(store.batches(market.database, question, store.Filters(), naming), question.schema, chosen))


def decoded(payload: bytes, chosen: Format) -> pa.Table:
    if chosen == Format.ARROW:
        return pa.ipc.open_stream(payload).read_all()
    return pyarrow.parquet.read_table(io.BytesIO(payload))


@pytest.mark.parametrize("chosen", [Format.ARROW, Format.PARQUET])
@pytest.mark.parametrize("name", store.QUESTIONS)
def test_binary_formats_read_back_as_the_frame(market: frames.Market, name: str, chosen: Format) -> None:
    question = store.QUESTIONS[name]
    table = decoded(b"".join(exported(market, question, chosen)), chosen)
    assert table.schema.equals(question.schema)
    pd.testing.assert_frame_equal(frames.to_pandas(table), getattr(frames, name)(market))


def test_csv_is_readable_by_people(market: frames.Market) -> None:
    rows = list(csv.DictReader(io.StringIO(b"".join(exported(market, store.ORDERS, Format.CSV)).decode())))
    assert [row["quantity_lots"] for row in rows] == [str(row[5]) for row in ORDERS]
    assert rows[0]["slot"] == "2026-06-30T16:00:00Z"
    assert rows[0]["price_cny_per_kwh"] == "0.3500"
    assert rows[0]["in_basket"] == "false"


@pytest.mark.parametrize("chosen", Format)
def test_no_rows_give_a_file_without_rows(chosen: Format) -> None:
    payload = b"".join(encode([], store.TRADES.schema, chosen))
    if chosen == Format.CSV:
        assert payload.decode().strip().replace('"', "").split(",") == store.TRADES.schema.names
    else:
        table = decoded(payload, chosen)
        assert table.num_rows == 0 and table.schema.equals(store.TRADES.schema)


@pytest.mark.parametrize("chosen", Format)
def test_each_batch_leaves_at_once(market: frames.Market, monkeypatch: pytest.MonkeyPatch, chosen: Format) -> None:
    monkeypatch.setattr(store, "CHUNK_ROWS", 2)
    pieces = exported(market, store.ORDERS, chosen)
    assert len(pieces) == 4 and all(pieces[:3])
    if chosen != Format.CSV:
        assert decoded(b"".join(pieces), chosen)["order_id"].to_pylist() == [1, 2, 3, 4, 5]
