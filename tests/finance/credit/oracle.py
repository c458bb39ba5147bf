"""What ``finance/credit/features.py`` and its store say, member by member and row by row, with no care for speed."""

from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from data import tables
from finance.credit.feature_names import PPM, UNKNOWN
from finance.credit.features import MONTH_S
from finance.credit.store import Cut
from settlement.calendar import day_of

GRACE_DAYS = 3
YEAR_S = 12 * MONTH_S
STAGES = {"Cured": 0, "MarginCalled": 1, "Suspended": 2, "CaseOpened": 3}


class Oracle:
    """The whole history in memory."""

    def __init__(self, connection: Connection, cut: Cut, time_zone: str) -> None:
        self.cut, self.time_zone = cut, time_zone
        self.delivered = {
            row.trade_id: row.delivered_lots for row in _all(connection, "deliveries") if row.cycle <= cut.last_cycle
        }
        self.trades = [row for row in _all(connection, "trades") if row.trade_id in self.delivered]
        self.lines = [row for row in _all(connection, "statement_lines") if row.cycle <= cut.last_cycle]
        self.receivables = _all(connection, "receivables")
        self.history = _all(connection, "receivable_history")
        self.ladder = [row for row in _all(connection, "chain_events") if row.contract == "Clearing"]

    def features(self, member: int) -> tuple[list[int], int]:
        """In the order of NAMES, and the monthly purchases."""
        months = [self.month_fen(member, place) for place in range(12)]
        bought = [self.month_fen(member, place, as_buyer_only=True) for place in range(3)]
        year = [trade for trade in self.of(member) if trade.slot_s >= self.cut.until_s - YEAR_S]
        sold = [trade for trade in year if trade.seller == member]
        paid, late = self.punctuality(member)
        tenure = self.tenure_days(member)
        values = [
            paid,
            late,
            self.stage(member),
            share_ppm(sum(self.delivered[each.trade_id] for each in sold), sum(each.quantity_lots for each in sold)),
            share_ppm(self.off_lots(member), sum(each.quantity_lots for each in year)),
            tenure,
            sum(fen > 0 for fen in months),
            share_ppm(sum(months[:3]), sum(months[3:6])),
            volatility_ppm(months[: tenure // 30] if tenure >= 0 else []),
            share_ppm(self.largest_fen(member, year), sum(months)),
        ]
        return values, sum(bought) // 3

    def of(self, member: int) -> list[Row[Any]]:
        return [trade for trade in self.trades if member in (trade.buyer, trade.seller)]

    def month_fen(self, member: int, place: int, *, as_buyer_only: bool = False) -> int:
        end_s = self.cut.until_s - place * MONTH_S
        inside = [trade for trade in self.of(member) if end_s - MONTH_S <= trade.slot_s < end_s]
        bought = sum(value(trade) for trade in inside if trade.buyer == member)
        sold = sum(value(trade) for trade in inside if trade.seller == member)
        return bought // 10_000 + (0 if as_buyer_only else sold // 10_000)

    def tenure_days(self, member: int) -> int:
        slots = [trade.slot_s for trade in self.of(member)]
        return (self.cut.until_s - min(slots)) // 86_400 if slots else UNKNOWN

    def largest_fen(self, member: int, year: list[Row[Any]]) -> int:
        by_other: dict[int, int] = {}
        for trade in year:
            other = trade.seller if trade.buyer == member else trade.buyer
            by_other[other] = by_other.get(other, 0) + value(trade)
        return max(by_other.values(), default=0) // 10_000

    def off_lots(self, member: int) -> int:
        total = 0
        for line in self.lines:
            pays = line.kind in ("shortfall", "over_consumed")
            if line.member_id != member or not (pays or line.kind in ("surplus", "under_consumed")):
                continue
            if not self.cut.until_s - YEAR_S <= line.slot_s < self.cut.until_s:
                continue
            is_taken_back = line.adjusts is not None and (line.amount_micro > 0) == pays and line.amount_micro != 0
            total += -line.energy_lots if is_taken_back else line.energy_lots
        return total

    def punctuality(self, member: int) -> tuple[int, int]:
        today = day_of(self.cut.as_of_s, self.time_zone)
        due_fen = on_time_fen = worst = 0
        for row in self.receivables:
            due = date.fromisoformat(row.due_day)
            if row.debtor != member or row.state in ("drafted", "rejected", "cancelled", "disputed", "void"):
                continue
            if not today - timedelta(days=360) <= due <= today - timedelta(days=GRACE_DAYS + 1):
                continue
            settled = [
                change.at_s
                for change in self.history
                if change.receivable_id == row.receivable_id
                and change.after == "settled"
                and change.at_s < self.cut.as_of_s
            ]
            paid_on = day_of(min(settled), self.time_zone) if settled else today
            days_late = max(0, (paid_on - due).days)
            due_fen += row.face_fen
            on_time_fen += row.face_fen if settled and days_late <= GRACE_DAYS else 0
            worst = max(worst, days_late)
        return share_ppm(on_time_fen, due_fen), worst if due_fen else UNKNOWN

    def stage(self, member: int) -> int:
        stood, worst = 0, 0
        for event in sorted(self.ladder, key=lambda row: (row.block, row.log_index)):
            if f'"account": "{member}"' not in event.arguments or event.block_s >= self.cut.as_of_s:
                continue
            if event.block_s < self.cut.as_of_s - YEAR_S:
                stood = STAGES[event.event]
            worst = max(worst, STAGES[event.event] if event.block_s >= self.cut.as_of_s - YEAR_S else 0)
        return max(stood, worst)


def value(trade: Row[Any]) -> int:
    """In micro-yuan."""
    return int(trade.quantity_lots * trade.seller_price_ticks)


def share_ppm(part: int, whole: int) -> int:
    return min(part * PPM // whole, 10 * PPM) if whole > 0 else UNKNOWN


def volatility_ppm(months_fen: list[int]) -> int:
    yuan = [fen // 100 for fen in months_fen]
    if len(yuan) < 3 or not sum(yuan):
        return UNKNOWN
    count, total = len(yuan), sum(yuan)
    return sum(abs(count * each - total) for each in yuan) * PPM // (count * total)


def _all(connection: Connection, name: str) -> list[Row[Any]]:
    return list(connection.execute(select(tables.metadata.tables[name])))
