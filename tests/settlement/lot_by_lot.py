"""A slot settled lot by lot, as with pencil and paper: slow, obvious, and nothing shared with ``delivery.py``.

Every lot of a trade is paid for, then it is seen whether the seller's meter still has a lot for it; what is left at
each meter in the end is bought or sold by the grid company.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from settlement.delivery import Reading, SlotTrade
from settlement.rules import SettlementRules


class Counted(NamedTuple):
    """``money_micro`` by (member, how); ``delivered`` lots by trade."""

    money_micro: Counter[tuple[int, str]]
    delivered: Counter[int]


def settle(
    trades: Iterable[SlotTrade], readings: Mapping[int, Reading], owners: Mapping[int, int], rules: SettlementRules
) -> Counted:
    """What a slot comes to."""
    money: Counter[tuple[int, str]] = Counter()
    delivered: Counter[int] = Counter()

    def pay(payer: int, payee: int, ticks: int, how: str) -> None:
        money[payer, how] -= ticks
        money[payee, how] += ticks

    exported = {node: reading.export_lots for node, reading in readings.items()}
    covered: Counter[int] = Counter()
    for trade in sorted(trades):
        on_terms = trade.terms_days > 0
        for _ in range(trade.quantity_lots):
            pay(trade.buyer, trade.seller, trade.seller_price_ticks, "terms" if on_terms else "cycle")
            fee_ticks = trade.buyer_price_ticks - trade.seller_price_ticks
            pay(trade.buyer, rules.grid_company, fee_ticks, "bill" if on_terms else "cycle")
            covered[trade.buy_node] += 1
            if exported.get(trade.sell_node, 0):
                exported[trade.sell_node] -= 1
                delivered[trade.trade_id] += 1
            else:
                pay(trade.seller, rules.grid_company, rules.shortfall_ticks, "cycle")
    for node, reading in readings.items():
        for _ in range(exported[node]):
            pay(rules.grid_company, owners[node], rules.feed_in_ticks, "bill")
        for _ in range(reading.import_lots):
            if covered[node]:
                covered[node] -= 1
            else:
                pay(owners[node], rules.grid_company, rules.retail_ticks, "bill")
        for _ in range(covered[node]):
            pay(rules.grid_company, owners[node], rules.feed_in_ticks, "bill")
    return Counted(money, delivered)
