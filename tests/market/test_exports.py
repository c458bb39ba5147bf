"""Over HTTP an analyst gets what is in process: the same rows and types, under the same pseudonyms."""

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from data import frames, store
from market.clock import ManualClock
from market.config import Config
from market.context import CONTEXT, Context
from market.identity import DIRECTORY, Directory, Member
from market.problems import answer_problems
from market.routes import exports
from settlement.signatures import PublicKey
from tests.data.small_market import PLANT, TIME_ZONE, small_market

OPERATOR, ANALYST, HOUSEHOLD, NEWCOMER = 1, 200, 201, 202

Client = TestClient[web.Request, web.Application]


def _member(member_id: int, role: str, status: str = "admitted") -> Member:
    return Member(member_id, f"member {member_id}", "institution", frozenset({role}), status, PublicKey(0, 0))


@pytest.fixture
def market(tmp_path: Path) -> Iterator[frames.Market]:
    database = small_market(f"sqlite:///{tmp_path}/market.db")
    yield frames.Market(database, TIME_ZONE)
    database.dispose()


@pytest.fixture
async def client(market: frames.Market) -> AsyncIterator[Client]:
    directory = Directory()
    directory.put(
        [
            _member(OPERATOR, "operator"),
            _member(ANALYST, "analyst"),
            _member(HOUSEHOLD, "consumer"),
            _member(NEWCOMER, "analyst", "pending"),
        ]
    )
    config = cast(Config, SimpleNamespace(market=SimpleNamespace(time_zone=TIME_ZONE)))
    unused = cast(Any, None)
    context = Context(
        config,
        market.database,
        ManualClock(0),
        unused,
        directory,
        operator=unused,
        sequencer=unused,
        chain=unused,
        feed=unused,
    )
    app = web.Application(middlewares=[answer_problems])
    app[CONTEXT], app[DIRECTORY] = context, directory
    app.add_routes(exports.routes())
    async with TestClient(TestServer(app)) as found:
        yield found
    context.threads.shutdown()


async def get(client: Client, address: str, member_id: int = ANALYST) -> aiohttp.ClientResponse:
    token, session = client.app[DIRECTORY].new_session(member_id, 60)
    client.app[DIRECTORY].keep(session)
    return await client.get(f"/v1/exports/{address}", headers={"Authorization": f"Bearer {token}"})


async def refusal(client: Client, address: str, member_id: int = ANALYST) -> tuple[int, str]:
    response = await get(client, address, member_id)
    assert response.content_type == "application/problem+json"
    return response.status, (await response.json())["code"]


@pytest.mark.parametrize("name", exports.EXPORTS)
async def test_arrow_over_http_is_the_frame(client: Client, market: frames.Market, name: str) -> None:
    response = await get(client, name)
    assert (response.status, response.content_type) == (200, "application/vnd.apache.arrow.stream")
    table = pa.ipc.open_stream(await response.read()).read_all()
    pd.testing.assert_frame_equal(frames.to_pandas(table), getattr(frames, name)(market))


@pytest.mark.parametrize("name", exports.EXPORTS)
async def test_parquet_over_http_is_the_frame(client: Client, market: frames.Market, name: str) -> None:
    response = await get(client, f"{name}?format=parquet")
    table = pyarrow.parquet.read_table(io.BytesIO(await response.read()))
    pd.testing.assert_frame_equal(frames.to_pandas(table), getattr(frames, name)(market))


async def test_csv_over_http_has_the_rows(client: Client, market: frames.Market) -> None:
    response = await get(client, "trades?format=csv")
    assert response.headers["Content-Disposition"] == 'attachment; filename="trades.csv"'
    table = pyarrow.csv.read_csv(io.BytesIO(await response.read()))
    assert table["quantity_lots"].to_pylist() == frames.trades(market)["quantity_lots"].tolist()
    assert table["buyer"].to_pylist() == frames.trades(market)["buyer"].tolist()


async def test_filters_are_those_of_the_frames(client: Client, market: frames.Market) -> None:
    buyer = frames.trades(market)["buyer"][1]
    for address, expected in (
        ("trades?day=2026-07-01", [1, 2]),
        ("trades?start=2026-07-01T16:00:00Z", [3]),
        (f"trades?member={buyer}", [2]),
        ("trades?day=2027-01-01", []),
    ):
        payload = await (await get(client, address)).read()
        assert pa.ipc.open_stream(payload).read_all()["trade_id"].to_pylist() == expected, address


async def test_names_are_for_the_operator(client: Client, market: frames.Market) -> None:
    response = await get(client, "trades?names=true", OPERATOR)
    table = pa.ipc.open_stream(await response.read()).read_all()
    assert set(table["seller"].to_pylist()) == {f"{PLANT} Upper weir"}
    assert await refusal(client, "trades?names=true") == (403, "forbidden")
    hidden = (await (await get(client, "trades?format=csv")).text()) + (
        await (await get(client, "orders?format=csv")).text()
    )
    assert "weir" not in hidden


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("readings", (404, "not_found")),
        ("trades?format=xlsx", (400, "bad_format")),
        ("trades?names=yes", (400, "bad_flag")),
        ("trades?dya=2026-07-01", (400, "unknown_parameter")),
        ("trades?day=yesterday", (400, "bad_filter")),
        ("trades?member=100", (400, "bad_filter")),
        ("trades?member=100%20Upper%20weir", (400, "bad_filter")),
        ("receivables?meter=weir", (400, "bad_filter")),
    ],
)
async def test_bad_questions_are_refused(client: Client, address: str, expected: tuple[int, str]) -> None:
    assert await refusal(client, address) == expected


async def test_only_analysts_and_operators(client: Client) -> None:
    assert await refusal(client, "trades", HOUSEHOLD) == (403, "forbidden")
    assert await refusal(client, "trades", NEWCOMER) == (403, "forbidden")
    assert (await client.get("/v1/exports/trades")).status == 401


async def test_half_a_file_never_looks_whole(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_ROWS", 1)
    whole = store.batches

    def breaks(*arguments: Any) -> Iterator[pa.RecordBatch]:
        found = whole(*arguments)
        yield next(found)
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(store, "batches", breaks)
    with pytest.raises(aiohttp.ClientPayloadError):
        await (await get(client, "trades")).read()
