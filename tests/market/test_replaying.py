"""``jinsha replay --journal``: a market computed again from its journal, while it runs, and what it finds."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from data import tables
from data.database import open_database
from market.config import to_toml
from market.main import main
from tests.databases import url_of
from tests.market.test_recovery import some_trading
from tests.market.world import config_of, neighbours, open_market

pytestmark = pytest.mark.usefixtures("database_url")


async def lived(folder: Path) -> None:
    async with open_market(folder) as world:
        await some_trading(*await neighbours(world))


@pytest.mark.parametrize("engine", [[], ["--reference"]])
async def test_a_running_market_is_computed_again(
    tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await some_trading(ann, bo)
        code = await asyncio.to_thread(main, ["replay", "--journal", url_of(tmp_path), *engine])
        head = await world.context.sequencer.look(lambda state: state.head.hex())
        orders = len((await ann.get("/v1/orders")).body["items"] + (await bo.get("/v1/orders")).body["items"])
        trades = len((await ann.get("/v1/trades")).body["items"])
    said = capsys.readouterr().out
    assert code == 0
    assert f" {orders} orders, {trades} trades, " in said and "to the last lot" in said
    assert f"journal head {head}" in said


async def test_a_folder_says_what_the_market_began_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await lived(tmp_path)
    asked = ["replay", "--journal", str(tmp_path), "--database", url_of(tmp_path)]
    (tmp_path / "market.toml").write_text(to_toml(config_of()), "utf-8")
    assert main(asked) == 0
    (tmp_path / "market.toml").write_text(to_toml(config_of()).replace('"0.05"', '"0.06"'), "utf-8")
    assert main(asked) == 1
    assert "settings genesis, fees: is not what market.toml says" in capsys.readouterr().out


CHANGES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a trade's price": (tables.trades, {"buyer_price_ticks": 4201}, "buyer_price_ticks: stated 4201, computed "),
    "a trade's quantity": (tables.trades, {"quantity_lots": 1}, "quantity_lots: stated 1, computed "),
    "an order's end": (tables.orders, {"state": "filled"}, "state: stated 'filled', computed 'unfilled_basket'"),
    "a head": (tables.journal, {"head": bytes(32)}, "head: stated 0000"),
    "a receipt": (tables.journal, {"signature": bytes(64)}, "is not the operator's receipt for this head"),
    "the commands": (tables.journal, {"commands": b"[]"}, "head: stated "),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_the_first_contradiction_is_named(tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    await lived(tmp_path)
    table, values, said = CHANGES[what]
    key = next(iter(table.primary_key))
    database = open_database(url_of(tmp_path))
    with database.begin() as connection:
        last = connection.scalar(select(func.max(key)))
        connection.execute(update(table).where(key == last).values(**values))
    assert main(["replay", "--journal", url_of(tmp_path)]) == 1
    found = capsys.readouterr().out
    assert found.startswith(f"CONTRADICTION {table.name} {last}, ") and said in found
    database.dispose()


@pytest.mark.parametrize("which", [func.min, func.max])
async def test_a_trade_left_out_is_named(tmp_path: Path, which: Any, capsys: pytest.CaptureFixture[str]) -> None:
    await lived(tmp_path)
    database = open_database(url_of(tmp_path))
    with database.begin() as connection:
        trade = connection.scalar(select(which(tables.trades.c.trade_id)))
        connection.execute(tables.trades.delete().where(tables.trades.c.trade_id == trade))
    assert main(["replay", "--journal", url_of(tmp_path)]) == 1
    assert f"trades {trade}, trade_id: is missing" in capsys.readouterr().out
    database.dispose()


def test_where_there_is_no_market(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--journal", str(tmp_path)]) == 2
    assert main(["replay", "--journal", f"sqlite:///{tmp_path}/nothing/market.db"]) == 2
    assert main(["replay", "--journal", "postgresql://nobody@127.0.0.1:1/nothing"]) == 2
    assert main(["replay", "--journal", url_of(tmp_path)]) == 2
    assert capsys.readouterr().err.count("jinsha replay: ") == 4
