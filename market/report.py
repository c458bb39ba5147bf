"""The report of a run: one text for the terminal, one self-contained page for people, of the same figures.

``build(database_url, facts)`` reads a market's tables, finished or still running, and writes nothing. All amounts are
computed and printed from whole numbers; shares are rounded down. The page holds plotly's script from the installed
package once and loads nothing from anywhere.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs
from rich.console import Console
from rich.table import Table

from data.units import format_energy, format_money, format_price, format_steps
from market.report_charts import charts
from market.report_figures import Facts, Figures, collect
from matching.order import Level

__all__ = ["Facts", "Report", "build"]

TEXT_WIDTH = 110

_DISTANCES = {
    Level.TRANSFORMER: ("- within a transformer area", "台区内"),
    Level.FEEDER: ("- within a feeder", "馈线内"),
    Level.SUBSTATION: ("- between feeders", "跨馈线"),
}


_ENDS = {
    "by_owner": "withdrawn",
    "slot_closed": "expired at the gate",
    "self_trade": "met the owner's own",
    "unfilled_ioc": "unfilled (ioc)",
    "unfilled_fok": "unfilled (fok)",
    "unfilled_basket": "unfilled (basket)",
}


@dataclass(frozen=True, slots=True)
class Report:
    """The same figures twice: plain text, and one HTML page."""

    text: str
    html: str


class Row(NamedTuple):
    """One figure. ``good`` says whether it is as it must be, where that is not a matter of taste."""

    english: str
    chinese: str
    value: str
    good: bool | None = None


class Section(NamedTuple):
    name: str
    english: str
    chinese: str
    rows: list[Row]


def build(database_url: str, facts: Facts) -> Report:
    """The report of the market in a database (``sqlite:///...`` or ``postgresql://...``)."""
    figures = collect(database_url, facts)
    sections = [trading(figures), settlement(figures), finance(figures), run(figures)]
    return Report(_text(facts, sections), _html(figures, sections))


# --------------------------------------------------------------------------------------------- the figures


def trading(f: Figures) -> Section:
    """What was traded, and what it was worth."""
    demand, met = sum(slot.demand_lots for slot in f.energy), sum(slot.demand_met_lots for slot in f.energy)
    made, sold = sum(slot.generation_lots for slot in f.energy), sum(slot.generation_sold_lots for slot in f.energy)
    at_limit = sum(use.slots_at_limit for use in f.links)
    rows = [
        Row(
            "members", "成员", _list({kind: n for kind, n in f.members.items() if kind not in ("fund", "institution")})
        ),
        Row("meters", "电表", _list(f.meters)),
        Row("orders accepted", "接受订单", f"{_count(sum(f.orders.values()))} of {_count(f.traders)} members"),
        Row("- how they ended", "订单结果", _list({_ENDS.get(state, state): n for state, n in f.orders.items()})),
        Row("trades", "成交笔数", _count(f.trades)),
        Row("traded locally", "本地成交电量", _kwh(f.traded_lots)),
        *(
            Row(*_DISTANCES[Level(level)], f"{_kwh(lots)} ({_share(lots, f.traded_lots)})")
            for level, lots in f.lots_by_level.items()
        ),
        Row(
            "- of it on payment terms",
            "其中赊购",
            f"{_kwh(f.lots_on_terms)} ({_share(f.lots_on_terms, f.traded_lots)})",
        ),
        Row("demand met by neighbours", "邻里供电占比", f"{_share(met, demand)} of {_kwh(demand)}"),
        Row("generation sold to neighbours", "邻里消纳占比", f"{_share(sold, made)} of {_kwh(made)}"),
        Row(
            "buyers saved against retail",
            "买方较零售价节省",
            f"{_cny(f.saved_micro)} ({_share(f.saved_micro, f.paid_without_micro)})",
        ),
        Row(
            "sellers gained against feed-in",
            "卖方较上网电价增收",
            f"{_cny(f.gained_micro)} ({_share(f.gained_micro, f.received_without_micro)})",
        ),
        Row(
            "congestion met",
            "阻塞",
            f"{_count(at_limit)} slots at a limit, on {sum(1 for use in f.links if use.slots_at_limit)} links",
        ),
    ]
    return Section("trading", "The market", "市场", rows)


def settlement(f: Figures) -> Section:
    """What was delivered, stated, netted, and written to the chain."""
    gas, reverted = sum(act.gas for act in f.acts), sum(act.reverted for act in f.acts)
    total_micro = sum(f.sums_micro.values())
    rows = [
        Row(
            "delivered of what was contracted",
            "实际交付",
            f"{_share(f.delivered_lots, f.contracted_lots)} of {_kwh(f.contracted_lots)}",
        ),
        Row("settlement cycles", "结算周期", _list(f.cycles)),
        Row("statements", "结算单", f"{_count(f.statements)} of {_count(f.lines)} lines"),
        Row("sum of all statements", "结算单合计", _cny(total_micro), not any(f.sums_micro.values())),
        Row("transfers before netting", "轧差前转账", _count(f.transfers_before)),
        Row(
            "transfers after netting", "轧差后转账", f"{_count(f.transfers_after)}, moving {_cny(f.transferred_micro)}"
        ),
        Row("journal", "日志", f"{_count(f.batches)} batches"),
        Row("commitments on the chain", "上链承诺", f"{_count(f.commitments)}, of {_count(f.trades_committed)} trades"),
        Row("transactions", "链上交易", f"{_count(sum(act.sent for act in f.acts))}, {_count(gas)} gas"),
        Row("refused by a contract", "被合约拒绝", _count(reverted), reverted == 0),
        Row("cash minted, burned", "资金铸入、销毁", f"{_cny(f.cash.minted)}, {_cny(f.cash.burned)}"),
        Row("held by members: free, in escrow", "成员余额：自由、托管", f"{_cny(f.cash.free)}, {_cny(f.cash.escrow)}"),
        Row("locked as bonds", "锁定的保证金", _cny(f.cash.bonds)),
        Row("arrears", "欠款", _cny(f.cash.arrears), f.cash.arrears == 0),
        Row("money created or lost", "资金守恒差额", _cny(f.missing_micro), f.missing_micro == 0),
    ]
    return Section("settlement", "Settlement and chain", "结算与上链", rows)


def finance(f: Figures) -> Section:
    """What became of what buyers on terms owe."""
    advanced = sum(sale.advance_fen for sale in f.sales)
    rows = [_stage_row(f, state, *words) for state, words in _STAGES.items()]
    rows[-1] = rows[-1]._replace(value=f"{rows[-1].value}, {_fen(f.paid_fen)} paid in all")
    if "rejected" in f.stages:
        rows.append(_stage_row(f, "rejected", "rejected", "拒绝"))
    yearly = _yearly_cost(f)
    rows += [
        Row("offers of banks", "银行报价", _list(f.offers)),
        Row("advanced by banks", "银行垫款", _fen(advanced)),
        Row("cost of finance", "融资成本", f"{_fen(f.cost_of_finance_fen)}{yearly}"),
    ]
    rows += [
        Row(f"- {bank}", "", f"{_count(number)} bought, {_fen(advance)} advanced")
        for bank, (number, advance) in _by_bank(f).items()
    ]
    return Section("finance", "Receivables", "应收账款", rows)


def run(f: Figures) -> Section:
    """How the run itself went."""
    rows = [
        Row(
            "retail, feed-in, shortfall price",
            "零售、上网、偏差电价",
            ", ".join(map(format_price, (f.facts.retail_ticks, f.facts.feed_in_ticks, f.facts.shortfall_ticks)))
            + " CNY/kWh",
        )
    ]
    if f.facts.elapsed_s is not None:
        rows.append(Row("took", "用时", f"{f.facts.elapsed_s // 60} min {f.facts.elapsed_s % 60} s"))
    if f.facts.audit:
        rows.append(Row("audit", "审计", f.facts.audit))
    return Section("run", "This run", "本次运行", rows)


_STAGES = {
    "issued": ("issued", "开立"),
    "acknowledged": ("acknowledged", "确认"),
    "financed": ("financed", "融资"),
    "settled": ("repaid in full", "清偿"),
}


def _stage_row(f: Figures, state: str, english: str, chinese: str) -> Row:
    stage = f.stages.get(state)
    return Row(english, chinese, f"{_count(stage.receivables)}, {_fen(stage.face_fen)}" if stage else "0")


def _yearly_cost(f: Figures) -> str:
    """Cost over what was advanced and for how long, per year of 360 days, rounded down to a hundredth of a percent."""
    fen_days = sum(sale.advance_fen * sale.days for sale in f.sales)
    if not fen_days:
        return ""
    return f" ({format_steps(f.cost_of_finance_fen * 360 * 10_000 // fen_days, 2)} % a year)"


def _by_bank(f: Figures) -> dict[str, tuple[int, int]]:
    banks: dict[str, tuple[int, int]] = {}
    for sale in f.sales:
        number, advance = banks.get(sale.bank, (0, 0))
        banks[sale.bank] = (number + 1, advance + sale.advance_fen)
    return banks


# -------------------------------------------------------------------------------------------- as text


def _count(number: int) -> str:
    return f"{number:,}"


def _grouped(decimal: str) -> str:
    """A decimal string with its thousands set apart."""
    whole, _, fraction = decimal.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}.{fraction}"


def _kwh(lots: int) -> str:
    return f"{_grouped(format_energy(lots))} kWh"


def _cny(micro: int) -> str:
    return f"{_grouped(format_money(micro))} CNY"


def _fen(fen: int) -> str:
    return f"{_grouped(format_steps(fen, 2))} CNY"


def _share(part: int, whole: int) -> str:
    """Percent with one place, rounded towards zero; nothing of nothing is a dash."""
    if not whole:
        return "–"
    tenths = abs(part) * 1000 // abs(whole)
    return f"{'-' if (part < 0) != (whole < 0) and tenths else ''}{tenths // 10}.{tenths % 10} %"


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{_count(number)} {name.replace('_', ' ')}" for name, number in counts.items()) or "0"


def _text(facts: Facts, sections: Iterable[Section]) -> str:
    console = Console(file=io.StringIO(), width=TEXT_WIDTH, color_system=None, legacy_windows=False)
    console.print(f"\n{facts.title}\n", highlight=False, markup=False)
    for section in sections:
        table = Table(box=None, show_header=True, pad_edge=False, title_justify="left", padding=(0, 2, 0, 0))
        table.add_column(f"{section.english} {section.chinese}", width=34)
        table.add_column("", width=20)
        table.add_column("")
        for row in section.rows:
            mark = {True: " ✓", False: "  <-- WRONG", None: ""}[row.good]
            table.add_row(f"  {row.english}", row.chinese, row.value + mark)
        console.print(table, highlight=False, markup=False)
        console.print()
    file = console.file
    assert isinstance(file, io.StringIO)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


# -------------------------------------------------------------------------------------------- as a page


def _html(figures: Figures, sections: list[Section]) -> str:
    pages = Environment(loader=PackageLoader("market", "pages"), autoescape=True, undefined=StrictUndefined)
    drawn = {
        name: Markup(
            chart.to_html(
                full_html=False,
                include_plotlyjs=False,
                config={"displayModeBar": False, "responsive": True},
                div_id=f"chart-{name}",
            )
        )
        for name, chart in charts(figures).items()
    }
    return pages.get_template("report.html.j2").render(
        facts=figures.facts,
        cards=_cards(figures),
        steps=_steps(figures),
        sections={section.name: section for section in sections},
        charts=drawn,
        plotly=Markup(get_plotlyjs()),
    )


class Card(NamedTuple):
    value: str
    unit: str
    english: str
    chinese: str


def _cards(f: Figures) -> list[Card]:
    """The few figures that a visitor reads first."""
    demand, met = sum(slot.demand_lots for slot in f.energy), sum(slot.demand_met_lots for slot in f.energy)
    return [
        Card(_grouped(format_energy(f.traded_lots)), "kWh", "traded between neighbours", "邻里成交"),
        Card(_share(met, demand).removesuffix(" %"), "%", "of demand met by neighbours", "邻里供电占比"),
        Card(_grouped(format_steps(f.saved_micro // 10_000, 2)), "CNY", "saved by buyers", "买方节省"),
        Card(_grouped(format_steps(f.gained_micro // 10_000, 2)), "CNY", "gained by sellers", "卖方增收"),
        Card(
            _grouped(format_steps(sum(sale.advance_fen for sale in f.sales), 2)), "CNY", "advanced by banks", "银行垫款"
        ),
        Card(format_money(f.missing_micro), "CNY", "created or lost", "资金守恒差额"),
    ]


def _steps(f: Figures) -> list[Card]:
    """The life of an order, with how much went through each room."""
    issued, repaid = f.stages.get("issued"), f.stages.get("settled")
    return [
        Card(_count(sum(f.orders.values())), "", "orders", "订单"),
        Card(_count(f.trades), "", "trades", "成交"),
        Card(_count(f.commitments), "", "commitments", "上链承诺"),
        Card(_count(f.statements), "", "statements", "结算单"),
        Card(_count(f.transfers_after), "", "net transfers", "净额转账"),
        Card(_count(issued.receivables if issued else 0), "", "receivables", "应收账款"),
        Card(_count(len(f.sales)), "", "financed", "融资"),
        Card(_count(repaid.receivables if repaid else 0), "", "repaid", "清偿"),
    ]
