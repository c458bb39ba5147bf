"""What the chain says of receivables, carried out in the database: states, parts, what is due and paid, the history.

The database follows: something changes here only because the contract said so. ``follow`` is called with new events in
the transaction that keeps them, so that a crash leaves no event half mirrored. What an event does is in
``position.py``; here it is written down, with who did it, before and after. What the calendar does, the chain says too:
``marking.py`` only asks it to look at the calendar.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row

from data.units import format_money
from finance import parts_store, period_store, store
from finance.life import is_part_act
from finance.parts import ClaimKind
from finance.position import ABSENT, OF_RECEIVABLES, Position, part_after, step
from finance.receivable import Act, State, chain_state, is_reachable
from finance.rows import position_of
from settlement import calendar
from settlement.chain import ChainEvent
from settlement.receivable_acts import ChainState

NOBODY = 0
"""The actor of what nobody does."""


class MirrorError(Exception):
    """The chain and the database contradict each other: this database is not this chain's, or one was changed."""


def follow(connection: Connection, events: Sequence[ChainEvent], now_s: int, time_zone: str) -> int:
    """Carry out the events on receivables among some new ones; returns how many changes of state there were.

    An event that was carried out before changes nothing. Raises MirrorError.
    """
    said: dict[tuple[bytes, bytes], str] = {}
    changes = 0
    for event in events:
        if event.contract not in OF_RECEIVABLES:
            continue
        if event.event == "PeriodIssued":
            changes += _issue(connection, event, now_s)
        elif event.event in TOLD:
            changes += _take(connection, event, said, now_s, calendar.day_of(event.block_s, time_zone))
    return changes


def issued_words(period: int) -> str:
    """What the history says when a period is issued."""
    return f"period {period} was issued"


def _issue(connection: Connection, event: ChainEvent, now_s: int) -> int:
    number = _number(event, "period")
    period = period_store.period(connection, number)
    said = (_bytes(event, "root"), _number(event, "count"))
    if period is None or (period.root, period_store.count_of(period)) != said:
        raise MirrorError(f"the chain issued a period {number} that is not in this database")
    if period.state == "issued":
        return 0
    period_store.set_period(connection, number, state="issued")
    change = {
        "after": State.ISSUED.value,
        "actor": NOBODY,
        "at_s": event.block_s,
        "reason": issued_words(number),
        "block": event.block,
        "log_index": event.log_index,
    }
    return period_store.issue_all(connection, number, change, store.last_change(connection), now_s)


def _take(
    connection: Connection, event: ChainEvent, said: dict[tuple[bytes, bytes], str], now_s: int, day: date
) -> int:
    """One event on one receivable: its columns, its parts, its history."""
    receivable_id = _bytes(event, "receivable")
    row = store.receivable(connection, receivable_id)
    if row is None:
        raise MirrorError(f"the chain speaks of {receivable_id.hex()}, which is not here")
    if store.is_mirrored(connection, receivable_id, event.block, event.log_index):
        return 0
    before = position_of(row, parts_store.parts_of(connection, [receivable_id]).get(receivable_id, []))
    _check(event, before)
    after = step(before, event, day)
    place = (event.transaction_hash, receivable_id)
    words = words_of(event)
    if words is not None:
        said[place] = words
    store.set_receivable(connection, receivable_id, **after.columns)
    change = change_of(event, after.state, said.get(place, ""))
    if change is not None:
        if event.event == "Changed" and event.arguments["after"] in REASONED:
            change["reason"] = row.act_reason or ""
        _record(connection, receivable_id, event, change, now_s)
    if event.event == "PartChanged":
        part = part_after(event.arguments)
        parts_store.put_part(connection, receivable_id, part, store.change_of(connection, receivable_id))
    _end_act(connection, row, event)
    if after.state == before.state:
        return 0
    _end_offers(connection, receivable_id, after)
    return int(event.arguments["before"] != ABSENT)


def _check(event: ChainEvent, position: Position) -> None:
    if event.event != "Changed" or event.arguments["before"] == ABSENT:
        return
    before, after = (chain_state(_number(event, name)) for name in ("before", "after"))
    if position.state != before or not is_reachable(before, after):
        name = _bytes(event, "receivable").hex()
        raise MirrorError(f"the chain moved {name} from {before} to {after}; it is {position.state} here")


def _end_act(connection: Connection, row: Row[Any], event: ChainEvent) -> None:
    """What was on its way for a receivable has come: the calendar's doing is nobody's act."""
    if row.act is None or not _is_of(Act(row.act), event):
        return
    store.set_receivable(connection, row.receivable_id, act=None, act_outbox=None, act_reason=None)


def _is_of(act: Act, event: ChainEvent) -> bool:
    match event.event:
        case "PartChanged":
            return is_part_act(act) and event.arguments["actor"] != NOBODY
        case "FrozenChanged":
            return act is Act.FREEZE
        case "Compensated":
            return act is Act.COMPENSATE
        case "Changed":
            return event.arguments["actor"] != NOBODY and event.arguments["before"] != ABSENT
        case _:
            return False


def _end_offers(connection: Connection, receivable_id: bytes, after: Position) -> None:
    if after.state == State.FINANCED:
        store.accept_offer(connection, receivable_id, after.holder, after.advance_fen, after.proceeds_fen)
    if after.state not in (State.ACKNOWLEDGED, State.LISTED, State.RESERVED):
        store.lapse_offers(connection, receivable_id)


def _record(
    connection: Connection, receivable_id: bytes, event: ChainEvent, change: dict[str, Any], now_s: int
) -> None:
    place = {"at_s": event.block_s, "block": event.block, "log_index": event.log_index}
    store.add_change(connection, {"receivable_id": receivable_id, **change, **place}, now_s)


# ------------------------------------------------------------------------------------- what histories say

TOLD = frozenset(
    {
        "Materialised",
        "Changed",
        "PartChanged",
        "PartPledged",
        "Assigned",
        "Financed",
        "Repaid",
        "BoughtBack",
        "Compensated",
        "Disputed",
        "FrozenChanged",
        "TradesClaimed",
    }
)
"""The events that this mirror carries out; those of auctions and programs have mirrors of their own."""


REASONED = (ChainState.REJECTED, ChainState.CANCELLED, ChainState.DISPUTED)
"""Their actors say why, in words that the chain does not hold."""


def change_of(event: ChainEvent, state: str, words: str) -> dict[str, Any] | None:
    """The row of the history that an event makes: part, before, after, actor and reason; None when it makes none.

    ``words`` were said in the same transaction, ``state`` is the receivable's after the event.
    """
    said: dict[str, Any] = event.arguments
    match event.event:
        case "Changed" if said["before"] != ABSENT:
            before, after = (chain_state(said[name]).value for name in ("before", "after"))
            return {"part": None, "before": before, "after": after, "actor": said["actor"], "reason": words}
        case "PartChanged":
            before, after = (format_money(said[name]) for name in ("before", "after"))
            change = {"part": said["part"], "before": before, "after": after, "actor": said["actor"]}
            return change | {"reason": _part_words(said)}
        case "FrozenChanged":
            return _flag(state, said["actor"], "frozen" if said["frozen"] else "no longer frozen")
        case "Compensated":
            return _flag(state, NOBODY, f"the creditor paid {format_money(said['amount'])} CNY to the debtor")
        case "TradesClaimed":
            how_many = "all" if said["is_complete"] else f"{said['count']} of"
            return _flag(state, NOBODY, f"{how_many} its trades are claimed")
        case _:
            return None


def _flag(state: str, actor: int, words: str) -> dict[str, Any]:
    return {"part": None, "before": state, "after": state, "actor": actor, "reason": words}


def _part_words(said: dict[str, Any]) -> str:
    claim = "holder's claim" if said["claim"] == ClaimKind.HOLDER else "residual"
    pledged = f", pledged to {said['pledgee']}" if said["pledgee"] else ""
    return f"{claim} of {said['owner']}{pledged}"


def words_of(event: ChainEvent) -> str | None:
    """What an event says of the change that comes after it in the same transaction; None: nothing."""
    said: dict[str, Any] = event.arguments
    match event.event:
        case "Financed":
            proceeds, advance = format_money(said["proceeds"]), format_money(said["advance"])
            return f"{said['bank']} paid {proceeds} CNY and is owed {advance} CNY first"
        case "Repaid":
            names = ("amount", "to_costs", "to_interest", "to_advance", "to_residual")
            amount, *shares = (format_money(said[name]) for name in names)
            return "paid {} CNY: {} costs, {} interest, {} advance, {} residual".format(amount, *shares)
        case "BoughtBack":
            return f"bought back for {format_money(said['price'])} CNY"
        case _:
            return None


def _number(event: ChainEvent, name: str) -> int:
    value = event.arguments[name]
    assert isinstance(value, int)
    return value


def _bytes(event: ChainEvent, name: str) -> bytes:
    value = event.arguments[name]
    assert isinstance(value, bytes)
    return value
