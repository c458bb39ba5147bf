"""The same market on PostgreSQL."""

from pathlib import Path

import pytest

from data.database import open_database
from market.lock import AlreadyServedError, served_alone
from tests.market.test_recovery import picture, some_trading
from tests.market.world import Person, neighbours, open_market, order


async def test_a_market_on_postgresql_starts_again_as_it_was(tmp_path: Path, postgresql_url: str) -> None:
    async with open_market(tmp_path, database=open_database(postgresql_url)) as world:
        ann, bo = await neighbours(world)
        await some_trading(ann, bo)
        sell = order("s7", "A2", "sell", "3.00", "0.40", terms=30)
        first = await bo.place(sell)
        before = await picture(world, ann, bo)
    async with open_market(tmp_path, database=open_database(postgresql_url)) as again:
        ann, bo = (Person(again, person.member, person.key, person.token) for person in (ann, bo))
        assert await picture(again, ann, bo) == before
        assert (await bo.place(sell)).body == first.body


def test_two_servers_on_one_postgresql(postgresql_url: str) -> None:
    one, other = open_database(postgresql_url), open_database(postgresql_url)
    with served_alone(one), pytest.raises(AlreadyServedError), served_alone(other):
        pass
    with served_alone(other):
        pass
    for database in (one, other):
        database.dispose()
