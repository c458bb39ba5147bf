"""What the audit asks of finance: that receivables, remainders and offers are what trades, signatures and chain say.

Periods are drafted anew from the cycles that the audit has examined; states, holders and payments are computed anew
from the chain's own events, not from the mirror's history; offers are computed anew from their quotes, and their
banks' signatures verified.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from data.units import UnitError
from finance import parts_store, period_store, store
from finance.calendar import DayCount
from finance.examine import PeriodExaminer
from finance.listing import DRAFTED
from finance.mirror import TOLD, change_of
from finance.offer import OfferError, Quote, parse_rate_ppm, terms_of
from finance.offers import QuotedTerms, chain_offer
from finance.parts import Part
from finance.periods import whole_period
from finance.position import OF_RECEIVABLES, Position, issued, step
from finance.receivable import State, chain_state
from settlement import calendar, sale_acts, signatures
from settlement import store as settlement_store
from settlement.audit_scene import Scene, Step, Tick
from settlement.chain import ChainEvent
from settlement.contradiction import Contradiction, differs
from settlement.examine_cycle import SettledTrade
from settlement.intents import Domain
from settlement.keys import KeyHistory
from settlement.merkle import EMPTY_ROOT

Change = tuple[str, int | None, str, str, int, int, int, int]
"""Receivable (hex), part, before, after, actor, time in seconds, block, log index."""


def steps(scene: Scene) -> list[Step]:
    """The steps on finance, after those of settlement: ``more_steps`` of ``settlement/audit.py``."""
    receivables, offers = store.all_receivables(scene.connection), store.all_offers(scene.connection)
    return [
        Step("billing periods: receivables, remainders, roots", "receivables", len(receivables), _periods),
        Step("receivables against the chain", "receivables", len(receivables), _on_chain),
        Step("offers: their arithmetic and signatures", "offers", len(offers), _offers),
    ]


def _periods(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    yield from audit_periods(scene.connection, scene.examiner.settled, scene.examiner.days, tick)


def _on_chain(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    mirrored = settlement_store.last_mirrored_block(scene.connection)
    events = [event for event in scene.events if event.block <= mirrored]
    yield from audit_positions(scene.connection, events, scene.terms.rules.time_zone)
    tick(len(store.all_receivables(scene.connection)))


def _offers(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    domain, time_zone = scene.chain.domain("Sales"), scene.terms.rules.time_zone
    yield from audit_offers(scene.connection, scene.keys, domain, time_zone)
    tick(len(store.all_offers(scene.connection)))


# -------------------------------------------------------------------------------------------------- periods


def audit_periods(
    connection: Connection, settled: Sequence[SettledTrade], cycle_days: Mapping[int, str], tick: Tick
) -> Iterator[Contradiction]:
    """Where a billing period is not what the examined cycles come to; none after the first is looked at then."""
    yield from _days(store.all_receivables(connection))
    examiner = PeriodExaminer()
    for row in period_store.periods_in(connection):
        published = whole_period(connection, row.period)
        assert published is not None
        found = examiner.examine(published, settled, cycle_days)
        if found is not None:
            yield found
            return
        tick(len(published.receivables))


def _days(rows: Iterable[Row[Any]]) -> Iterator[Contradiction]:
    for row in rows:
        for column in ("issue_day", "due_day"):
            try:
                date.fromisoformat(getattr(row, column))
            except ValueError as error:
                yield Contradiction("receivables", row.receivable_id.hex(), column, f"is no day: {error}")


# ----------------------------------------------------------------------------------------------- the chain


def audit_positions(connection: Connection, events: Iterable[ChainEvent], time_zone: str) -> Iterator[Contradiction]:
    """Where periods, receivables and their parts are not as the chain leaves them.

    ``events`` are the chain's own, from its first block to the last that was mirrored.
    """
    events = [event for event in events if event.contract in OF_RECEIVABLES]
    rows = store.all_receivables(connection)
    found = positions(rows, events, time_zone)
    yield from _audit_roots(connection, events)
    yield from _audit_rows(rows, found)
    yield from _audit_parts(rows, found, parts_store.all_parts(connection))
    stated = Counter(
        (row.receivable_id.hex(), row.part, row.before, row.after, row.actor, row.at_s, row.block, row.log_index)
        for row in store.all_changes(connection)
    )
    computed = Counter(changes(rows, events, time_zone))
    for change in [*(stated - computed), *(computed - stated)]:
        where = "here and not on the chain" if change in stated else "on the chain and not here"
        yield Contradiction("receivable_history", change[0], "part, before, after", f"{change[1:]} is {where}")


def _audit_roots(connection: Connection, events: Iterable[ChainEvent]) -> Iterator[Contradiction]:
    issued = {
        _number(event, "period"): (_bytes(event, "root"), _number(event, "count"))
        for event in events
        if event.event == "PeriodIssued"
    }
    for row in period_store.periods_in(connection):
        stated = (row.root, period_store.count_of(row)) if row.state == "issued" and row.root != EMPTY_ROOT else None
        computed = issued.pop(row.period, None)
        if stated != computed:
            why = "the chain has another root, or none" if stated else "the chain has issued it"
            yield Contradiction("periods", str(row.period), "state, root, count", why)
    for number in issued:
        yield Contradiction("periods", str(number), "period", "it is on the chain and not here")


def _audit_rows(rows: Sequence[Row[Any]], found: Mapping[bytes, Position]) -> Iterator[Contradiction]:
    kept = {row.receivable_id: row for row in rows}
    for receivable_id, position in found.items():
        name, row = receivable_id.hex(), kept.get(receivable_id)
        if row is None:
            yield Contradiction("receivables", name, "receivable_id", "it is on the chain and not here")
            continue
        for column, computed in position.columns.items():
            stated = getattr(row, column)
            if stated != computed:
                yield differs("receivables", name, column, stated=stated, computed=computed)


def _audit_parts(
    rows: Iterable[Row[Any]],
    found: Mapping[bytes, Position],
    kept: Mapping[bytes, Mapping[int, tuple[Part, int]]],
) -> Iterator[Contradiction]:
    latest = {row.receivable_id: row.change for row in rows}
    for receivable_id in [*found, *(each for each in kept if each not in found)]:
        computed = found[receivable_id].parts if receivable_id in found else {}
        stated = kept.get(receivable_id, {})
        for number in sorted({*computed, *stated}):
            key = f"{receivable_id.hex()}, {number}"
            part, change = stated.get(number, (None, None))
            if part != computed.get(number):
                yield Contradiction(
                    "receivable_parts", key, "part", f"{part} here, {computed.get(number)} on the chain"
                )
            elif change != latest[receivable_id]:
                yield differs("receivable_parts", key, "change", stated=change, computed=latest[receivable_id])


def positions(rows: Sequence[Row[Any]], events: Iterable[ChainEvent], time_zone: str) -> dict[bytes, Position]:
    """Where every receivable stands by events alone; ``rows`` say only which there are, of which period, and whose."""
    found = {row.receivable_id: _drafted(row) for row in rows}
    for event in events:
        if event.event == "PeriodIssued":
            for row in rows:
                if row.period == _number(event, "period"):
                    found[row.receivable_id] = found[row.receivable_id]._replace(state=State.ISSUED.value)
        elif event.event in TOLD:
            receivable_id = _bytes(event, "receivable")
            before = found.get(receivable_id, Position("unknown", 0, date.max.isoformat()))
            found[receivable_id] = step(before, event, calendar.day_of(event.block_s, time_zone))
    return found


def _drafted(row: Row[Any]) -> Position:
    return issued(row.creditor, row.due_day)._replace(state=DRAFTED)


def changes(rows: Sequence[Row[Any]], events: Iterable[ChainEvent], time_zone: str) -> Iterator[Change]:
    """The changes that the history must hold."""
    states: dict[bytes, str] = {}
    for event in events:
        at = (event.block_s, event.block, event.log_index)
        if event.event == "PeriodIssued":
            for row in rows:
                if row.period == _number(event, "period"):
                    states[row.receivable_id] = State.ISSUED.value
                    yield (row.receivable_id.hex(), None, DRAFTED, State.ISSUED.value, 0, *at)
            continue
        if event.event not in TOLD:
            continue
        receivable_id = _bytes(event, "receivable")
        if event.event == "Changed":
            states[receivable_id] = chain_state(_number(event, "after")).value
        change = change_of(event, states.get(receivable_id, ""), "")
        if change is not None:
            told = (change["part"], change["before"], change["after"], change["actor"])
            yield (receivable_id.hex(), *told, *at)


# -------------------------------------------------------------------------------------------------- offers


def audit_offers(connection: Connection, keys: KeyHistory, domain: Domain, time_zone: str) -> Iterator[Contradiction]:
    """Where an offer is not what its quote comes to, or its bank did not sign it. ``domain`` is that of Sales."""
    faces = {row.receivable_id: row for row in store.all_receivables(connection)}
    for offer in store.all_offers(connection):
        if offer.receivable_id not in faces:
            yield Contradiction("offers", str(offer.offer_id), "receivable_id", "there is no such receivable")
            continue
        column = _offer_problem(offer, faces[offer.receivable_id], time_zone)
        if column is not None:
            yield Contradiction("offers", str(offer.offer_id), column, "it is not what the quote comes to")
            continue
        digest = sale_acts.offer_digest(domain, chain_offer(offer))
        if not any(signatures.is_signed(key, digest, offer.signature) for key in keys.all_of(offer.bank)):
            yield Contradiction("offers", str(offer.offer_id), "signature", f"it is not that of bank {offer.bank}")


def _offer_problem(offer: Row[Any], receivable: Row[Any], time_zone: str) -> str | None:
    """The first column that does not follow from the quote, the face and the days."""
    try:
        quoted = msgspec.json.decode(offer.terms, type=QuotedTerms)
        quote = Quote(
            advance_rate_ppm=parse_rate_ppm(quoted.advance_rate),
            rate_ppm=parse_rate_ppm(quoted.rate),
            day_count=DayCount(quoted.days_basis),
            fee_fen=offer.fee_fen,
        )
        made_on = calendar.day_of(offer.made_s, time_zone)
        days = quote.day_count.days(made_on, date.fromisoformat(receivable.due_day))
        terms = terms_of(receivable.face_fen, quote, days)
    except (msgspec.DecodeError, UnitError, OfferError, ValueError):
        return "terms"
    if quoted.days != days:
        return "terms"
    return next((name for name in _OFFERED if getattr(offer, name) != getattr(terms, name)), None)


_OFFERED = ("advance_fen", "discount_fen", "proceeds_fen")


def _number(event: ChainEvent, name: str) -> int:
    value = event.arguments[name]
    assert isinstance(value, int)
    return value


def _bytes(event: ChainEvent, name: str) -> bytes:
    value = event.arguments[name]
    assert isinstance(value, bytes)
    return value
