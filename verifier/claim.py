"""What is owed for a trade: a receivable, from the trades that it claims to what the chain says became of it."""

from typing import NamedTuple

from verifier.chain import Event, Known, read_event
from verifier.document import Fields
from verifier.hashes import climb, keccak, leaf, root, word
from verifier.report import Report
from verifier.trade import Trade

_EVIDENCE = (
    "receivable_id",
    "content",
    "period_root",
    "path",
    "carried_micro",
    "trades",
    "commitments",
    "invoice",
    "registrations",
)
_INVOICE = ("number", "issue_day", "net_fen", "tax_fen", "total_fen", "state")
_CONTENT = (
    "period",
    "creditor",
    "debtor",
    "face_micro",
    "terms_days",
    "issue_day",
    "due_day",
    "trades_root",
    "salt",
)
_TRADE = (
    "trade_id",
    "slot_s",
    "delivered_lots",
    "seller_price_ticks",
    "amount_micro",
    "leaf",
    "commitment",
    "path",
)
_PERIOD_ISSUED = "PeriodIssued(uint256,bytes32,uint256)"
_CHANGED = "Changed(bytes32,uint256,uint256,uint256)"
_OF_RECEIVABLE = (
    _CHANGED,
    "Materialised(bytes32,uint256,uint256,uint256,uint256,uint256)",
    "TradesClaimed(bytes32,uint256,bool)",
    "Assigned(bytes32,uint256,uint256,uint256,uint256,uint256,bool,bytes32)",
    "Repaid(bytes32,uint256,uint256,uint256,uint256,uint256,uint256)",
    "BoughtBack(bytes32,uint256)",
    "Compensated(bytes32,uint256)",
    "Disputed(bytes32,bytes32)",
    "FrozenChanged(bytes32,uint256,bool)",
    "PartPledged(bytes32,uint256,bytes32)",
    "PartChanged(bytes32,uint256,uint256,uint256,uint256,uint256,uint256,uint256)",
)
_ACKNOWLEDGED = 2
_MICRO_PER_FEN = 10_000


class Subject(NamedTuple):
    """The trade (None: the receivable is shown by itself), the market's contracts, and how much of the trade is said
    to be delivered.
    """

    trade: Trade | None
    contracts: tuple[bytes, ...]
    delivered_lots: int | None


def verify_claim(fields: Fields, report: Report, known: Known, subject: Subject) -> None:
    """Verify a receivable, of which the trade is a part if there is one. Raises MalformedError."""
    evidence = fields.fields("evidence", *_EVIDENCE)
    content = evidence.fields("content", *_CONTENT)
    numbers = [content.number(name) for name in _CONTENT[:7]]
    trades_root, salt = content.hex("trades_root", 32), content.hex("salt", 32)
    named = evidence.hex("receivable_id", 32)
    own = leaf(b"".join(word(each) for each in numbers) + trades_root + salt)
    report.check("claim_is_content", own == named, receivable=named.hex())
    period_root = evidence.hex("period_root", 32)
    report.check("claim_in_period", climb(named, evidence.path("path")) == period_root, period=numbers[0])
    total_micro = _verify_trades(evidence, report, subject, trades_root)
    carried_micro = evidence.number("carried_micro", 0, _MICRO_PER_FEN - 1)
    face_micro = (carried_micro + total_micro) // _MICRO_PER_FEN * _MICRO_PER_FEN
    report.check("claim_face", face_micro == numbers[3], amount=numbers[3])
    report.believe("claim_carried", amount=carried_micro)
    if subject.trade is None:
        report.show("claim_parties", creditor=numbers[1], debtor=numbers[2], amount=numbers[3])
    else:
        _verify_sides(report, subject.trade, numbers[1], numbers[2])
    _verify_told(evidence, report, numbers[3])
    _verify_events(fields, report, known, subject, _Claim(named, numbers[0], numbers[2], period_root))


def _verify_trades(fields: Fields, report: Report, subject: Subject, trades_root: bytes) -> int:
    """Whether the claimed trades come to the root, and this trade is one of them; their sum in micro-yuan."""
    commitments = fields.objects("commitments", "index", "trade_root")
    roots = {each.number("index"): each.hex("trade_root", 32) for each in commitments}
    if list(roots) != sorted(roots) or len(roots) != len(commitments):
        fields.refuse("commitments", "stand out of order")
    leaves, total_micro, is_in = [], 0, False
    for each in fields.objects("trades", *_TRADE):
        trade_id, own, amount_micro = each.number("trade_id"), each.hex("leaf", 32), each.number("amount_micro")
        delivered_lots = each.number("delivered_lots")
        under = climb(own, each.path("path")) == roots.get(each.number("commitment"))
        holds = under and amount_micro == delivered_lots * each.number("seller_price_ticks")
        report.check("claimed_trade", holds, trade=trade_id, amount=amount_micro)
        if subject.trade is None:
            report.believe("claimed_slot", trade=trade_id, when=each.number("slot_s"))
        if subject.trade is not None and trade_id == subject.trade.common.trade_id:
            is_in = own == subject.trade.leaf and delivered_lots == subject.delivered_lots
            is_in = is_in and each.number("slot_s") == subject.trade.common.slot_s
        leaves.append(leaf(word(trade_id) + word(amount_micro) + own))
        total_micro += amount_micro
    report.check("claim_trades", root(leaves) == trades_root)
    if subject.trade is not None:
        report.check("claim_has_trade", is_in, trade=subject.trade.common.trade_id)
    report.believe("claimed_commitments", count=len(roots))
    return total_micro


def _verify_told(evidence: Fields, report: Report, face_micro: int) -> None:
    """What others are said to know of it: whether it fits. Whether they do, only they can tell."""
    if not evidence.is_null("invoice"):
        invoice = evidence.fields("invoice", *_INVOICE)
        net_fen, tax_fen, total_fen = (invoice.number(name) for name in ("net_fen", "tax_fen", "total_fen"))
        fits = net_fen + tax_fen == total_fen and total_fen * _MICRO_PER_FEN == face_micro
        number = invoice.text("number")
        report.check("claim_invoice", fits, number=number)
        report.believe("claimed_invoice", number=number, day=invoice.text("issue_day"), state=invoice.text("state"))
    for each in evidence.objects("registrations", "number", "hash", "party"):
        number, party = each.text("number"), each.number("party")
        report.check("claim_registration", keccak(number.encode()) == each.hex("hash", 32), number=number)
        report.believe("claimed_registration", number=number, party=party)


def _verify_sides(report: Report, trade: Trade, creditor: int, debtor: int) -> None:
    own = debtor if trade.side == 1 else creditor
    report.check("claim_sides", own == trade.half.member, creditor=creditor, debtor=debtor)


class _Claim(NamedTuple):
    id: bytes
    period: int
    debtor: int
    period_root: bytes


def _verify_events(fields: Fields, report: Report, known: Known, subject: Subject, claim: _Claim) -> None:
    issued = acknowledged = False
    last: Event | None = None
    for value, place in fields.items("events"):
        event = read_event(value, place, report, known)
        if event is None:
            return
        of_period = event.arguments(_PERIOD_ISSUED, indexed=1)
        said = of_period is not None and of_period[:2] == [claim.period, int.from_bytes(claim.period_root, "big")]
        changed = event.arguments(_CHANGED, indexed=1)
        of_claim = any(event.arguments(each, indexed=1) is not None for each in _OF_RECEIVABLE)
        of_claim = of_claim and event.topics[1] == claim.id
        in_order = last is None or (event.block >= last.block and event != last)
        if not report.check(
            "claim_event", (said or of_claim) and in_order and event.address in subject.contracts, place=place
        ):
            return
        issued, last = issued or said, event
        if of_claim and changed is not None and changed[1:] == [claim.debtor, 1, _ACKNOWLEDGED]:
            acknowledged = True
            report.check("claim_acknowledged", True, member=claim.debtor, block=event.block, when=event.block_s)
    report.check("claim_issued", issued, period=claim.period)
    report.believe("no_event_left_out", count=len(list(fields.items("events"))))
    if not acknowledged:
        report.believe("claim_not_acknowledged", member=claim.debtor)
