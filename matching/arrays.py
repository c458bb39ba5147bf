"""Commands and events as rows of numpy arrays: what the kernel reads and writes, and the way from and to objects.

A basket is its legs, row after row; the first says how many. None has no place in a row: an amendment says by
``GIVES_QUANTITY`` and ``GIVES_PRICE`` what it gives, a limit that is none is ``NO_LIMIT_LOTS``, and ``FOR_ALL_SLOTS``
marks limits for every slot.
"""

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np

from matching.grid import GridError
from matching.kernel import (
    ACCEPTED,
    AMEND,
    AMENDED,
    CANCEL,
    CAPACITY,
    CLOSE,
    CLOSED,
    COMMAND,
    CONNECT,
    CONNECTED,
    FOR_ALL_SLOTS,
    GIVES_PRICE,
    GIVES_QUANTITY,
    LEG,
    LIMITED,
    NEW,
    NO_LIMIT_LOTS,
    REJECTED,
    REMOVED,
    TRADED,
    Rows,
)
from matching.order import (
    Accepted,
    Amend,
    Amended,
    Basket,
    Cancel,
    Capacity,
    Close,
    Closed,
    Command,
    Connect,
    Connected,
    Ended,
    Event,
    Level,
    Limited,
    New,
    Reason,
    Rejected,
    Removed,
    Side,
    Traded,
)


def rows_of(commands: Sequence[Command]) -> Rows:
    """Commands as rows, one for each sequence number. Raises OverflowError for a number that no row can hold."""
    rows: list[tuple[int, ...]] = []
    for command in commands:
        match command:
            case New():
                rows.append(_row_of_order(command, NEW, 0))
            case Basket():
                legs = command.legs
                if not legs:
                    raise GridError("a basket needs at least one leg")
                rows += [_row_of_order(leg, LEG, 0 if place else len(legs)) for place, leg in enumerate(legs)]
            case Cancel():
                rows.append((command.order_id, 0, 0, 0, 0, 0, 0, 0, CANCEL, 0, 0, 0, 0))
            case Amend():
                rows.append(_row_of_amendment(command))
            case Close():
                rows.append((0, 0, 0, command.slot, 0, 0, 0, 0, CLOSE, 0, 0, 0, 0))
            case Capacity():
                up, down = row_of_limit(command.export_lots), row_of_limit(command.import_lots)
                slot, flags = (0, FOR_ALL_SLOTS) if command.slot is None else (command.slot, 0)
                rows.append((0, 0, command.node, slot, up, down, 0, 0, CAPACITY, 0, 0, 0, flags))
            case Connect():
                up, down = row_of_limit(command.export_lots), row_of_limit(command.import_lots)
                rows.append((0, 0, command.node, 0, up, down, command.parent, 0, CONNECT, 0, 0, command.level, 0))
            case _:
                assert_never(command)
    return np.array(rows, COMMAND)


def _row_of_order(new: New, kind: int, legs: int) -> tuple[int, ...]:
    return (
        new.order_id,
        new.member,
        new.meter,
        new.slot,
        new.quantity_lots,
        new.price_ticks,
        new.terms_days,
        legs,
        kind,
        new.side,
        new.tif,
        new.reach,
        0,
    )


def _row_of_amendment(amend: Amend) -> tuple[int, ...]:
    quantity_lots, price_ticks, flags = 0, 0, 0
    if amend.quantity_lots is not None:
        quantity_lots, flags = amend.quantity_lots, flags | GIVES_QUANTITY
    if amend.price_ticks is not None:
        price_ticks, flags = amend.price_ticks, flags | GIVES_PRICE
    return (amend.order_id, 0, 0, 0, quantity_lots, price_ticks, 0, 0, AMEND, 0, 0, 0, flags)


def row_of_limit(limit_lots: int | None) -> int:
    return NO_LIMIT_LOTS if limit_lots is None else limit_lots


def limit_of_row(limit_lots: int) -> int | None:
    return None if limit_lots == NO_LIMIT_LOTS else limit_lots


def events_of(rows: Rows) -> list[Event]:
    """Rows as events."""
    return [_event_of(row) for row in rows.tolist()]


def _event_of(row: tuple[Any, ...]) -> Event:
    sequence, order_id, other, slot, quantity_lots, price_ticks, buyer_price_ticks, _, kind, reason, side, level = row
    event: Event
    if kind == TRADED:
        event = Traded(
            sequence,
            slot,
            order_id,
            other,
            quantity_lots,
            price_ticks,
            buyer_price_ticks,
            _SIDES[side],
            _LEVELS[level],
        )
    elif kind == ACCEPTED:
        event = Accepted(sequence, order_id)
    elif kind == REMOVED:
        event = Removed(sequence, order_id, quantity_lots, _ENDS[reason])
    elif kind == REJECTED:
        event = Rejected(sequence, order_id, _REASONS[reason])
    elif kind == AMENDED:
        event = Amended(sequence, order_id, quantity_lots, price_ticks, other)
    elif kind == CLOSED:
        event = Closed(sequence, slot)
    elif kind == LIMITED:
        limited_slot = None if level else slot
        event = Limited(sequence, order_id, limited_slot, limit_of_row(quantity_lots), limit_of_row(price_ticks))
    else:
        assert kind == CONNECTED, f"no such kind of event: {kind}"
        event = Connected(sequence, order_id)
    return event


_SIDES = {int(side): side for side in Side}
_LEVELS = {int(level): level for level in Level}
_ENDS = {int(ended): ended for ended in Ended}
_REASONS = {int(reason): reason for reason in Reason}
