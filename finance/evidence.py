"""All that a bank needs to see for itself what a receivable rests on, without the market's help.

The receivable's id is the hash of its content and stands under its period's root, which the chain's ``PeriodIssued``
shows; its trades' ids and amounts stand under its trades root; each trade's own leaf stands under a commitment that
the chain's ``Committed`` shows. ``verify_evidence`` is that check. Numbers are whole (lots, ticks, micro-yuan, days
since 1970-01-01), bytes are hex; no name, meter or limit price is in it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from data.units import MICRO_PER_FEN, floor_fen
from finance import period_store, registry_store, store
from finance.claim import TermsTrade, trades_root
from finance.listing import DRAFTED
from finance.mirror import change_of
from finance.paths import path_of
from finance.period import Pair
from finance.receivable import State
from finance.rows import claim_of
from settlement import merkle, receivable_acts
from settlement import store as settlement_store
from settlement.chain import ChainEvent
from settlement.contradiction import Contradiction
from settlement.hexjson import Hex

Step = tuple[bool, Hex]
"""One step of a proof: is the sibling on the left, and its hash."""


class ShownReceivable(msgspec.Struct, frozen=True):
    """The content of a receivable, field by field as its id hashes it."""

    period: int
    creditor: int
    debtor: int
    face_micro: int
    terms_days: int
    issue_day: int
    due_day: int
    trades_root: Hex
    salt: Hex


class ShownTrade(msgspec.Struct, frozen=True):
    """A trade that it claims; ``leaf`` is the trade's own, ``path`` leads to the root of its commitment."""

    trade_id: int
    slot_s: int
    delivered_lots: int
    seller_price_ticks: int
    amount_micro: int
    leaf: Hex
    commitment: int
    path: tuple[Step, ...]


class ShownCommitment(msgspec.Struct, frozen=True):
    """What the chain's ``Committed`` says, as far as it is needed here."""

    index: int
    trade_root: Hex


class ShownInvoice(msgspec.Struct, frozen=True):
    """Its tax invoice, to be asked for at the tax office; the total is the face, tax included."""

    number: str
    issue_day: str
    net_fen: int
    tax_fen: int
    total_fen: int
    state: str


class ShownRegistration(msgspec.Struct, frozen=True):
    """A number in the registry of movable-property financing; ``hash`` is what the chain has of it."""

    number: str
    hash: Hex
    party: int


class Evidence(msgspec.Struct, frozen=True):
    """``path`` leads from the receivable's id to ``period_root``; trades are in the order of their ids.

    What others know of it (invoice, registrations) is told as it was recorded: they are whom to ask.
    """

    receivable_id: Hex
    content: ShownReceivable
    period_root: Hex
    path: tuple[Step, ...]
    carried_micro: int
    trades: tuple[ShownTrade, ...]
    commitments: tuple[ShownCommitment, ...]
    invoice: ShownInvoice | None = None
    registrations: tuple[ShownRegistration, ...] = ()


class ShownChange(msgspec.Struct, frozen=True):
    """A change that the chain made: of the state, or, where ``part`` is a number, of what is open of that part."""

    part: int | None
    before: str
    after: str
    actor: int
    at_s: int
    reason: str
    block: int
    log_index: int


class WholeEvidence(Evidence, frozen=True, kw_only=True):
    """What a bank gets: also when the debtor acknowledged it (null: not yet), and every change on the chain since."""

    acknowledged: ShownChange | None
    history: tuple[ShownChange, ...]


# ------------------------------------------------------------------------------------------------- gathering


def whole_evidence_of(connection: Connection, row: Row[Any]) -> WholeEvidence:
    """The evidence of an issued receivable with its history, given as its row."""
    history = tuple(
        ShownChange(*(getattr(change, name) for name in ShownChange.__struct_fields__))
        for change in store.history(connection, row.receivable_id)
        if change.block is not None
    )
    acknowledged = next((each for each in history if each.after == State.ACKNOWLEDGED), None)
    fields = msgspec.structs.asdict(evidence_of(connection, row))
    return WholeEvidence(**fields, acknowledged=acknowledged, history=history)


def verify_history(evidence: WholeEvidence, events: Iterable[ChainEvent]) -> list[Contradiction]:
    """Where the history is not what the chain says of this receivable; ``events`` are read from the chain."""
    said = {
        (event.block, event.log_index): change
        for event in events
        if event.arguments.get("receivable") == evidence.receivable_id
        for change in [change_of(event, "", "")]
        if change is not None and event.event in ("Changed", "PartChanged")
    }
    shown = {
        (each.block, each.log_index): each
        for each in evidence.history
        if each.part is not None or each.before != each.after
    }
    name = evidence.receivable_id.hex()
    problems = [
        Contradiction("receivable_history", name, "block, log_index", f"{place} is on the chain and not shown")
        for place in said.keys() - shown.keys()
        if said[place]["before"] != said[place]["after"]
    ]
    for place, each in shown.items():
        stated = (each.part, each.before, each.after, each.actor)
        change = said.get(place)
        is_issue = change is None and each.before == DRAFTED
        if not is_issue and (change is None or stated != tuple(change[key] for key in _SAID)):
            problems.append(Contradiction("receivable_history", name, "before, after", f"{stated} is not on the chain"))
    return problems


_SAID = ("part", "before", "after", "actor")


def evidence_of(connection: Connection, row: Row[Any]) -> Evidence:
    """The evidence of an issued receivable, given as its row."""
    claim = claim_of(row)
    period = period_store.period(connection, claim.period)
    assert period is not None, "a receivable is of a period"
    trades, commitments = _trades(connection, claim.receivable_id)
    pair = Pair(claim.creditor, claim.debtor, claim.terms_days)
    on_chain = claim.on_chain._asdict() | {"trades_root": Hex(claim.trades_root), "salt": Hex(claim.salt)}
    return Evidence(
        receivable_id=Hex(claim.receivable_id),
        content=ShownReceivable(**on_chain),
        period_root=Hex(period.root),
        path=_steps(path_of(connection, row)),
        carried_micro=period_store.carried_by(connection, pair, claim.period),
        trades=tuple(trades),
        commitments=tuple(commitments),
        invoice=_invoice(connection, claim.receivable_id),
        registrations=tuple(
            ShownRegistration(each.number, Hex(each.registration_hash), each.party)
            for each in registry_store.registrations_of(connection, claim.receivable_id)
        ),
    )


def _invoice(connection: Connection, receivable_id: bytes) -> ShownInvoice | None:
    row = registry_store.fapiao_of(connection, receivable_id)
    if row is None:
        return None
    return ShownInvoice(row.number, row.issue_day, row.net_fen, row.tax_fen, row.total_fen, row.state)


def _trades(connection: Connection, receivable_id: bytes) -> tuple[list[ShownTrade], list[ShownCommitment]]:
    shown: list[ShownTrade] = []
    commitments: list[ShownCommitment] = []
    first, last, leaves = 1, 0, list[bytes]()
    for row in store.claimed_trades(connection, receivable_id):
        if row.trade_id > last:
            commitment = settlement_store.commitment_of_trade(connection, row.trade_id)
            assert commitment is not None, "a trade is committed before its cycle is drafted"
            first, last = commitment.first_trade, commitment.last_trade
            leaves = settlement_store.leaves_between(connection, first, last)
            commitments.append(ShownCommitment(commitment.commitment, Hex(commitment.trade_root)))
        place = row.trade_id - first
        shown.append(
            ShownTrade(
                trade_id=row.trade_id,
                slot_s=row.slot_s,
                delivered_lots=row.delivered_lots,
                seller_price_ticks=row.seller_price_ticks,
                amount_micro=row.amount_micro,
                leaf=Hex(leaves[place]),
                commitment=commitments[-1].index,
                path=_steps(merkle.path(leaves, place)),
            )
        )
    return shown, commitments


def _steps(path: merkle.Path) -> tuple[Step, ...]:
    return tuple((on_left, Hex(sibling)) for on_left, sibling in path)


# ------------------------------------------------------------------------------------------------- verifying


def verify_evidence(
    evidence: Evidence, period_root: bytes, commitment_roots: Mapping[int, bytes]
) -> list[Contradiction]:
    """Where the evidence does not hold; empty when it does.

    ``period_root`` and ``commitment_roots`` (by index) are read from the chain, not from the market.
    """
    content, name = evidence.content, evidence.receivable_id.hex()
    problems = []
    if (
        receivable_acts.receivable_id(receivable_acts.Receivable(*msgspec.structs.astuple(content)))
        != evidence.receivable_id
    ):
        problems.append(("receivable_id", "it is not the hash of the content"))
    if merkle.climb(evidence.receivable_id, list(evidence.path)) != period_root:
        problems.append(("path", "it does not stand under the period's root on the chain"))
    claimed = [_as_claimed(trade, content) for trade in evidence.trades]
    if trades_root(claimed) != content.trades_root:
        problems.append(("trades_root", "it is not that of the trades"))
    total_micro = evidence.carried_micro + sum(trade.amount_micro for trade in claimed)
    if evidence.carried_micro >= MICRO_PER_FEN:
        problems.append(("carried_micro", "a whole fen is never carried"))
    if floor_fen(total_micro) * MICRO_PER_FEN != content.face_micro:
        problems.append(("face_micro", f"the trades and what was carried come to {total_micro}"))
    for trade, shown in zip(claimed, evidence.trades, strict=True):
        if trade.amount_micro != shown.amount_micro:
            problems.append(("trades", f"trade {trade.trade_id} is not energy times price"))
        if merkle.climb(shown.leaf, list(shown.path)) != commitment_roots.get(shown.commitment):
            problems.append(("trades", f"trade {trade.trade_id} does not stand under its commitment on the chain"))
    return [Contradiction("receivables", name, column, why) for column, why in problems]


def _as_claimed(trade: ShownTrade, content: ShownReceivable) -> TermsTrade:
    return TermsTrade(
        trade.trade_id,
        content.creditor,
        content.debtor,
        content.terms_days,
        trade.delivered_lots,
        trade.seller_price_ticks,
        trade.leaf,
    )
