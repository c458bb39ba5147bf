"""The audit over a change of keys: evidence is checked with the key of its day, and no key comes from nowhere."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import update

from data.tables import member_keys
from market import key_store
from market.key_store import Rotation
from settlement import acts, audit
from settlement.contradiction import Contradiction
from settlement.signatures import new_private_key, public_key, sign
from tests.settlement.chained_world import ChainedWorld, audit_terms, chained_world
from tests.settlement.settlement_world import DAY, HOUR, Wish, key_of, start_of

ANN = 100
TRADING_S = start_of(DAY) - 6 * HOUR


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ChainedWorld]:
    with chained_world(tmp_path) as chained:
        chained.world.place(Wish("A1", "buy", 12, 100, 4_500))
        yield chained


def rotate(chained: ChainedWorld, *, nonce: int = 1, new_orders: bool = True) -> None:
    """Ann's next key, signed in by her last, as the sequencer writes it."""
    old, new = chained.world.changed_keys.get(ANN) or key_of(ANN), new_private_key()
    once = {"nonce": nonce, "deadline_s": TRADING_S + 86_400}
    digest = acts.rotate_key_digest(chained.chain.domain("Members"), ANN, public_key(new), **once)
    rotation = Rotation(ANN, public_key(old), public_key(new), **once, signature=sign(old, digest), keeps_api_keys=True)
    with chained.world.database.begin() as connection:
        key_store.rotate(connection, rotation, chained.world.engine.sequence + 1, TRADING_S)
    chained.world.changed_keys[ANN] = new
    if new_orders:
        chained.world.place(Wish("A1", "buy", 12, 50, 4_600), Wish("A1", "buy", 13, 50, 4_600))


def audited(chained: ChainedWorld) -> Contradiction | None:
    result = audit.run(chained.url, chained.chain_file, audit_terms(), thorough=True, console=Console(file=StringIO()))
    return result.contradiction


def test_old_and_new_orders_verify_before_and_after_the_chain_knows(world: ChainedWorld) -> None:
    rotate(world)
    assert audited(world) is None
    world.send(TRADING_S)
    assert audited(world) is None
    rotate(world, nonce=2, new_orders=False)
    rotate(world, nonce=3)
    assert audited(world) is None
    world.send(TRADING_S)
    assert audited(world) is None


def test_an_order_after_the_change_with_the_old_key_is_found(world: ChainedWorld) -> None:
    rotate(world)
    del world.world.changed_keys[ANN]
    world.world.place(Wish("A1", "buy", 14, 50, 4_600))
    found = audited(world)
    assert found is not None and found.table == "signatures"


@pytest.mark.parametrize("column", ["nonce", "deadline_s", "signature", "from_sequence"])
def test_a_change_that_the_old_key_did_not_sign_is_found(world: ChainedWorld, column: str) -> None:
    rotate(world)
    changed = b"\1" * 64 if column == "signature" else 7
    with world.world.database.begin() as connection:
        connection.execute(update(member_keys).where(member_keys.c.number == 2).values({column: changed}))
    found = audited(world)
    assert found is not None and found.table == "member_keys"


def test_a_key_that_the_chain_was_told_otherwise_is_found(world: ChainedWorld) -> None:
    rotate(world)
    world.send(TRADING_S)
    point = public_key(new_private_key())
    with world.world.database.begin() as connection:
        values = {"x": point.x.to_bytes(32, "big"), "y": point.y.to_bytes(32, "big")}
        connection.execute(update(member_keys).where(member_keys.c.number == 2).values(values))
    found = audited(world)
    assert found is not None and (found.table, found.column) == ("member_keys", "x, y")
