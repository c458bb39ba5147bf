"""When the chain gives up blocks: a reorganisation, or a node that came back with an older state.

What was mirrored of such blocks is undone, and what was sent in them goes out again with the same bytes, so that
nothing is lost and nothing happens twice. Where blocks are final at once (the embedded chain, QBFT) or are read only at
a depth, this is the exception; it must then be right all the same.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine

from data.database import reading
from settlement import cycle_store, dispute_mirror, mirror, mirror_store, outbox, store
from settlement.chain import Chain

KNOWN_AT_ONCE = 50


def first_lost_block(database: Engine, chain: Chain) -> int | None:
    """The lowest block of which something is kept here and which the chain does not have any more; None: all stand.

    One question when all is well, for a block's hash covers those before it. Raises ChainUnavailableError.
    """
    lost, below = None, None
    while True:
        with reading(database) as connection:
            known = mirror_store.known_blocks(connection, below, KNOWN_AT_ONCE if lost is not None else 1)
        if not known:
            return lost
        for (number, ours), theirs in zip(known, chain.block_hashes([each for each, _ in known]), strict=True):
            if ours == theirs:
                return lost
            lost = below = number


def unroll(connection: Connection, from_block: int) -> int:
    """Undo what was mirrored from a block on, and put what was sent in those blocks on its way; how many calls.

    Whoever mirrors more undoes it in the same transaction, after this, with the events of those blocks read before.
    """
    sent_again = outbox.send_again(connection, from_block)
    mirror_store.drop_chain_events(connection, from_block)
    events = mirror_store.mirrored_events(connection)
    balances: dict[int, store.Balance] = {}
    mirror.apply_to(balances, events)
    kept = store.balances(connection)
    store.put_balances(connection, {member: mirror.new_balance() for member in kept} | balances)
    dispute_mirror.unroll(connection, events)
    _set_cycles_back(connection, [(event.event, event.arguments.get("cycle")) for event in events])
    return sent_again


def _set_cycles_back(connection: Connection, left: Sequence[tuple[str, object]]) -> None:
    """Cycles as far as the events that are left carry them; parts that were sent are on their way again."""
    for row in cycle_store.cycles_in(connection, "proposed", "disputed", "applying", "applied"):
        state = row.state
        if state == "applied" and ("CycleApplied", row.cycle) not in left:
            state = "applying"
        if state in ("proposed", "disputed") and ("Proposed", row.cycle) not in left:
            state = "signed"
        if state != row.state:
            cycle_store.set_cycle(connection, row.cycle, state=state)
