"""The words of a monthly statement, in Chinese and English; dates and amounts as they are written in China."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum

from data.units import ENERGY_DECIMALS, MONEY_DECIMALS, PRICE_DECIMALS, format_steps
from market.monthly import Month


class Language(StrEnum):
    CHINESE = "zh"
    ENGLISH = "en"


_WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("月结单", "Monthly statement"),
    "member": ("成员", "Member"),
    "market": ("市场", "Market"),
    "period": ("结算月份", "Month"),
    "zone": ("时区", "Time zone"),
    "printed": ("出具时间", "Made at"),
    "summary": ("合计", "Summary"),
    "where": ("结算方式", "How it is paid"),
    "received": ("收入(元)", "Received (CNY)"),
    "paid": ("支出(元)", "Paid (CNY)"),
    "balance": ("净额(元)", "Balance (CNY)"),
    "by_kind": ("按项目", "By kind"),
    "by_day": ("按日", "By day"),
    "by_meter": ("按电表", "Meter by meter"),
    "kind": ("项目", "Kind"),
    "energy_kwh": ("电量(千瓦时)", "Energy (kWh)"),
    "price": ("单价(元/千瓦时)", "Price (CNY/kWh)"),
    "amount": ("金额(元)", "Amount (CNY)"),
    "slots": ("时段数", "Slots"),
    "day": ("日期", "Day"),
    "slot": ("时段", "Slot"),
    "meter": ("电表", "Meter"),
    "marks": ("备注", "Notes"),
    "cycle_number": ("结算期", "Cycle"),
    "line": ("行号", "Line"),
    "counterparty": ("对方成员", "Counterparty"),
    "trade": ("成交编号", "Trade"),
    "adjusts": ("更正的结算期", "Adjusts cycle"),
    "estimated": ("是否估计", "Estimated"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    "estimate": ("估计值", "estimated"),
    "nothing": ("本月没有结算记录。", "Nothing was settled in this month."),
    "how.cycle": ("本市场日清算", "collected here, with the day's cycle"),
    "how.terms": ("赊购,到期支付", "on terms, paid when due"),
    "how.bill": ("列入电网公司账单", "on the grid company's bill"),
    "kind.energy": ("成交电量", "Energy traded"),
    "kind.wheeling": ("过网费", "Wheeling fee"),
    "kind.shortfall": ("少送电量", "Shortfall"),
    "kind.surplus": ("余电上网", "Surplus"),
    "kind.over_consumed": ("超购用电", "Consumed beyond purchases"),
    "kind.under_consumed": ("未用购电", "Bought and not consumed"),
    "kind.energy_due": ("到期电费", "Energy due"),
    "note.sign": ("正数为收入,负数为支出。", "Positive amounts are received, negative ones paid."),
    "note.bill": (
        "列入电网公司账单的项目在此列示,不在本市场收付。",
        "What is on the grid company's bill is shown here and not collected here.",
    ),
    "note.estimate": (
        "估计值:截止时没有有效读数;读数补到后,差额在之后的结算期更正。",
        "Estimated: no reading counted in time; when one comes, a later cycle settles the difference.",
    ),
    "note.adjusts": (
        "更正:结算之后补到的读数,按差额收付。",
        "Adjustment: a reading came after its day was settled, and the difference is paid.",
    ),
}


class Words:
    """The words of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._place = 0 if language == Language.CHINESE else 1

    def __call__(self, name: str) -> str:
        return _WORDS[name][self._place]

    def day(self, day: date) -> str:
        """``2026年7月1日``, ``2026-07-01``."""
        return f"{day.year}年{day.month}月{day.day}日" if self._place == 0 else day.isoformat()

    def month(self, month: Month) -> str:
        return f"{month.year}年{month.number}月" if self._place == 0 else str(month)

    def moment(self, moment: datetime) -> str:
        """A day and a time of day; where clocks were set back, the offset tells which of two it is."""
        return f"{self.day(moment.date())} {moment:%H:%M}"

    def adjusts(self, cycle: int, slot: datetime) -> str:
        """The note beside a line that puts a slot right."""
        if self._place == 0:
            of = f"第{cycle}期" if cycle else "未结算日"
            return f"更正 {self.moment(slot)}({of})"
        return f"adjusts {self.moment(slot)} ({f'cycle {cycle}' if cycle else 'a day without a cycle'})"


def money(amount_micro: int) -> str:
    """Exact: ``-1,234.50``, ``0.762001``; two decimals at least, six at most."""
    return _grouped(amount_micro, MONEY_DECIMALS)


def price(price_ticks: int) -> str:
    """``0.4500``."""
    return format_steps(price_ticks, PRICE_DECIMALS)


def energy(energy_lots: int) -> str:
    """``1,234.50``."""
    return _grouped(energy_lots, ENERGY_DECIMALS)


def _grouped(steps: int, decimals: int) -> str:
    whole, _, fraction = format_steps(abs(steps), decimals).partition(".")
    sign = "-" if steps < 0 else ""
    return f"{sign}{int(whole):,}.{fraction[:2]}{fraction[2:].rstrip('0')}"
