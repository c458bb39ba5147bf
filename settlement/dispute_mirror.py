"""What the chain's events about disputes mean here: challenges open and end, trades are struck, cycles fall."""

import logging
from collections.abc import Sequence

from sqlalchemy import Connection

from settlement import cycle_store, dispute_store, reading_store, store
from settlement.chain import ChainEvent

_log = logging.getLogger("jinsha.disputes")


def follow(connection: Connection, event: ChainEvent) -> None:
    """Carry out one event, if it is about a dispute. They must come in the chain's order."""
    handle = _HANDLERS.get((event.contract, event.event))
    if handle is not None:
        handle(connection, event)


def _number(event: ChainEvent, name: str) -> int:
    value = event.arguments[name]
    assert isinstance(value, int)
    return value


def _bytes(event: ChainEvent, name: str) -> bytes:
    value = event.arguments[name]
    assert isinstance(value, bytes)
    return value


def _challenged(connection: Connection, event: ChainEvent) -> None:
    number = _number(event, "cycle")
    dispute_store.add_challenge(
        connection,
        {
            "name": _bytes(event, "challenge"),
            "cycle": number,
            "trade_id": _number(event, "trade"),
            "side": _number(event, "side"),
            "leaf": _bytes(event, "leaf"),
            "challenger": _number(event, "challenger"),
            "opened_s": event.block_s,
            "due_s": _number(event, "due_s"),
        },
    )
    row = cycle_store.cycle(connection, number)
    if row is not None and row.state in ("proposed", "applying"):  # the chain refuses the parts that were sent
        cycle_store.set_cycle(connection, number, state="disputed")


def _answered(connection: Connection, event: ChainEvent) -> None:
    number = _number(event, "cycle")
    dispute_store.close_challenge(connection, _bytes(event, "challenge"), dispute_store.ANSWERED)
    row = cycle_store.cycle(connection, number)
    if row is not None and row.state == "disputed" and not dispute_store.open_challenges(connection, number):
        cycle_store.set_cycle(connection, number, state="proposed")


def _upheld(connection: Connection, event: ChainEvent) -> None:
    dispute_store.close_challenge(connection, _bytes(event, "challenge"), dispute_store.UPHELD)


def _voided(connection: Connection, event: ChainEvent) -> None:
    dispute_store.void_from(connection, _number(event, "cycle"), event.block_s)


def _struck(connection: Connection, event: ChainEvent) -> None:
    number, leaf = _number(event, "cycle"), _bytes(event, "leaf")
    trade_id = _trade_of(connection, number, leaf)
    if trade_id is None:
        _log.critical("struck_trade_unknown", extra={"fields": {"cycle": number, "leaf": leaf.hex()}})
        return
    row = {"trade_id": trade_id, "leaf": leaf, "cycle": number, "member_id": _number(event, "member")}
    dispute_store.add_struck(connection, {**row, "struck_s": event.block_s})


def _trade_of(connection: Connection, cycle: int, leaf: bytes) -> int | None:
    """The trade with a leaf: the one that was challenged under it, or one of the day of the void cycle."""
    challenged = dispute_store.trade_challenged_as(connection, leaf)
    if challenged is not None:
        found = store.trades_between(connection, challenged, challenged)
        return challenged if found and found[0].leaf == leaf else None
    for fallen in dispute_store.void_rounds(connection, cycle)[-1:]:
        for slot_s in reading_store.busy_slots(connection, fallen.start_s, fallen.end_s):
            for trade in store.trades_of_slots(connection, slot_s, slot_s + 1, with_struck=True):
                if trade.leaf == leaf:
                    return trade.slot_trade.trade_id
    return None


def unroll(connection: Connection, left: Sequence[ChainEvent]) -> None:
    """Challenges and struck trades as the events that are left make them, after some were undone.

    A cycle that fell stays fallen: its challenge is open again and due, and the same call is sent again.
    """
    asked = [event for event in left if event.event == "Challenged"]
    dispute_store.drop_challenges(connection, len(asked))
    for number, event in enumerate(asked, start=1):
        later = left[left.index(event) + 1 :]
        name = event.arguments["challenge"]
        ends = (_ENDS[each.event] for each in later if each.event in _ENDS and each.arguments["challenge"] == name)
        dispute_store.set_challenge(connection, number, state=next(ends, dispute_store.OPEN))
    said = {event.arguments["leaf"] for event in left if event.event == "Struck"}
    dispute_store.drop_struck(
        connection, [row.trade_id for row in dispute_store.struck(connection) if row.leaf not in said]
    )
    for row in cycle_store.cycles_in(connection, "disputed"):
        if not dispute_store.open_challenges(connection, row.cycle):
            cycle_store.set_cycle(connection, row.cycle, state="proposed")


_ENDS = {"Answered": dispute_store.ANSWERED, "Upheld": dispute_store.UPHELD}
_HANDLERS = {
    ("Disputes", "Challenged"): _challenged,
    ("Disputes", "Answered"): _answered,
    ("Disputes", "Upheld"): _upheld,
    ("Disputes", "Struck"): _struck,
    ("Clearing", "CycleVoided"): _voided,
}
