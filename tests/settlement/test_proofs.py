"""What a member takes away of its trade holds, verified by code that knows nothing of the market, for either side."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from data.database import reading
from settlement import hexjson, proofs, store
from settlement.proofs import ProofFile
from tests.settlement.chained_world import ChainedWorld, chained_world
from tests.settlement.settlement_world import DAY, OWNERS, a_day_of_trading, start_of
from verifier.chain import Block, Known
from verifier.files import verify
from verifier.report import Report, Status

pytestmark = pytest.mark.usefixtures("database_url")


@pytest.fixture
def chained(tmp_path: Path) -> Iterator[ChainedWorld]:
    with chained_world(tmp_path) as chained:
        a_day_of_trading(chained.world)
        yield chained


def prove(chained: ChainedWorld, trade_id: int, member: int) -> ProofFile | str:
    with reading(chained.world.database) as connection:
        found = proofs.gather(connection, trade_id, member, chained.chain.domain("Clearing"))
    return found if isinstance(found, str) else proofs.with_events(found, chained.chain)


def as_json(proof: ProofFile) -> Any:
    return msgspec.json.decode(hexjson.dumps(proof))


def test_every_trade_can_be_proven_by_both_sides_and_by_nobody_else(chained: ChainedWorld) -> None:
    assert prove(chained, 1, 100) == "not_committed"
    chained.world.commit(start_of(DAY), at_once=True)
    assert prove(chained, 1, 100) == "not_committed", "it is on its way to the chain, and not there yet"
    chained.send(start_of(DAY))
    with reading(chained.world.database) as connection:
        sides = [
            (trade.slot_trade.trade_id, member)
            for trade in store.trades_between(connection, 1, chained.world.trades)
            for member in (trade.slot_trade.buyer, trade.slot_trade.seller)
        ]
    assert len(sides) == 6
    kinds = set()
    for trade_id, member in sides:
        proof = prove(chained, trade_id, member)
        assert isinstance(proof, ProofFile)
        report = Report()
        verify(as_json(proof), report, Known([Block(None, chained.chain.event_proof(*place(chained)).block_hash)]))
        assert report.holds, [each for each in report.findings if each.status == Status.FAILS]
        assert proof.order.intent.member == proof.half.member == member
        kinds.add(bool(proof.order.count))
    assert kinds == {True, False}, "orders signed alone and orders signed in a batch"
    assert prove(chained, 1, 103) == "not_found"
    assert prove(chained, 99, 100) == "not_found"


def place(chained: ChainedWorld) -> tuple[int, int]:
    """Where the only commitment stands."""
    (event,) = [each for each in chained.chain.events(0) if each.event == "Committed"]
    return event.block, event.log_index


def test_the_file_shows_the_other_side_to_nobody(chained: ChainedWorld) -> None:
    """Neither its meter nor its name, limit or signature; what both know (the level, the quantity) is shown."""
    chained.world.commit(start_of(DAY), at_once=True)
    chained.send(start_of(DAY))
    with reading(chained.world.database) as connection:
        committed = store.trades_between(connection, 1, chained.world.trades)
    for trade in committed:
        for own, other in ((trade.record.buy, trade.record.sell), (trade.record.sell, trade.record.buy)):
            if own.member == other.member:
                continue
            proof = prove(chained, trade.record.common.trade_id, own.member)
            assert isinstance(proof, ProofFile)
            text = hexjson.dumps(proof).decode()
            assert f'"{own.meter}"' in text, "the search finds what is there"
            assert f'"{other.meter}"' not in text
            assert other.order_digest.hex() not in text
            shown = [*leaves(as_json(proof))]
            assert own.member in shown and other.member not in shown
            limits = {order.price_ticks for order in orders_of(chained, other.order_digest)}
            assert limits.isdisjoint(shown), "the other's limit"
    assert set(OWNERS.values())


def orders_of(chained: ChainedWorld, digest: bytes) -> list[Any]:
    from sqlalchemy import select

    from data.tables import orders

    with reading(chained.world.database) as connection:
        return list(connection.execute(select(orders).where(orders.c.digest == digest)))


def leaves(value: Any) -> Iterator[Any]:
    """Every value of a document that is no list and no object."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value
