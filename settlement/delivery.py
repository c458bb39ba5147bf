"""What one delivery slot came to: how much of each trade was delivered, and who owes what to whom.

A trade is honoured at its own price, for the buyer is always served by the grid; each side bears its *own*
deviation. For a meter with contracted sells S and buys B, metered export E and import I:

===================  ====================  ==============================  =========
kind                 from                  to                              how
===================  ====================  ==============================  =========
``energy``           buyer                 seller, q x seller price        cycle, or terms for a buyer on terms
``wheeling``         buyer                 grid company, q x fee           cycle, or bill for a buyer on terms
``shortfall``        seller                grid company, (S - E)+          cycle, at the shortfall price
``surplus``          grid company          seller, (E - S)+                bill, at the feed-in price
``over_consumed``    buyer                 grid company, (I - B)+          bill, at the retail price
``under_consumed``   grid company          buyer, (B - I)+                 bill, at the feed-in price
``energy_due``       buyer                 seller                          cycle, when a plain debt falls due
===================  ====================  ==============================  =========

``how`` says when money moves: ``cycle`` in this cycle, ``terms`` when due, ``bill`` with the grid company's ordinary
bill, not collected here. What a buyer did not take is handed to the grid at the feed-in price, as a seller's surplus
is: at the retail price, buying cheap and not consuming would pay. Every line has its mirror, so that each ``how`` adds
up over all parties to zero, to the micro-yuan.

Source: ``docs/settlement_and_chain.md``, "Delivery". Pure: no clock, no SQL.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from settlement.rules import SettlementRules


class How(StrEnum):
    CYCLE = "cycle"
    TERMS = "terms"
    BILL = "bill"


class Kind(StrEnum):
    ENERGY = "energy"
    WHEELING = "wheeling"
    SHORTFALL = "shortfall"
    SURPLUS = "surplus"
    OVER_CONSUMED = "over_consumed"
    UNDER_CONSUMED = "under_consumed"
    ENERGY_DUE = "energy_due"


class Established(StrEnum):
    """How far a reading is proven (``areas.py`` decides); one that is held does not count."""

    METER = "meter"  # signed by the meter itself
    RECONCILED = "reconciled"  # signed by the meter operator, and the area meter confirms the sum
    OPERATOR = "operator"  # signed by the meter operator, and no area meter measures there
    UNCONFIRMED = "unconfirmed"  # signed by the meter operator; its area could not be compared
    HELD = "held"  # signed by the meter operator, and the area meter contradicts


PROVEN = frozenset({Established.METER, Established.RECONCILED, Established.OPERATOR})
"""Energy that was read so can become a receivable."""


class SlotTrade(NamedTuple):
    """What delivery needs to know of a trade. Prices in ticks, ``buyer price = seller price + fee``."""

    trade_id: int
    slot_s: int
    buyer: int
    seller: int
    buy_node: int
    sell_node: int
    quantity_lots: int
    seller_price_ticks: int
    buyer_price_ticks: int
    terms_days: int


class Reading(NamedTuple):
    """Metered energy of one meter in one slot."""

    export_lots: int
    import_lots: int


class Delivery(NamedTuple):
    """How much of a trade its seller's meter delivered; financeable when that is read and proven."""

    trade_id: int
    delivered_lots: int
    financeable: bool


class Estimate(NamedTuple):
    """A meter that traded in a slot and has no reading that counts: none came, or the one that came is held."""

    slot_s: int
    node: int
    held: bool


class Line(NamedTuple):
    """One line of one party's statement: ``amount_micro`` is + received, - paid, ``+-energy_lots x price_ticks``.

    ``adjusts`` is None, but for a line by which a slot of an earlier cycle is put right: there it is that cycle's
    number (0: the slot's day had none).
    """

    slot_s: int
    member: int
    node: int
    kind: str
    counterparty: int
    trade_id: int | None
    energy_lots: int
    price_ticks: int
    amount_micro: int
    how: str
    adjusts: int | None = None


class PlainDebt(NamedTuple):
    """What a buyer on terms owes for energy that cannot become a receivable: not delivered, or only estimated."""

    trade: SlotTrade
    energy_lots: int


class LateSlot(NamedTuple):
    """A slot of ``cycle`` (0: its day had none) of which readings came late: those that counted, those that do now.

    ``trades`` are at least those of the meters whose readings differ.
    """

    slot_s: int
    cycle: int
    trades: Sequence[SlotTrade]
    before: Mapping[int, Reading]
    after: Mapping[int, Reading]


class SlotOutcome(NamedTuple):
    """Deliveries by trade id; lines in their canonical order: trades by id, then meters by node.

    ``estimated`` are the nodes that traded and had no reading, ascending.
    """

    deliveries: list[Delivery]
    lines: list[Line]
    estimated: list[int]


class _Position(NamedTuple):
    """One meter in one slot: what it had contracted and what it did."""

    slot_s: int
    node: int
    owner: int
    sold_lots: int
    bought_lots: int
    reading: Reading


class _Deviation(NamedTuple):
    """Energy by which a meter deviates in one way; ``sign`` -1: its owner pays for it."""

    kind: Kind
    energy_lots: int
    price_ticks: int
    sign: int
    how: How


def settle_slot(
    slot_s: int,
    trades: Sequence[SlotTrade],
    readings: Mapping[int, Reading],
    owners: Mapping[int, int],
    rules: SettlementRules,
    *,
    unproven: Collection[int] = (),
) -> SlotOutcome:
    """Deliveries and statement lines of one slot.

    ``readings`` holds the final reading by node; a meter that traded and has none counts as zero for its sells and as
    its contracted quantity for its buys. ``owners`` is the member of every node that traded or was read (KeyError
    when one is missing). ``unproven`` are the nodes whose reading counts and makes nothing financeable.
    """
    in_order = sorted(trades, key=lambda trade: trade.trade_id)
    assert all(trade.slot_s == slot_s for trade in in_order)
    sold, bought = _contracted(in_order)
    lines = [line for trade in in_order for line in _trade_lines(trade, rules.grid_company)]
    for node in sorted({*sold, *bought, *readings}):
        reading = readings.get(node, Reading(0, bought[node]))
        lines += _deviation_lines(_Position(slot_s, node, owners[node], sold[node], bought[node], reading), rules)
    estimated = sorted({*sold, *bought}.difference(readings))
    return SlotOutcome(_deliveries(in_order, readings, unproven), lines, estimated)


def adjust_slot(late: LateSlot, owners: Mapping[int, int], rules: SettlementRules) -> list[Line]:
    """The lines that turn the statement of a settled slot into what its late readings would have made of it.

    A trade is honoured in full whatever was metered, so energy and wheeling
    stand, and with them receivables and debts; what changes is the meters' own deviations. Of each kind the difference
    in energy is paid, the other way where it became less: with the lines of before it adds up, by member, kind and
    ``how``, to what ``settle_slot`` says with the new readings.
    """
    sold, bought = _contracted(late.trades)
    lines: list[Line] = []
    for node in sorted({*late.before, *late.after}):
        if late.before.get(node) == late.after.get(node):
            continue
        assumed = Reading(0, bought[node])
        contracted = (late.slot_s, node, owners[node], sold[node], bought[node])
        settled = _Position(*contracted, late.before.get(node, assumed))
        corrected = _Position(*contracted, late.after.get(node, assumed))
        for was, now in zip(_deviations(settled, rules), _deviations(corrected, rules), strict=True):
            more_lots = now.energy_lots - was.energy_lots
            if more_lots:
                line = _deviation_line(corrected, now, rules.grid_company)
                amount_micro = now.sign * more_lots * now.price_ticks
                adjusted = line._replace(energy_lots=abs(more_lots), amount_micro=amount_micro, adjusts=late.cycle)
                lines += _pair(adjusted, node)
    return lines


def due_lines(debts: Iterable[PlainDebt]) -> list[Line]:
    """The lines by which plain debts are paid in the cycle of their due day, by trade id."""
    lines: list[Line] = []
    for debt in sorted(debts, key=lambda debt: debt.trade.trade_id):
        lines += _energy_lines(debt.trade, debt.energy_lots, Kind.ENERGY_DUE, How.CYCLE)
    return lines


def plain_debt_lots(trade: SlotTrade, delivery: Delivery) -> int:
    """The lots of a trade on terms that no receivable can hold; zero for a prepaid trade."""
    if trade.terms_days == 0:
        return 0
    return trade.quantity_lots - (delivery.delivered_lots if delivery.financeable else 0)


def _contracted(trades: Iterable[SlotTrade]) -> tuple[defaultdict[int, int], defaultdict[int, int]]:
    sold: defaultdict[int, int] = defaultdict(int)
    bought: defaultdict[int, int] = defaultdict(int)
    for trade in trades:
        sold[trade.sell_node] += trade.quantity_lots
        bought[trade.buy_node] += trade.quantity_lots
    return sold, bought


def _deliveries(
    trades: Sequence[SlotTrade], readings: Mapping[int, Reading], unproven: Collection[int]
) -> list[Delivery]:
    """``min(E, S)`` of each seller's meter, given to its trades first come first served."""
    left = {trade.sell_node: 0 for trade in trades}
    left |= {node: readings[node].export_lots for node in left if node in readings}
    deliveries = []
    for trade in trades:
        delivered_lots = min(trade.quantity_lots, left[trade.sell_node])
        left[trade.sell_node] -= delivered_lots
        is_proven = trade.sell_node in readings and trade.sell_node not in unproven
        deliveries.append(Delivery(trade.trade_id, delivered_lots, is_proven))
    return deliveries


def _trade_lines(trade: SlotTrade, grid_company: int) -> Iterator[Line]:
    on_terms = trade.terms_days > 0
    yield from _energy_lines(trade, trade.quantity_lots, Kind.ENERGY, How.TERMS if on_terms else How.CYCLE)
    fee_ticks = trade.buyer_price_ticks - trade.seller_price_ticks
    if fee_ticks:
        yield from _pair(
            Line(
                trade.slot_s,
                trade.buyer,
                trade.buy_node,
                Kind.WHEELING,
                grid_company,
                trade.trade_id,
                trade.quantity_lots,
                fee_ticks,
                -trade.quantity_lots * fee_ticks,
                How.BILL if on_terms else How.CYCLE,
            ),
            trade.buy_node,
        )


def _energy_lines(trade: SlotTrade, energy_lots: int, kind: Kind, how: How) -> Iterator[Line]:
    yield from _pair(
        Line(
            trade.slot_s,
            trade.buyer,
            trade.buy_node,
            kind,
            trade.seller,
            trade.trade_id,
            energy_lots,
            trade.seller_price_ticks,
            -energy_lots * trade.seller_price_ticks,
            how,
        ),
        trade.sell_node,
    )


def _deviation_lines(at: _Position, rules: SettlementRules) -> Iterator[Line]:
    for deviation in _deviations(at, rules):
        if deviation.energy_lots:
            yield from _pair(_deviation_line(at, deviation, rules.grid_company), at.node)


def _deviations(at: _Position, rules: SettlementRules) -> tuple[_Deviation, ...]:
    """The four ways in which a meter can deviate, always in this order; of each pair one has no energy."""
    exported_beyond, imported_beyond = at.reading.export_lots - at.sold_lots, at.reading.import_lots - at.bought_lots
    return (
        _Deviation(Kind.SHORTFALL, max(-exported_beyond, 0), rules.shortfall_ticks, -1, How.CYCLE),
        _Deviation(Kind.SURPLUS, max(exported_beyond, 0), rules.feed_in_ticks, +1, How.BILL),
        _Deviation(Kind.OVER_CONSUMED, max(imported_beyond, 0), rules.retail_ticks, -1, How.BILL),
        _Deviation(Kind.UNDER_CONSUMED, max(-imported_beyond, 0), rules.feed_in_ticks, +1, How.BILL),
    )


def _deviation_line(at: _Position, deviation: _Deviation, grid_company: int) -> Line:
    return Line(
        at.slot_s,
        at.owner,
        at.node,
        deviation.kind,
        grid_company,
        None,
        deviation.energy_lots,
        deviation.price_ticks,
        deviation.sign * deviation.energy_lots * deviation.price_ticks,
        deviation.how,
    )


def _pair(line: Line, mirror_node: int) -> tuple[Line, Line]:
    """A line and the same one as its counterparty sees it: what one pays the other receives."""
    mirror = line._replace(
        member=line.counterparty, node=mirror_node, counterparty=line.member, amount_micro=-line.amount_micro
    )
    return line, mirror
