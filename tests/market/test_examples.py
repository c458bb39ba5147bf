"""The examples of the documentation, run against a market."""

import asyncio
import os
import sys
from pathlib import Path

from settlement import signatures
from tests.market.world import SLOT, neighbours, open_market, order

ROOT = Path(__file__).parents[2]


async def test_the_stream_example_shows_book_order_and_trade(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        key = tmp_path / "ann.pem"
        key.write_bytes(signatures.private_to_pem(ann.key))
        asked = ["--server", world.server, "--slot", SLOT, "--meter", "A1", "--trades", "1"]
        asked += ["--member", str(ann.member), "--key", str(key), "--buy", "0.40", "--price", "0.45"]
        run = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "docs" / "examples" / "stream.py"),
            *asked,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        told, _ = await asyncio.wait_for(run.communicate(), 60)
        assert run.returncode == 0
        lines = told.decode().splitlines()
        assert lines[:2] == ["book 1: to buy 1.00 kWh at 0.4200, to sell nothing", "order: filled, 0.00 kWh left"]
        assert lines[-1] == "trade 1: 0.40 kWh at 0.4000"
