"""Nothing on the chain from which a household's name, meter, orders or consumption can be read or guessed.

What *is* there, and what can be guessed from it, is in ``docs/settlement_and_chain.md``, "What a stranger can read".
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product

import msgspec
import pytest

from data.database import reading
from settlement import cycle_store, merkle, publish_store, store
from settlement.journal import next_head
from settlement.keccak import keccak
from settlement.trade_leaf import Half, TradeRecord, trade_leaf
from tests.settlement import settlement_world
from tests.settlement.chained_world import ChainedWorld, chained_world
from tests.settlement.settlement_world import DAY, DOMAIN, OWNERS, Wish, after_window, start_of
from tests.stranger import Stranger

ZHANG, LI, WANG, CHEN = METERS = ("张伟-光伏-0417", "li-na@neighbours.cn", "WANG-FANG-2201-7", "meter-chen-jie-553")
SOLD_LOTS, BOUGHT_LOTS, SMALL_LOTS = 617, 431, 89
SELL_TICKS, BUY_TICKS, SMALL_TICKS = 4_219, 4_733, 4_397
READ_LOTS = (571, 443, 83, 607)
"""Distinctive numbers: none of them is a size, a count or an offset of anything."""


@contextmanager
def called(meters: Sequence[str]) -> Iterator[None]:
    """The small market with other names for its meters."""
    nodes, owners = list(settlement_world.NODES), dict(OWNERS)
    renamed = dict(zip(owners, meters, strict=True))
    settlement_world.NODES[:] = [(renamed.get(name, name), parent, level) for name, parent, level in nodes]
    OWNERS.clear()
    OWNERS.update({renamed[name]: member for name, member in owners.items()})
    try:
        yield
    finally:
        settlement_world.NODES[:] = nodes
        OWNERS.clear()
        OWNERS.update(owners)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainedWorld]:
    """Zhang buys from Li and from Chen; one trade a commitment, which is where guessing is easiest."""
    with called(METERS), chained_world(tmp_path_factory.mktemp("world")) as chained:
        world = chained.world
        world.place(Wish(LI, "sell", 10, SOLD_LOTS, SELL_TICKS))
        world.place(Wish(ZHANG, "buy", 10, BOUGHT_LOTS, BUY_TICKS))
        world.commit(start_of(DAY, -5), at_once=True)
        world.place(Wish(CHEN, "sell", 11, SMALL_LOTS, SMALL_TICKS))
        world.place(Wish(WANG, "buy", 11, SMALL_LOTS, BUY_TICKS))
        world.commit(start_of(DAY, -4), at_once=True)
        assert world.trades == 2
        world.close(10, 11)
        export, imported, small, other = READ_LOTS
        world.meter((LI, 10, export, 0), (ZHANG, 10, 0, imported), (CHEN, 11, small, 0), (WANG, 11, 0, other))
        chained.settle(after_window(DAY))
        yield chained


@pytest.fixture(scope="module")
def stranger(settled: ChainedWorld) -> Stranger:
    return Stranger(settled.chain_file)


@pytest.mark.parametrize("meter", METERS)
def test_no_meter_and_no_name_is_on_the_chain_in_any_encoding(stranger: Stranger, meter: str) -> None:
    assert stranger.finds_text(meter) == []


def test_no_order_no_trade_and_no_reading_is_on_the_chain(stranger: Stranger, settled: ChainedWorld) -> None:
    for number in (SOLD_LOTS, BOUGHT_LOTS, SMALL_LOTS, SELL_TICKS, BUY_TICKS, SMALL_TICKS, *READ_LOTS):
        assert not stranger.finds_number(number), number
    with reading(settled.world.database) as connection:
        for trade in store.trades_between(connection, 1, 2):
            for half in (trade.record.buy, trade.record.sell):
                assert bytes(half.order_digest) not in stranger.raw
            assert trade.record.salts[:32] not in stranger.raw
        for row in cycle_store.cycles_in(connection):
            assert row.salt not in stranger.raw


def test_the_search_would_find_them(stranger: Stranger, settled: ChainedWorld) -> None:
    """What is on the chain is found: member numbers, netted deltas, deposits; and a planted value, however written."""
    for member in OWNERS.values():
        assert stranger.finds_number(member)
    with reading(settled.world.database) as connection:
        (row,) = cycle_store.cycles_in(connection)
        deltas = dict(delta for part in cycle_store.parts_from_json(row.parts) for delta in part.deltas)
    assert deltas and all(stranger.finds_number(amount_micro) for amount_micro in deltas.values())
    assert stranger.finds_number(200_000_000), "the deposits"
    assert stranger.finds_text("bank-100"), "the hash of a bank's reference can be tried: it must name nobody"
    for planted in (ZHANG.encode(), ZHANG.encode("utf-16-le"), keccak(ZHANG.encode()), ZHANG.encode().hex().encode()):
        caught = Stranger.__new__(Stranger)
        caught.raw, caught.words = stranger.raw + planted, set()
        assert caught.finds_text(ZHANG)
        caught._take(READ_LOTS[0].to_bytes(32, "big"))
        assert caught.finds_number(READ_LOTS[0])
        caught.words = set()
        caught._take(bytes(16) + READ_LOTS[1].to_bytes(8, "big") + bytes(8))
        assert caught.finds_number(READ_LOTS[1])


# --------------------------------------------------------------------------------------------------- guessing


def salts_to_try(chained: ChainedWorld) -> list[bytes]:
    """Whatever a stranger could take for a salt: none, zeros, what is public of the market, hashes of that."""
    public = [b"", bytes(32), DOMAIN.salt, *(event.transaction_hash for event in chained.chain.events(0))]
    numbers = [number.to_bytes(32, "big") for number in range(8)]
    return list(dict.fromkeys([*public, *numbers, *(keccak(each) for each in [*public, *numbers])]))


def roots_on_chain(chained: ChainedWorld) -> set[bytes]:
    names = ("trade_root", "trades_root", "readings_root", "statements_root", "journal_head", "commitment")
    found = {event.arguments.get(name) for event in chained.chain.events(0) for name in names}
    return {each for each in found if isinstance(each, bytes)}


def test_a_trade_can_not_be_guessed_even_by_one_who_knows_all_of_it_but_the_salts(settled: ChainedWorld) -> None:
    """A commitment to one trade has its leaf as root. All fields are given away; meters and members are tried."""
    roots = roots_on_chain(settled)
    with reading(settled.world.database) as connection:
        (trade,) = store.trades_between(connection, 1, 1)
    record = trade.record
    assert trade_leaf(record) in roots, "with the salts it is found: guessing means guessing them"
    tried = 0
    for salt in salts_to_try(settled):
        if len(salt) != 32:
            continue
        for buyer, seller in product(OWNERS.items(), repeat=2):
            guess = TradeRecord(record.common, _half(record.buy, *buyer), _half(record.sell, *seller), 3 * salt)
            assert trade_leaf(guess) not in roots
            tried += 1
    assert tried > 300


def _half(half: Half, meter: str, member: int) -> Half:
    return msgspec.structs.replace(half, meter=meter, member=member)


def test_readings_and_statement_lines_can_not_be_guessed(settled: ChainedWorld) -> None:
    """Every leaf that a dictionary of slots, nodes and energies gives, as a leaf and as the root of one."""
    roots = roots_on_chain(settled)
    nodes = list(settled.world.nodes.values())
    for salt in salts_to_try(settled):
        for node, energy_lots, hour in product(nodes, READ_LOTS, (10, 11)):
            for content in ([start_of(DAY, hour), node, energy_lots, 0], [start_of(DAY, hour), node, 0, energy_lots]):
                leaf = merkle.leaf(salt + msgspec.json.encode(content))
                assert leaf not in roots and merkle.node(leaf, leaf) not in roots


def test_a_head_of_the_journal_does_not_tell_whose_order_it_was(settled: ChainedWorld) -> None:
    """Market data show an order without its owner: with everything else known, its owner can not be tried out."""
    roots = roots_on_chain(settled)
    with reading(settled.world.database) as connection:
        links = [link for link in publish_store.all_links(connection) if bytes(link.head) in roots]
    assert links
    for link in links:
        known = {
            "batch": link.batch,
            "first_sequence": link.first_sequence,
            "last_sequence": link.last_sequence,
            "recorded_s": link.recorded_s,
            "commands": link.commands,
        }
        assert next_head(link.previous_head, **known, salt=link.salt) in roots
        assert all(next_head(link.previous_head, **known, salt=salt) not in roots for salt in salts_to_try(settled))


def test_a_household_with_one_trade_a_day_is_recognised_by_its_delta(settled: ChainedWorld) -> None:
    """What is left to guess, as the document says: the sum of a day, matched with everyone's trades without names."""
    with reading(settled.world.database) as connection:
        (row,) = cycle_store.cycles_in(connection)
        deltas = dict(delta for part in cycle_store.parts_from_json(row.parts) for delta in part.deltas)
        public = [trade.slot_trade for trade in store.trades_between(connection, 1, 2)]
    zhang, wang = OWNERS[ZHANG], OWNERS[WANG]
    paid = {member: -deltas[member] for member in (zhang, wang)}
    matching = {
        member: [trade.trade_id for trade in public if trade.quantity_lots * trade.buyer_price_ticks == amount_micro]
        for member, amount_micro in paid.items()
    }
    assert matching == {zhang: [1], wang: [2]}
