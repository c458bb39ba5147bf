"""Tests of the rules run on both engines: ``-k reference`` and ``-k compiled`` choose one."""

import pytest

from tests.matching.market_script import ENGINES, EngineType, Market, Play


@pytest.fixture(params=ENGINES)
def engine_type(request: pytest.FixtureRequest) -> EngineType:
    found: EngineType = ENGINES[request.param]
    return found


@pytest.fixture
def play(engine_type: EngineType) -> Play:
    """A script on a market of its own."""
    return lambda script: Market(engine_type).play(script)
