"""The cover of a trade's evidence: one page in Chinese and English for people who do not read JSON.

It says what the file is about, what is in it, and how to verify it; it proves nothing itself. The file's SHA-256 ties
the two together. Source of the form: none is prescribed; times are UTC, energy kWh, money CNY.
"""

from hashlib import sha256
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from data.units import format_energy, format_instant, format_money, format_price
from finance.trade_evidence import TradeEvidence
from matching.order import Side

_SIDES = {Side.BUY: ("Buyer", "买方"), Side.SELL: ("Seller", "卖方")}


class Row(NamedTuple):
    """What it is, in both languages, and what it says."""

    english: str
    chinese: str
    value: str


def cover(found: TradeEvidence, payload: bytes, name: str) -> str:
    """The page of an evidence, of which ``payload`` are the bytes of the file with this name."""
    pages = Environment(loader=PackageLoader("market", "pages"), autoescape=True, undefined=StrictUndefined)
    return pages.get_template("evidence.html.j2").render(
        trade=found.proofs[0].common.trade_id,
        rows=[*_trade(found), *_settlement(found), *_claim(found)],
        blocks=sorted({(proof.committed.block_hash.hex()) for proof in found.proofs}),
        name=name,
        digest=sha256(payload).hexdigest(),
    )


def _trade(found: TradeEvidence) -> list[Row]:
    common = found.proofs[0].common
    rows = [
        Row("Delivery slot", "交付时段", format_instant(common.slot_s)),
        Row("Traded", "成交时间", format_instant(common.traded_s)),
        Row("Energy", "电量", f"{format_energy(common.quantity_lots)} kWh"),
        Row("Payment term", "账期", f"{common.terms_days} d"),
        Row("Commitment on the chain", "链上承诺", str(found.proofs[0].commitment.number)),
    ]
    for proof in found.proofs:
        english, chinese = _SIDES[Side(proof.side)]
        half, order = proof.half, proof.order.intent
        price = f"{format_price(half.price_ticks)} CNY/kWh (limit 限价 {format_price(order.price_ticks)})"
        rows.append(Row(f"{english}: member, meter", f"{chinese}：会员、电表", f"{half.member}, {half.meter}"))
        rows.append(Row(f"{english}: price", f"{chinese}：价格", price))
        rows.append(Row(f"{english}: order", f"{chinese}：订单", order.client_order_id))
    return rows


def _settlement(found: TradeEvidence) -> list[Row]:
    rows = []
    if found.delivery is not None:
        rows.append(Row("Delivered", "已交付", f"{format_energy(found.delivery.delivered_lots)} kWh"))
    for cycle in found.cycles:
        state = "applied 已执行" if cycle.applied else "proposed 已提案" if cycle.proposed else "drafted 草案"
        rows.append(Row(f"Settlement cycle {cycle.cycle}", f"第 {cycle.cycle} 结算周期", state))
        for reading in cycle.readings:
            energy = f"+{format_energy(reading.export_lots)} −{format_energy(reading.import_lots)} kWh"
            rows.append(Row(f"Reading of {reading.meter}", f"电表 {reading.meter} 读数", energy))
        for shown in cycle.lines:
            _, _, member, _, kind, _, _, _, _, amount_micro, how, _ = shown.line
            text = f"{format_money(amount_micro)} CNY ({kind}, {how})"
            rows.append(Row(f"Statement line of member {member}", f"会员 {member} 结算行", text))
    return rows


def _claim(found: TradeEvidence) -> list[Row]:
    if found.receivable is None:
        return []
    content = found.receivable.evidence.content
    return [
        Row("Receivable", "应收账款", found.receivable.evidence.receivable_id.hex()),
        Row("Face", "面额", f"{format_money(content.face_micro)} CNY"),
        Row("Creditor, debtor", "债权人、债务人", f"{content.creditor}, {content.debtor}"),
        Row("Events on the chain", "链上记载", str(len(found.receivable.events))),
    ]
