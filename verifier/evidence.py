"""All that stands behind a trade: its proofs, receipts, readings, statement lines, cycles, and what is owed for it.

Whatever is in the file leads to a signature of somebody whose key the chain names, or to an event of the chain. What
does not (how much of a trade was delivered, unless a receivable holds it) is told as believed.
"""

from itertools import pairwise
from typing import Any, NamedTuple

from verifier import claim
from verifier.chain import Known, read_event
from verifier.document import MAX_UINT, Fields, MalformedError
from verifier.hashes import climb, json_bytes, keccak, leaf, word
from verifier.keys import History, read_history
from verifier.report import Report
from verifier.signing import Domain, Key, is_signed
from verifier.trade import Trade, read_key, verify_trade

KIND = "trade_evidence"
FIELDS = (
    "kind",
    "version",
    "operator",
    "checker",
    "proofs",
    "receipt",
    "members",
    "delivery",
    "cycles",
    "receivable",
)
_CYCLE = (
    "cycle",
    "start_s",
    "end_s",
    "trades_root",
    "readings_root",
    "statements_root",
    "parts",
    "operator_signature",
    "checker_signature",
    "proposed",
    "applied",
    "trade_path",
    "readings",
    "lines",
)
_READING = ("meter", "node", "slot_s", "export_lots", "import_lots", "salt", "path", "signed")
_SIGNED = ("signer", "count", "path", "signature", "own")
_OPERATOR, _CHECKER, _METER_OPERATOR = 1, 2, 4
_RECEIPT = b"Receipt(uint64 sequence,bytes32 journalHead)"
_READINGS = b"Readings(uint64 signer,bytes32 root,uint64 count)"
_METER_READINGS = b"MeterReadings(string meter,bytes32 root,uint64 count)"
_METER_KEY = b"MeterKey(string meter,uint64 number,bytes32 x,bytes32 y)"
_PROPOSE = (
    b"Propose(uint256 cycle,uint256 startS,uint256 endS,"
    b"bytes32 tradesRoot,bytes32 readingsRoot,bytes32 statementsRoot,bytes32 partsHash)"
)
_PROPOSED = "Proposed(uint256,uint256,uint256,bytes32,bytes32,bytes32,bytes32,uint256,uint256)"
_APPLIED = "CycleApplied(uint256,uint256,uint256,uint256)"
_MOST_MICRO = 2**127


class Case(NamedTuple):
    """What the parts of the evidence are checked against."""

    report: Report
    known: Known
    trades: list[Trade]
    contracts: tuple[bytes, ...]
    histories: dict[int, History]
    operator: int
    checker: int

    @property
    def trade(self) -> Trade:
        return self.trades[0]

    @property
    def domain(self) -> Domain:
        return self.trade.domain

    @property
    def meters(self) -> set[str]:
        return {each.half.meter for each in self.trades}

    def is_signed_by(self, member: int, digest: bytes, signature: bytes) -> bool:
        """Whether one of a member's keys signed."""
        history = self.histories.get(member)
        return history is not None and any(is_signed(each.key, digest, signature) for each in history.keys)


def verify_evidence(value: Any, report: Report, known: Known) -> None:
    """Verify a file of evidence. Raises MalformedError."""
    fields = Fields(value, "", FIELDS)
    fields.number("version", 1, 1)
    trades = [verify_trade(each, place, report, known) for each, place in fields.items("proofs")]
    if not 1 <= len(trades) <= 2:
        fields.refuse("proofs", "expected one side's, or both sides'")
    if len(trades) == 2:
        same = trades[0].leaf == trades[1].leaf and trades[0].domain == trades[1].domain
        report.check("same_trade", same and trades[0].side < trades[1].side)
    case = Case(
        report=report,
        known=known,
        trades=trades,
        contracts=trades[0].contracts,
        histories=_histories(fields, report, known, trades[0].members),
        operator=fields.number("operator"),
        checker=fields.number("checker"),
    )
    _verify_roles(case)
    _verify_receipt(fields.fields("receipt", "sequence", "journal_head", "signature"), case)
    cycles = fields.objects("cycles", *_CYCLE)
    ascending(fields, "cycles", [_verify_cycle(cycle, case) for cycle in cycles])
    report.believe("no_cycle_left_out", count=len(cycles))
    delivered_lots = _delivery(fields, case)
    if fields.is_null("receivable"):
        report.believe("no_claim")
    else:
        claim.verify_claim(
            fields.fields("receivable", "evidence", "events"),
            report,
            known,
            claim.Subject(case.trade, case.contracts, delivered_lots),
        )


def _histories(fields: Fields, report: Report, known: Known, members: bytes) -> dict[int, History]:
    found: dict[int, History] = {}
    for each in fields.objects("members", "member", "key_events"):
        member = each.number("member")
        if member <= max(found, default=-1):
            each.refuse("member", "stands out of order")
        history = read_history(list(each.items("key_events")), member, members, report, known)
        if history is not None:
            found[member] = history
            report.check("keys_of_member", True, member=member, block=history.block)
            report.believe("no_key_left_out", member=member, block=history.block)
    return found


def _verify_roles(case: Case) -> None:
    for member, role in ((case.operator, _OPERATOR), (case.checker, _CHECKER)):
        history = case.histories.get(member)
        holds = history is not None and bool(history.roles & role)
        case.report.check("role_operator" if role == _OPERATOR else "role_checker", holds, member=member)


def _verify_receipt(fields: Fields, case: Case) -> None:
    """The operator's word for the journal up to the trade: heads are a chain, so it is for all before too."""
    sequence, head = fields.number("sequence"), fields.hex("journal_head", 32)
    digest = case.domain.digest(_RECEIPT, word(sequence), head)
    signed = case.is_signed_by(case.operator, digest, fields.hex("signature", 64))
    case.report.check("receipt", signed and sequence >= case.trade.common.sequence, sequence=sequence)


def _delivery(fields: Fields, case: Case) -> int | None:
    if fields.is_null("delivery"):
        return None
    found = fields.fields("delivery", "delivered_lots", "financeable")
    delivered_lots = found.number("delivered_lots", 0, case.trade.common.quantity_lots)
    case.report.believe("delivered", energy=delivered_lots, financeable=found.flag("financeable"))
    return delivered_lots


# ----------------------------------------------------------------------------------------------------------- cycles


def _verify_cycle(fields: Fields, case: Case) -> int:
    """Signed by operator and checker, said by the chain; the trade, readings and lines under its roots. Its number."""
    report, number = case.report, fields.number("cycle")
    start_s, end_s = fields.number("start_s"), fields.number("end_s")
    roots = [fields.hex(name, 32) for name in ("trades_root", "readings_root", "statements_root")]
    parts = _parts(fields)
    parts_hash = keccak(word(32) + word(len(parts)) + b"".join(parts))
    digest = case.domain.digest(_PROPOSE, word(number), word(start_s), word(end_s), *roots, parts_hash)
    signed = case.is_signed_by(case.operator, digest, fields.hex("operator_signature", 64))
    report.check("cycle_by_operator", signed, cycle=number)
    if fields.is_null("checker_signature"):
        report.believe("cycle_unchecked", cycle=number)
    else:
        checked = case.is_signed_by(case.checker, digest, fields.hex("checker_signature", 64))
        report.check("cycle_by_checker", checked, cycle=number)
    expected = [number, start_s, end_s, *(int.from_bytes(each, "big") for each in (*roots, parts_hash)), len(parts)]
    _verify_said(fields, case, "proposed", _PROPOSED, expected)
    _verify_said(fields, case, "applied", _APPLIED, [number])
    slot_s = case.trade.common.slot_s
    if fields.is_null("trade_path"):
        report.check("cycle_without_trade", not start_s <= slot_s < end_s, cycle=number)
    else:
        under = climb(case.trade.leaf, fields.path("trade_path")) == roots[0] and start_s <= slot_s < end_s
        report.check("trade_in_cycle", under, cycle=number)
    read = [_verify_reading(each, case, roots[1]) for each in fields.objects("readings", *_READING)]
    ascending(fields, "readings", [node for node, _ in read])
    if start_s <= slot_s < end_s:
        for meter in sorted(case.meters - {meter for _, meter in read}):
            report.believe("no_reading", meter=meter)
    lines = [_verify_line(line, case, roots[2]) for line in fields.objects("lines", "line", "salt", "path")]
    ascending(fields, "lines", lines)
    report.believe("no_line_left_out", cycle=number, count=len(lines))
    return number


def ascending(fields: Fields, name: str, numbers: list[int]) -> None:
    """Whether the entries of a list stand in order, none of them twice. Raises MalformedError."""
    if any(after <= before for before, after in pairwise(numbers)):
        fields.refuse(name, "stand out of order")


def _parts(fields: Fields) -> list[bytes]:
    """The parts as 64 bytes each: hash and sum, which over all is zero."""
    parts, total_micro = [], 0
    for value, place in fields.items("parts"):
        pair = Fields(dict(enumerate(value)) if isinstance(value, list) else value, place, (0, 1))
        part_hash, sum_micro = pair.hex(0, 32), pair.number(1, -_MOST_MICRO, _MOST_MICRO)
        parts.append(part_hash + sum_micro.to_bytes(32, "big", signed=True))
        total_micro += sum_micro
    if total_micro:
        fields.refuse("parts", "their sums do not add up to zero")
    return parts


def _verify_said(fields: Fields, case: Case, name: str, signature: str, expected: list[int]) -> None:
    """Whether the chain says so of the cycle; null: it did not yet when the file was written."""
    cycle = expected[0]
    if fields.is_null(name):
        case.report.believe(f"not_{name}", cycle=cycle)
        return
    event = read_event(fields.raw(name), f"{fields.place}.{name}", case.report, case.known)
    if event is None:
        return
    found = event.arguments(signature, indexed=1)
    holds = found is not None and found[: len(expected)] == expected and event.address == case.domain.contract
    case.report.check(f"chain_{name}", holds, cycle=cycle, block=event.block, when=event.block_s)


def _verify_reading(fields: Fields, case: Case, root: bytes) -> tuple[int, str]:
    """Verify one reading; its node and meter."""
    meter, node, slot_s = fields.text("meter"), fields.number("node"), fields.number("slot_s")
    export_lots, import_lots = fields.number("export_lots"), fields.number("import_lots")
    content = fields.hex("salt", 32) + json_bytes([slot_s, node, export_lots, import_lots])
    holds = climb(leaf(content), fields.path("path")) == root
    holds = holds and slot_s == case.trade.common.slot_s and meter in case.meters
    case.report.check("reading_in_cycle", holds, meter=meter, exported=export_lots, imported=import_lots)
    if fields.is_null("signed"):
        case.report.believe("reading_unsigned", meter=meter)
        return node, meter
    signed = fields.fields("signed", *_SIGNED)
    content = json_bytes([meter, slot_s, export_lots, import_lots])
    batch, count = climb(leaf(content), signed.path("path")), signed.number("count", 1)
    signature = signed.hex("signature", 64)
    if signed.is_null("own"):
        signer = signed.number("signer")
        digest = case.domain.digest(_READINGS, word(signer), batch, word(count))
        case.report.check("reading_by_operator", _by_meter_operator(case, signer, digest, signature), meter=meter)
    elif not signed.is_null("signer"):
        signed.refuse("signer", "the meter signed for itself")
    else:
        digest = case.domain.digest(_METER_READINGS, keccak(meter.encode()), batch, word(count))
        key = _meter_key(signed.fields("own", "number", "key", "signer", "signature"), case, meter)
        case.report.check("reading_by_meter", is_signed(key, digest, signature), meter=meter)
    return node, meter


def _meter_key(fields: Fields, case: Case, meter: str) -> Key:
    """A meter's own key, which the meter operator registered."""
    key = read_key(fields)
    point = (word(key.x), word(key.y))
    digest = case.domain.digest(_METER_KEY, keccak(meter.encode()), word(fields.number("number")), *point)
    holds = _by_meter_operator(case, fields.number("signer"), digest, fields.hex("signature", 64))
    case.report.check("meter_key", holds, meter=meter)
    return key


def _by_meter_operator(case: Case, signer: int, digest: bytes, signature: bytes) -> bool:
    history = case.histories.get(signer)
    return (
        history is not None and bool(history.roles & _METER_OPERATOR) and case.is_signed_by(signer, digest, signature)
    )


def _verify_line(fields: Fields, case: Case, root: bytes) -> int:
    """Verify one line; its number."""
    values = fields.raw("line")
    if not isinstance(values, list) or len(values) != 12:
        fields.refuse("line", "expected a number and eleven fields")
    number, slot_s, member, _, kind, _, trade_id, energy_lots, price_ticks, amount_micro, how, _ = values
    whole = (number, slot_s, member, energy_lots, price_ticks, amount_micro)
    if not all(isinstance(each, int) and not isinstance(each, bool) and abs(each) <= MAX_UINT for each in whole):
        raise MalformedError(f"{fields.place}.line", "expected whole numbers")
    holds = climb(leaf(fields.hex("salt", 32) + json_bytes(values)), fields.path("path")) == root
    holds = holds and trade_id == case.trade.common.trade_id and slot_s == case.trade.common.slot_s
    holds = holds and member in {each.half.member for each in case.trades}
    holds = holds and abs(amount_micro) == abs(energy_lots * price_ticks)
    case.report.check("line", holds, line=number, member=member, kind=kind, how=how, amount=amount_micro)
    return int(number)
