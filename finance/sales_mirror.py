"""What the chain says of auctions and programs, carried out in the database, and undone when it gives up blocks.

``follow`` is called with new events in the transaction that keeps them. Events that came before change nothing. What a
sale does to its receivable is the other mirror's (``mirror.py``); here only the act that opened an auction is cleared.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from data.units import floor_fen
from finance import auction_store, program_store, store
from finance.auction import EVENTS, auctions_in, opened
from settlement import mirror_store
from settlement.chain import ChainEvent


def follow(connection: Connection, events: Sequence[ChainEvent]) -> int:
    """Carry out the events of ``Sales`` among some new ones; returns how many that were."""
    mine = [event for event in events if event.contract == "Sales"]
    for event in mine:
        if event.event in EVENTS:
            _auction(connection, event)
        elif event.event == "Drawn":
            _drawn(connection, event)
        elif event.event == "ProgramCancelled":
            _cancelled(connection, event)
    return len(mine)


def _auction(connection: Connection, event: ChainEvent) -> None:
    number = _number(event, "auction")
    kept = auction_store.auction_of(connection, number)
    if event.event == "AuctionOpened":
        if kept is None:
            auction = opened(event)
            auction_store.keep(connection, auction)
            arrived = {"act": None, "act_outbox": None, "act_reason": None}
            store.set_receivable(connection, auction.receivable_id, **arrived)
        return
    assert kept is not None, f"auction {number} was opened before"
    after = kept.after(event)
    if after != kept:
        auction_store.keep(connection, after)


def _drawn(connection: Connection, event: ChainEvent) -> None:
    digest = event.arguments["program"]
    assert isinstance(digest, bytes)
    program = program_store.by_digest(connection, digest)
    if program is not None:  # a bank and a seller may have met without this market
        program_store.change(connection, program.program, drawn_fen=floor_fen(_number(event, "drawn")))


def _cancelled(connection: Connection, event: ChainEvent) -> None:
    program = program_store.by_nonce(connection, _number(event, "bank"), _number(event, "nonce"))
    if program is not None:
        program_store.change(connection, program.program, state="cancelled", act_outbox=None)


# ------------------------------------------------------------------------------------------- blocks given up


def unroll(connection: Connection, lost: Sequence[ChainEvent]) -> int:
    """Undo the ``lost`` events of ``Sales``; returns how many auctions and programs were set back.

    What is left on the chain says how they stand. Called when the lost events are no longer kept.
    """
    gone = [event for event in lost if event.contract == "Sales"]
    if not gone:
        return 0
    left = [event for event in mirror_store.mirrored_events(connection) if event.contract == "Sales"]
    standing = auctions_in(left)
    numbers = {_number(event, "auction") for event in gone if event.event in EVENTS}
    for number in sorted(numbers):
        auction_store.forget_bids(connection, number)
        if number in standing:
            auction_store.keep(connection, standing[number])
        else:
            auction_store.forget(connection, number)
    return len(numbers) + _unroll_programs(connection, gone, left)


def _unroll_programs(connection: Connection, gone: Sequence[ChainEvent], left: Sequence[ChainEvent]) -> int:
    """What a program has advanced is what its last draw that is left says; a cancellation has not happened."""
    drawn = {event.arguments["program"]: _number(event, "drawn") for event in left if event.event == "Drawn"}
    set_back = 0
    for event in gone:
        if event.event == "Drawn":
            digest = event.arguments["program"]
            assert isinstance(digest, bytes)
            program = program_store.by_digest(connection, digest)
            values: dict[str, Any] = {"drawn_fen": floor_fen(drawn.get(digest, 0))}
        elif event.event == "ProgramCancelled":
            program = program_store.by_nonce(connection, _number(event, "bank"), _number(event, "nonce"))
            values = {"state": "drafted" if program is None or program.signature is None else "open"}
        else:
            continue
        if program is not None:
            program_store.change(connection, program.program, **values)
            set_back += 1
    return set_back


def _number(event: ChainEvent, name: str) -> int:
    value = event.arguments[name]
    assert isinstance(value, int)
    return value
