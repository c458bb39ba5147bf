"""The pictures of a report, as plotly figures. Here, and only here, figures become floats: they are places on paper."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.units import LOTS_PER_KWH, TICKS_PER_CNY
from market.report_figures import Figures, LinkUse

GOLD, TEAL, BLUE, RED, GREY, INK = "#c58b1b", "#12766f", "#2f6db3", "#b8432f", "#b9c0c4", "#23323a"
LINKS_SHOWN = 4
FONT = "'Inter', 'Segoe UI', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', 'Noto Sans SC', sans-serif"

KINDS = {
    "household": "homes 住户",
    "business": "shops, offices 商铺",
    "quarter": "quarters 片区",
    "pv": "solar 光伏",
    "wind": "wind 风电",
    "hydro": "hydro 水电",
    "biomass": "biomass 生物质",
    "storage": "storage 储能",
    "other": "other 其他",
}


def charts(figures: Figures) -> dict[str, go.Figure]:
    """Every chart that there is data for, by the name under which the page shows it."""
    found: dict[str, go.Figure] = {}
    if figures.energy:
        found["energy"] = energy(figures)
        found["benefits"] = benefits(figures)
    if figures.slots:
        found["prices"] = prices(figures)
        found["kinds"] = kinds(figures)
    limited = [use for use in figures.links if use.export_limit_lots is not None or use.import_limit_lots is not None]
    if limited:
        found["links"] = links(figures, limited[:LINKS_SHOWN])
    if figures.acts:
        found["gas"] = gas(figures)
    if figures.stages.get("issued") and figures.stages["issued"].receivables:
        found["receivables"] = receivables(figures)
    return found


def energy(figures: Figures) -> go.Figure:
    """Demand, generation and what was traded, kWh by slot."""
    times = _times(figures, [slot.slot_s for slot in figures.energy])
    chart = _chart("kWh per slot 每时段电量")
    demand = [slot.demand_lots / LOTS_PER_KWH for slot in figures.energy]
    generation = [slot.generation_lots / LOTS_PER_KWH for slot in figures.energy]
    met = [slot.demand_met_lots / LOTS_PER_KWH for slot in figures.energy]
    chart.add_scatter(x=times, y=demand, name="demand 用电", fill="tozeroy", line={"color": GREY, "width": 1})
    chart.add_scatter(
        x=times, y=met, name="met by neighbours 邻里供电", fill="tozeroy", line={"color": TEAL, "width": 1}
    )
    chart.add_scatter(x=times, y=generation, name="generation 发电", line={"color": GOLD, "width": 2})
    return chart


def prices(figures: Figures) -> go.Figure:
    """Mean prices by slot, between what the grid company pays and takes."""
    times = _times(figures, [slot.slot_s for slot in figures.slots])
    chart = _chart("CNY per kWh 元/千瓦时")
    ends = [times[0], times[-1]]
    for name, ticks, colour in (
        ("retail 电网零售价", figures.facts.retail_ticks, RED),
        ("feed-in 上网电价", figures.facts.feed_in_ticks, GREY),
    ):
        price = ticks / TICKS_PER_CNY
        chart.add_scatter(x=ends, y=[price, price], name=name, mode="lines", line={"color": colour, "dash": "dash"})
    for name, amounts, colour in (
        ("buyers pay 买方支付", [slot.buyer_micro for slot in figures.slots], BLUE),
        ("sellers get 卖方所得", [slot.seller_micro for slot in figures.slots], TEAL),
    ):
        means = [amount / slot.lots / TICKS_PER_CNY for amount, slot in zip(amounts, figures.slots, strict=True)]
        chart.add_scatter(x=times, y=means, name=name, mode="lines", line={"color": colour, "width": 2})
    return chart


def kinds(figures: Figures) -> go.Figure:
    """Who sold to whom, as streams."""
    sellers = list(dict.fromkeys(seller for seller, _ in figures.lots_by_kinds))
    buyers = list(dict.fromkeys(buyer for _, buyer in figures.lots_by_kinds))
    labels = [KINDS.get(kind, kind) for kind in [*sellers, *buyers]]
    colours = [GOLD] * len(sellers) + [BLUE] * len(buyers)
    streams = {
        "source": [sellers.index(seller) for seller, _ in figures.lots_by_kinds],
        "target": [len(sellers) + buyers.index(buyer) for _, buyer in figures.lots_by_kinds],
        "value": [lots / LOTS_PER_KWH for lots in figures.lots_by_kinds.values()],
        "color": "rgba(18, 118, 111, 0.22)",
    }
    chart = _chart("")
    nodes = {"label": labels, "color": colours, "pad": 16, "thickness": 14, "line": {"width": 0}}
    chart.add_sankey(node=nodes, link=streams, valueformat=",.0f", valuesuffix=" kWh")
    return chart


def links(figures: Figures, shown: Sequence[LinkUse]) -> go.Figure:
    """Net flow over the busiest links, against their limits, kW."""
    titles = [f"{use.name} · {use.level.name.lower()}" for use in shown]
    chart = make_subplots(rows=len(shown), cols=1, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.07)
    _style(chart, "", height=150 * len(shown) + 60)
    kw_per_lot = 60 / figures.facts.slot_minutes / LOTS_PER_KWH
    slots = [slot.slot_s for slot in figures.slots]
    times = _times(figures, slots)
    for row, use in enumerate(shown, 1):
        flow = [use.flow_lots.get(slot, 0) * kw_per_lot for slot in slots]
        chart.add_scatter(
            x=times, y=flow, name=use.name, fill="tozeroy", line={"color": TEAL, "width": 1}, row=row, col=1
        )
        export, imported = use.export_limit_lots, use.import_limit_lots
        for limit_kw in (
            None if export is None else export * kw_per_lot,
            None if imported is None else -imported * kw_per_lot,
        ):
            if limit_kw is not None:
                chart.add_hline(y=limit_kw, line={"color": RED, "width": 1.5, "dash": "dot"}, row=row, col=1)
        chart.update_yaxes(title_text="kW", row=row, col=1)
    chart.update_layout(showlegend=False)
    chart.update_annotations(font={"size": 12, "color": INK}, xanchor="left", x=0)
    return chart


def benefits(figures: Figures) -> go.Figure:
    """How members' gains are spread, percent of what each would have paid or received without the market."""
    saved = [(each.saved_micro, each.paid_without_micro) for each in figures.benefits]
    gained = [(each.gained_micro, each.received_without_micro) for each in figures.benefits]
    chart = _chart("members 户数")
    for name, parts, colour in (
        ("saved by buyers 买方节省", saved, BLUE),
        ("gained by sellers 卖方增收", gained, GOLD),
    ):
        percents = [100 * part / whole for part, whole in parts if whole]
        chart.add_histogram(x=percents, name=name, marker={"color": colour}, opacity=0.75, xbins={"size": 1})
    chart.update_layout(
        barmode="overlay", xaxis_title="% of what each would have paid or received 占比", hovermode="closest"
    )
    return chart


def gas(figures: Figures) -> go.Figure:
    """What the chain was asked to do, by contract function, and how much gas it took."""
    acts = sorted(figures.acts, key=lambda act: act.gas)
    chart = _chart("")
    chart.add_bar(
        x=[act.gas for act in acts],
        y=[act.kind for act in acts],
        text=[f"{act.sent:,} ×" for act in acts],
        orientation="h",
        marker={"color": TEAL},
    )
    chart.update_layout(height=90 + 26 * len(acts), hovermode="closest", xaxis_title="gas")
    chart.update_yaxes(automargin=True)
    return chart


def receivables(figures: Figures) -> go.Figure:
    """How far receivables came, by face value."""
    names = {
        "issued": "issued 开立",
        "acknowledged": "acknowledged 确认",
        "listed": "listed 挂牌",
        "financed": "financed 融资",
        "settled": "repaid 清偿",
    }
    stages = [(label, figures.stages.get(state)) for state, label in names.items()]
    chart = _chart("")
    chart.add_funnel(
        y=[label for label, _ in stages],
        x=[stage.face_fen / 100 if stage else 0 for _, stage in stages],
        text=[f"{stage.receivables if stage else 0}" for _, stage in stages],
        texttemplate="%{value:,.0f} CNY<br>%{text}",
        marker={"color": [GREY, BLUE, BLUE, GOLD, TEAL]},
    )
    chart.update_yaxes(automargin=True)
    return chart


def _times(figures: Figures, slots_s: Sequence[int]) -> list[datetime]:
    """Local time without its zone, so that the page shows the market's clock whoever reads it."""
    zone = ZoneInfo(figures.facts.time_zone)
    return [datetime.fromtimestamp(slot_s, zone).replace(tzinfo=None) for slot_s in slots_s]


def _chart(unit: str) -> go.Figure:
    chart = go.Figure()
    _style(chart, unit)
    return chart


def _style(chart: go.Figure, unit: str, height: int = 340) -> None:
    chart.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 56, "r": 16, "t": 24, "b": 40},
        font={"family": FONT, "size": 12, "color": INK},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="x unified",
        yaxis_title=unit or None,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
