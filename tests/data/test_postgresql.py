"""Frames and report read the same from PostgreSQL as from SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from data import frames, store
from market import report
from tests.data.small_market import TIME_ZONE, WANG, small_market
from tests.postgresql import TEMPLATE, Cluster

FACTS = report.Facts("a day", TIME_ZONE, 15, 5224, 4012, 8000)


@pytest.fixture(scope="module")
def url(postgresql: Cluster) -> Iterator[str]:
    made = postgresql.new_database(TEMPLATE)
    small_market(made).dispose()
    yield made
    postgresql.drop_database(made)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/market.db"
    small_market(url).dispose()
    return url


@pytest.mark.parametrize("rows", [2, 1000])
@pytest.mark.parametrize("name", store.QUESTIONS)
def test_frames_are_the_same(url: str, sqlite_url: str, name: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_ROWS", rows)
    ask = getattr(frames, name)
    pd.testing.assert_frame_equal(ask(url, names=True), ask(sqlite_url, names=True))
    assert len(ask(url)) == len(ask(url, names=True))


def test_filters_are_the_same(url: str, sqlite_url: str) -> None:
    for filters in ({"day": "2026-07-01"}, {"member": WANG}, {"start": "2026-07-01T16:00:00Z"}):
        found = [frames.trades(place, names=True, **filters) for place in (url, sqlite_url)]
        pd.testing.assert_frame_equal(*found)


def test_the_report_is_the_same(url: str, sqlite_url: str) -> None:
    assert report.build(url, FACTS).text == report.build(sqlite_url, FACTS).text
