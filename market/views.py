"""Rows as answers: orders, trades, books, with decimals and times as text."""

from typing import Any

from data.units import format_energy, format_instant, format_money, format_price
from market.jobs import Placed
from market.order_store import OwnTrade
from market.problems import Problem
from market.records import TradeRecord
from matching.book import Depth, Quote
from matching.order import Level, Side, Tif


def order_body(placed: Placed) -> dict[str, Any]:
    """An order with its trades, as its owner sees it."""
    order = placed.order
    return {
        "client_order_id": order.client_order_id,
        "meter": placed.meter,
        "side": _SIDES[order.side],
        "slot": format_instant(order.slot_s),
        "quantity": format_energy(order.quantity_lots),
        "price": format_price(order.price_ticks),
        "reach": _LEVELS[order.reach],
        "terms": order.terms_days,
        "tif": _TIFS[order.tif],
        "replaces": order.replaces,
        "deadline": format_instant(order.deadline_s),
        "sequence": order.sequence,
        "received": format_instant(order.received_s),
        "state": order.state,
        "remaining": format_energy(order.remaining_lots),
        "trades": [_own_trade(trade, trade.side_of(order.order_id)) for trade in placed.trades],
    }


_SIDES = {int(side): side.name.lower() for side in Side}
_LEVELS = {int(level): level.name.lower() for level in Level}
_TIFS = {int(tif): tif.name.lower() for tif in Tif}


def _own_trade(trade: TradeRecord, side: Side) -> dict[str, Any]:
    """``price`` is what this side pays, or gets, for each kWh in all."""
    price_ticks = trade.buyer_price_ticks if side is Side.BUY else trade.seller_price_ticks
    return {
        "trade": trade.trade_id,
        "quantity": format_energy(trade.quantity_lots),
        "price": format_price(price_ticks),
        "amount": format_money(trade.quantity_lots * price_ticks),
        "level": _LEVELS[trade.level],
        "terms": trade.terms_days,
        "at": format_instant(trade.traded_s),
    }


def own_trade_body(own: OwnTrade) -> dict[str, Any]:
    """A trade in a member's list of its own."""
    side = own.trade.side_of(own.order_id)
    return {
        **_own_trade(own.trade, side),
        "slot": format_instant(own.trade.slot_s),
        "side": side.name.lower(),
        "meter": own.meter,
        "client_order_id": own.client_order_id,
    }


def public_trade_body(trade: TradeRecord) -> dict[str, Any]:
    """A trade as everyone may see it: no names, no meters, no terms."""
    return {
        "trade": trade.trade_id,
        "slot": format_instant(trade.slot_s),
        "quantity": format_energy(trade.quantity_lots),
        "seller_price": format_price(trade.seller_price_ticks),
        "buyer_price": format_price(trade.buyer_price_ticks),
        "level": _LEVELS[trade.level],
        "at": format_instant(trade.traded_s),
    }


def depth_body(depth: Depth) -> dict[str, Any]:
    """What one meter would pay (asks) or get (bids), best first."""
    return {"asks": [_quote(quote) for quote in depth.asks], "bids": [_quote(quote) for quote in depth.bids]}


def _quote(quote: Quote) -> dict[str, str]:
    return {
        "price": format_price(quote.price_ticks),
        "quantity": format_energy(quote.quantity_lots),
        "level": _LEVELS[quote.level],
    }


def result_body(outcome: Placed | Problem) -> dict[str, Any]:
    """One order's place in the answer to a batch."""
    return {"problem": outcome.body()} if isinstance(outcome, Problem) else {"order": order_body(outcome)}
