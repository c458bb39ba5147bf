"""What a member takes away of its trade holds against the commitment, for every trade and either side."""

from pathlib import Path

import pytest

from data.database import reading
from settlement import commitments, proofs, signatures, store
from settlement.trade_leaf import TradeProof, verify_trade_proof
from tests.settlement.settlement_world import DAY, DOMAIN, World, a_day_of_trading, key_of, new_world, start_of

pytestmark = pytest.mark.usefixtures("database_url")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = new_world(tmp_path)
    a_day_of_trading(world)
    return world


def prove(world: World, trade_id: int, member: int) -> TradeProof | str:
    with reading(world.database) as connection:
        return proofs.prove(connection, trade_id, member, DOMAIN)


def test_every_trade_can_be_proven_by_both_sides_and_by_nobody_else(world: World) -> None:
    world.commit(start_of(DAY), at_once=True)
    with reading(world.database) as connection:
        row = store.last_commitment(connection)
        assert row is not None
        on_chain = commitments.for_proof(commitments.of_row(row))
        sides = [
            (trade.slot_trade.trade_id, member)
            for trade in store.trades_between(connection, 1, world.trades)
            for member in (trade.slot_trade.buyer, trade.slot_trade.seller)
        ]
    assert len(sides) == 6
    kinds = set()
    for trade_id, member in sides:
        proof = prove(world, trade_id, member)
        assert isinstance(proof, TradeProof)
        assert verify_trade_proof(proof, on_chain, signatures.public_key(key_of(member))) == []
        assert proof.order.intent.member == proof.half.member == member
        kinds.add(bool(proof.order.count))
    assert kinds == {True, False}, "orders signed alone and orders signed in a batch"
    assert prove(world, 1, 103) == "not_found"
    assert prove(world, 99, 100) == "not_found"


def test_before_the_commitment_there_is_no_proof(world: World) -> None:
    assert prove(world, 1, 100) == "not_committed"
