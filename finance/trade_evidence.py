"""One file with all that a court would ask for about a trade, verifiable offline (``verifier``).

The trade's proof (one side's, or both for a regulator or a court), what stands behind it (``settlement/evidence.py``),
and the receivable that the trade is part of, as its own evidence shows it (``finance/evidence.py``), with what the
chain says of that.
"""

from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from data.database import reading
from finance import store
from finance.evidence import Evidence, evidence_of
from settlement import cycle_store, evidence, evidence_store, proofs
from settlement import store as settlement_store
from settlement.chain import ReadableChain
from settlement.event_proof import EventProof
from settlement.evidence import ShownCycle, ShownKeys, ShownReceipt, Subject
from settlement.proofs import Gathered, ProofFile
from settlement.rules import SettlementRules


class ShownDelivery(msgspec.Struct, frozen=True):
    """How much of the trade was delivered, and whether that may be financed, as the cycle's statements rest on it."""

    delivered_lots: int
    financeable: bool


class ShownClaim(msgspec.Struct, frozen=True):
    """The receivable of which the trade is a part. ``events``: its period's issue, then every change on the chain."""

    evidence: Evidence
    events: tuple[EventProof, ...]


class TradeEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The file. ``members`` holds the key histories of all whose signatures are in it but the sides'."""

    kind: Literal["trade_evidence"] = "trade_evidence"
    version: Literal[1] = 1
    operator: int
    checker: int
    proofs: tuple[ProofFile, ...]
    receipt: ShownReceipt
    members: tuple[ShownKeys, ...]
    delivery: ShownDelivery | None
    cycles: tuple[ShownCycle, ...]
    receivable: ShownClaim | None


class Source(NamedTuple):
    """Where it is gathered from, and the market's public terms."""

    database: Engine
    chain: ReadableChain
    rules: SettlementRules
    operator: int
    checker: int


def trade_evidence(source: Source, trade_id: int, members: frozenset[int] | None) -> TradeEvidence | str:
    """The evidence of a trade for those of its sides that are ``members``; None: for a regulator or a court.

    Or why there is none: ``not_found``, ``not_committed``. Raises InconsistentRecordError, EventNotProvableError,
    ChainUnavailableError.
    """
    chain = source.chain
    with reading(source.database) as connection:
        gathered = _gather(connection, trade_id, members, chain)
        if isinstance(gathered, str):
            return gathered
        (trade,) = settlement_store.trades_between(connection, trade_id, trade_id)
        shown = frozenset(each.proof.half.member for each in gathered)
        subject = Subject(trade.record, shown, members is None)
        receipt = evidence.receipt(connection, subject)
        delivery = cycle_store.deliveries_of(connection, [trade_id]).get(trade_id)
        claim = _claim(connection, chain, trade_id)
    cycles = evidence.cycles(source.database, chain, subject, source.rules)
    signers = {source.operator, source.checker} | _signers(cycles)
    with reading(source.database) as connection:
        keys = evidence.keys_of(connection, chain, signers)
    return TradeEvidence(
        operator=source.operator,
        checker=source.checker,
        proofs=tuple(proofs.with_events(each, chain) for each in gathered),
        receipt=receipt,
        members=keys,
        delivery=None if delivery is None else ShownDelivery(delivery.delivered_lots, delivery.financeable),
        cycles=cycles,
        receivable=claim,
    )


def _gather(
    connection: Connection, trade_id: int, members: frozenset[int] | None, chain: ReadableChain
) -> list[Gathered] | str:
    found = settlement_store.trades_between(connection, trade_id, trade_id)
    if not found:
        return "not_found"
    sides = (found[0].record.buy.member, found[0].record.sell.member)
    wanted = [member for member in sides if members is None or member in members]
    gathered = [proofs.gather(connection, trade_id, member, chain.domain("Clearing")) for member in wanted]
    refused = [each for each in gathered if isinstance(each, str)]
    if refused or not gathered:
        return refused[0] if refused else "not_found"
    return [each for each in gathered if not isinstance(each, str)]


def _signers(cycles: tuple[ShownCycle, ...]) -> set[int]:
    """The meter operators whose signatures are shown."""
    signed = [each.signed for cycle in cycles for each in cycle.readings if each.signed is not None]
    return {each.signer for each in signed if each.signer is not None} | {
        each.own.signer for each in signed if each.own is not None
    }


def _claim(connection: Connection, chain: ReadableChain, trade_id: int) -> ShownClaim | None:
    row = store.receivable_of_trade(connection, trade_id)
    if row is None or row.state == "drafted":
        return None
    places = evidence_store.receivable_events(connection, row.receivable_id, row.period)
    return ShownClaim(evidence_of(connection, row), evidence.proven(chain, places))
