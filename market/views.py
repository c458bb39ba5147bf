"""Orders, trades and books as answers, with decimals and times as text."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from data.units import format_energy, format_instant, format_money, format_price
from market.jobs import Placed
from market.openapi.fields import Energy, Instant, Money, Price, choice
from market.order_store import OwnTrade
from market.problems import Problem, ProblemBody
from market.records import TradeRecord
from matching.book import Depth, Quote
from matching.order import Level, Side, Tif

_SIDES = {int(side): side.name.lower() for side in Side}
_LEVELS = {int(level): level.name.lower() for level in Level}
_TIFS = {int(tif): tif.name.lower() for tif in Tif}

Distance = Annotated[str, choice("transformer", "feeder", "substation")]
SideName = Annotated[str, choice("buy", "sell")]


class TradeOfOrder(msgspec.Struct, frozen=True):
    """A trade of one's own; `price` is what this side pays, or gets, for each kWh in all."""

    trade: int
    quantity: Energy
    price: Price
    amount: Money
    level: Distance
    terms: int
    at: Instant


class OwnTradeBody(TradeOfOrder, frozen=True):
    """A trade in a member's list of its own."""

    slot: Instant
    side: SideName
    meter: str
    client_order_id: str


class PublicTrade(msgspec.Struct, frozen=True):
    """A trade as everyone may see it: no names, no meters, no terms."""

    trade: int
    slot: Instant
    quantity: Energy
    seller_price: Price
    buyer_price: Price
    level: Distance
    at: Instant


class OrderBody(msgspec.Struct, frozen=True):
    """An order with its trades, as its owner sees it."""

    client_order_id: str
    meter: str
    side: SideName
    slot: Instant
    quantity: Energy
    price: Price
    reach: Distance
    terms: int
    tif: Annotated[str, choice("gtc", "ioc", "fok")]
    replaces: str
    deadline: Instant
    sequence: int
    received: Instant
    state: str
    remaining: Energy
    reduced: Energy
    trades: list[TradeOfOrder]


class OrderResult(msgspec.Struct, frozen=True):
    """One order's place in the answer to a batch: the order, or why it was refused."""

    order: OrderBody | UnsetType = UNSET
    problem: ProblemBody | UnsetType = UNSET


class QuoteBody(msgspec.Struct, frozen=True):
    """Energy at one price, and from how far away it comes."""

    price: Price
    quantity: Energy
    level: Distance


def order_body(placed: Placed) -> OrderBody:
    """An order as it is answered."""
    order = placed.order
    return OrderBody(
        client_order_id=order.client_order_id,
        meter=placed.meter,
        side=_SIDES[order.side],
        slot=format_instant(order.slot_s),
        quantity=format_energy(order.quantity_lots),
        price=format_price(order.price_ticks),
        reach=_LEVELS[order.reach],
        terms=order.terms_days,
        tif=_TIFS[order.tif],
        replaces=order.replaces,
        deadline=format_instant(order.deadline_s),
        sequence=order.sequence,
        received=format_instant(order.received_s),
        state=order.state,
        remaining=format_energy(order.remaining_lots),
        reduced=format_energy(order.reduced_lots),
        trades=[_trade_of_order(trade, trade.side_of(order.order_id)) for trade in placed.trades],
    )


def _trade_of_order(trade: TradeRecord, side: Side) -> TradeOfOrder:
    price_ticks = _price_ticks(trade, side)
    return TradeOfOrder(
        trade=trade.trade_id,
        quantity=format_energy(trade.quantity_lots),
        price=format_price(price_ticks),
        amount=format_money(trade.quantity_lots * price_ticks),
        level=_LEVELS[trade.level],
        terms=trade.terms_days,
        at=format_instant(trade.traded_s),
    )


def _price_ticks(trade: TradeRecord, side: Side) -> int:
    return trade.buyer_price_ticks if side is Side.BUY else trade.seller_price_ticks


def own_trade_body(own: OwnTrade) -> OwnTradeBody:
    """A trade of a member's own as it is answered."""
    trade, side = own.trade, own.trade.side_of(own.order_id)
    price_ticks = _price_ticks(trade, side)
    return OwnTradeBody(
        trade=trade.trade_id,
        quantity=format_energy(trade.quantity_lots),
        price=format_price(price_ticks),
        amount=format_money(trade.quantity_lots * price_ticks),
        level=_LEVELS[trade.level],
        terms=trade.terms_days,
        at=format_instant(trade.traded_s),
        slot=format_instant(trade.slot_s),
        side=side.name.lower(),
        meter=own.meter,
        client_order_id=own.client_order_id,
    )


def public_trade_body(trade: TradeRecord) -> PublicTrade:
    """A trade as it is answered to everyone."""
    return PublicTrade(
        trade=trade.trade_id,
        slot=format_instant(trade.slot_s),
        quantity=format_energy(trade.quantity_lots),
        seller_price=format_price(trade.seller_price_ticks),
        buyer_price=format_price(trade.buyer_price_ticks),
        level=_LEVELS[trade.level],
        at=format_instant(trade.traded_s),
    )


class DepthBody(msgspec.Struct, frozen=True):
    """What one meter would pay (asks) or get (bids), best first."""

    asks: list[QuoteBody]
    bids: list[QuoteBody]


def depth_body(depth: Depth) -> DepthBody:
    """A book as it is answered."""
    return DepthBody([_quote(quote) for quote in depth.asks], [_quote(quote) for quote in depth.bids])


def _quote(quote: Quote) -> QuoteBody:
    return QuoteBody(
        price=format_price(quote.price_ticks),
        quantity=format_energy(quote.quantity_lots),
        level=_LEVELS[quote.level],
    )


def result_body(outcome: Placed | Problem) -> OrderResult:
    """One order's place in the answer to a batch."""
    if isinstance(outcome, Problem):
        return OrderResult(problem=outcome.body())
    return OrderResult(order=order_body(outcome))
