"""What one member does may be seen by those who check it, and by nobody else, banks and neighbours included."""

from pathlib import Path

import pytest

from tests.market.world import neighbours, open_market

pytestmark = pytest.mark.usefixtures("database_url")

CHECKED = ("/v1/cycles/1", "/v1/periods/1", "/v1/journal", "/v1/readings?day=2026-07-01")


@pytest.mark.parametrize("path", CHECKED)
async def test_everyones_trades_and_readings_are_for_those_who_check_them(tmp_path: Path, path: str) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        bank = await world.newcomer("bank", "bank")
        for stranger in (ann, bank):
            assert (await stranger.get(path)).status == 403
        checker = await world.institution("checker")
        assert (await checker.get(path)).status in (200, 404)
