"""The feed: what happened to what a member may see, in one order, told to those who could see it then.

A step of settlement reads what is new (changes of receivables, offers, events of the chain), decides who may hear of
it, and appends it under the next number. Nothing told is ever changed, so that the same number gives the same event for
ever: a reader goes on after any number, and gets all that came later. What a chain gives up is told as a further
change; payments and auctions may be told twice then, under two numbers.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, Row

from data.database import reading
from data.units import FEN_DECIMALS, floor_fen, format_steps
from finance import consent_store, feed_store
from finance.listing import DRAFTED
from finance.receivable import State
from settlement.chain import ChainEvent

KINDS = ("receivable", "part", "offer", "auction", "payment", "consent")

EVERY_BANK = 0
"""Stands for all banks in an audience; no member has this number that could ask."""

AT_ONCE = 500
"""Events of each source in one transaction: orders wait for it no longer than for a batch of their own."""

_SHOWN_TO_BANKS = frozenset({State.LISTED})
_AUCTION_ENDS = {3: "settled", 4: "failed", 5: "cancelled"}


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an event says; amounts in CNY. ``before`` and ``after`` are states of a receivable or an auction, of a part
    what was and is open of it, in CNY.
    """

    part: int | None = None
    before: str | None = None
    after: str | None = None
    actor: int | None = None
    bank: int | None = None
    seller: int | None = None
    amounts: dict[str, str] = {}


class Told(NamedTuple):
    """An event before it has a number."""

    kind: str
    at_s: int
    receivable_id: bytes | None
    subject: int | None
    content: Content
    audience: frozenset[int]


def tell_due(database: Engine, now_s: int) -> bool:
    """Append what is new to the feed; whether there was something."""
    with reading(database) as connection:
        if not feed_store.is_news(connection):
            return False
    with database.begin() as connection:
        positions = feed_store.positions(connection)
        told: list[Told] = []
        for source, gather in _SOURCES.items():
            found, position = gather(connection, positions.get(source, 0), now_s)
            told += found
            feed_store.set_position(connection, source, position)
        append(connection, told)
    return True


def append(connection: Connection, told: Iterable[Told]) -> None:
    """Give events their numbers, in this order. What nobody may hear is left out."""
    rows, audience = [], []
    number = feed_store.last_number(connection)
    for each in told:
        if not each.audience:
            continue
        number += 1
        content = msgspec.json.encode(each.content).decode()
        rows.append((number, each.kind, each.at_s, each.receivable_id, each.subject, content))
        audience += [(member, number) for member in sorted(each.audience)]
    feed_store.add(connection, rows, audience)


# --------------------------------------------------------------------------------------------------- sources


def _changes(connection: Connection, position: int, now_s: int) -> tuple[list[Told], int]:
    """Changes of receivables. Who may see one now, or could before it, hears of it."""
    changes = feed_store.changes_after(connection, position, AT_ONCE)
    rows = feed_store.rows_of(connection, {change.receivable_id for change in changes})
    parties = _parties(connection, rows.values(), now_s)
    told = []
    for change in changes:
        audience, kind = parties[change.receivable_id], "receivable" if change.part is None else "part"
        if _SHOWN_TO_BANKS & {change.before, change.after}:
            audience = audience | {EVERY_BANK}
        if change.after == DRAFTED:
            continue  # the chain gave up its period: nobody sees it now
        content = Content(part=change.part, before=change.before, after=change.after, actor=change.actor)
        told.append(Told(kind, change.at_s, change.receivable_id, None, content, audience))
    return told, changes[-1].change if changes else position


def _offers(connection: Connection, position: int, now_s: int) -> tuple[list[Told], int]:
    """Offers as they are made: the seller's and the bank's own."""
    offers = feed_store.offers_after(connection, position, AT_ONCE)
    told = []
    for offer in offers:
        amounts = {"advance": _fen_text(offer.advance_fen), "proceeds": _fen_text(offer.proceeds_fen)}
        content = Content(bank=offer.bank, amounts=amounts)
        audience = frozenset({offer.creditor, offer.bank})
        told.append(Told("offer", offer.made_s, offer.receivable_id, offer.offer_id, content, audience))
    return told, offers[-1].offer_id if offers else position


def _consents(connection: Connection, position: int, now_s: int) -> tuple[list[Told], int]:
    """Consents, as they are granted and withdrawn; not as they end by themselves."""
    rows = consent_store.changes_after(connection, position, AT_ONCE)
    told = []
    for row in rows:
        is_over = row.withdrawn_s is not None
        content = Content(after="withdrawn" if is_over else "granted", bank=row.bank, seller=row.seller)
        at_s, audience = row.withdrawn_s if is_over else row.granted_s, frozenset({row.bank, row.seller})
        told.append(Told("consent", at_s, row.receivable_id, row.consent, content, audience))
    return told, rows[-1].change if rows else position


def _chain(connection: Connection, position: int, now_s: int) -> tuple[list[Told], int]:
    """Payments and auctions, as the chain says them."""
    events, after = feed_store.chain_events_after(connection, position, tuple(_OF_CHAIN), AT_ONCE)
    named = {event.arguments["receivable"] for event in events if "receivable" in event.arguments}
    rows = feed_store.rows_of(connection, {each for each in named if isinstance(each, bytes)})
    parties = _parties(connection, rows.values(), now_s, with_consent=False)
    told: list[Told] = []
    for event in events:
        found = _OF_CHAIN[event.event](connection, event, parties, told)
        if found is not None:
            told.append(found)
    return told, after


_SOURCES = {"changes": _changes, "offers": _offers, "consents": _consents, "chain": _chain}

Parties = dict[bytes, frozenset[int]]


def _parties(connection: Connection, rows: Iterable[Row[Any]], now_s: int, *, with_consent: bool = True) -> Parties:
    """By receivable: creditor, debtor, whoever holds some of it, and banks that its creditor lets see it."""
    rows = list(rows)
    found = {row.receivable_id: {row.creditor, row.debtor, row.holder} for row in rows}
    for receivable_id, holders in feed_store.holders_of(connection, set(found)).items():
        found[receivable_id] |= holders
    if with_consent:
        consents = consent_store.of_sellers(connection, {row.creditor for row in rows}, now_s)
        for row in rows:
            named = (each for each in consents if each.seller == row.creditor)
            found[row.receivable_id] |= {c.bank for c in named if c.receivable_id in (None, row.receivable_id)}
    return {receivable_id: frozenset(members) for receivable_id, members in found.items()}


def _payment(connection: Connection, event: ChainEvent, parties: Parties, told: Sequence[Told]) -> Told | None:
    receivable_id = event.arguments["receivable"]
    assert isinstance(receivable_id, bytes)
    if receivable_id not in parties:
        return None
    amounts = {name: value for name, value in event.arguments.items() if isinstance(value, int)}
    content = Content(amounts={name: _micro_text(value) for name, value in amounts.items() if name in _PAID})
    return Told("payment", event.block_s, receivable_id, None, content, parties[receivable_id])


_PAID = ("amount", "to_holder", "to_creditor", "to_costs", "to_interest", "to_advance", "to_residual", "price")


def _opened(connection: Connection, event: ChainEvent, parties: Parties, told: Sequence[Told]) -> Told | None:
    receivable_id, seller = event.arguments["receivable"], _number(event, "seller")
    assert isinstance(receivable_id, bytes)
    amounts = {name: _micro_text(_number(event, name)) for name in ("advance", "minimum", "bond", "costs")}
    content = Content(after="open", seller=seller, amounts=amounts)
    audience = frozenset({seller, EVERY_BANK})
    return Told("auction", event.block_s, receivable_id, _number(event, "auction"), content, audience)


def _awarded(connection: Connection, event: ChainEvent, parties: Parties, told: Sequence[Told]) -> Told | None:
    """The winner and the seller hear what is to be paid; the others that they have lost, by the auction's end."""
    opened, bank = _opening(connection, event, told), _number(event, "bank")
    if opened is None:
        return None
    receivable_id, seller = opened
    content = Content(after="awarded", bank=bank, amounts={"proceeds": _micro_text(_number(event, "proceeds"))})
    audience = frozenset({bank, seller})
    return Told("auction", event.block_s, receivable_id, _number(event, "auction"), content, audience)


def _ended(connection: Connection, event: ChainEvent, parties: Parties, told: Sequence[Told]) -> Told | None:
    opened = _opening(connection, event, told)
    if opened is None:
        return None
    receivable_id, seller = opened
    content = Content(after=_AUCTION_ENDS.get(_number(event, "state"), "ended"), seller=seller)
    audience = frozenset({seller, EVERY_BANK})
    return Told("auction", event.block_s, receivable_id, _number(event, "auction"), content, audience)


def _opening(connection: Connection, event: ChainEvent, told: Sequence[Told]) -> tuple[bytes, int] | None:
    """Receivable and seller of an auction, as its opening was told, perhaps just now."""
    auction = _number(event, "auction")
    for each in reversed(told):
        if each.kind == "auction" and each.subject == auction and each.content.seller is not None:
            assert each.receivable_id is not None
            return each.receivable_id, each.content.seller
    row = feed_store.first_of(connection, "auction", auction)
    if row is None:
        return None
    seller = msgspec.json.decode(row.content, type=Content).seller
    assert seller is not None, "an auction is opened before anything else is told of it"
    return row.receivable_id, seller


_OF_CHAIN = {
    "Repaid": _payment,
    "BoughtBack": _payment,
    "Compensated": _payment,
    "AuctionOpened": _opened,
    "Awarded": _awarded,
    "AuctionEnded": _ended,
}


def _number(event: ChainEvent, name: str) -> int:
    value = event.arguments[name]
    assert isinstance(value, int)
    return value


def _micro_text(amount_micro: int) -> str:
    return _fen_text(floor_fen(amount_micro))


def _fen_text(amount_fen: int) -> str:
    return format_steps(amount_fen, FEN_DECIMALS)
