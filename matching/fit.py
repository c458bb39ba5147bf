"""Which orders fit, and which of them comes first.

Source: docs/market_rules.md, "Matching". Both depend on prices, places, reach and terms only, never on quantities, on
room, or on what has traded.
"""

from collections.abc import Iterable

from matching.book import Order
from matching.grid import Grid, Path
from matching.order import Rules, Side


class Fit:
    """The market's rules of fit on its grid."""

    def __init__(self, rules: Rules, grid: Grid) -> None:
        self._fee_ticks = rules.fee_ticks
        self._grid = grid

    def fee_ticks(self, path: Path) -> int:
        """The wheeling fee over this path."""
        return self._fee_ticks[path.level - 1]

    def path(self, one: Order, other: Order) -> Path | None:
        """The path between two orders of one slot and of opposite sides, if they fit; otherwise None.

        They fit when "their distance is within both reaches, the buy's terms are no longer than the sell's, and
        ``sell price + fee <= buy price``".
        """
        sell, buy = (one, other) if one.side == Side.SELL else (other, one)
        path = self._grid.path(sell.meter, buy.meter)
        fits = (
            path.level <= sell.reach
            and path.level <= buy.reach
            and buy.terms_days <= sell.terms_days
            and sell.price_ticks + self.fee_ticks(path) <= buy.price_ticks
        )
        return path if fits else None

    def in_priority(self, taker: Order, others: Iterable[Order]) -> list[tuple[Order, Path]]:
        """Those that fit: the best delivered price for the taker first, then the nearer, then the earlier."""
        ranked = []
        for other in others:
            path = self.path(taker, other)
            if path:
                fee_ticks, price_ticks = self.fee_ticks(path), other.price_ticks
                # a buyer wants the lowest price + fee, a seller the highest price - fee
                worse_ticks = price_ticks + fee_ticks if taker.side == Side.BUY else -(price_ticks - fee_ticks)
                ranked.append((worse_ticks, path.level, other.sequence, other, path))
        ranked.sort(key=lambda row: row[:3])
        return [(other, path) for *_, other, path in ranked]
