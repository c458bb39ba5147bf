"""Wrongs that a member proves by itself: a trade beyond a cancel receipt, two trades over the same part of an order.

Everything is checked here as ``Disputes`` will check it, so that what proves nothing is told why and costs nothing. The
codes are those of the contract.
"""

from sqlalchemy import Connection

from settlement import dispute_acts, disputing, signatures
from settlement.chain import Call, ChainEvent
from settlement.dispute_acts import CancelReceipt, Opening, cancel_receipt_digest
from settlement.intents import Domain
from settlement.key_changes import KEY_CHANGE_GRACE_S, history_back_to, keys_of
from settlement.signatures import PublicKey


def cancelled(
    connection: Connection, cycle: int, opening: Opening, receipt: CancelReceipt, domain: Domain
) -> Call | str:
    """The call that strikes a trade beyond what a cancel receipt allows; ``domain`` is that of Clearing.

    ``receipt.signed_s`` is found here. Or why it proves nothing: ``other_order``, ``receipt_not_older``,
    ``within_receipt``, ``bad_signature``.
    """
    if receipt.order != opening.half.order_digest:
        return "other_order"
    if receipt.sequence >= opening.common.sequence:
        return "receipt_not_older"
    if opening.half.filled_before_lots + opening.common.quantity_lots <= receipt.limit_lots:
        return "within_receipt"
    events = disputing.key_changes(connection, receipt.operator)
    signed_s = _signed_at(events, opening, receipt, domain)
    if signed_s is None:
        return "bad_signature"
    history = history_back_to(events, receipt.operator, signed_s)
    return dispute_acts.prove_cancelled(cycle, opening, receipt._replace(signed_s=signed_s), history)


def overlap(cycle: int, one: Opening, other: Opening) -> Call | str:
    """The call that strikes the later of two trades that fill the same part of one order.

    Or why they prove nothing: ``not_one_order``, ``no_overlap``.
    """
    if one.half.order_digest != other.half.order_digest:
        return "not_one_order"
    first, second = sorted((one, other), key=lambda opening: opening.common.trade_id)
    is_one_trade = first.common.trade_id == second.common.trade_id
    if is_one_trade or _filled_to(first) <= second.half.filled_before_lots:
        return "no_overlap"
    if _filled_to(second) <= first.half.filled_before_lots:
        return "no_overlap"
    return dispute_acts.prove_overlap(cycle, first, second)


def _filled_to(opening: Opening) -> int:
    return opening.half.filled_before_lots + opening.common.quantity_lots


def _signed_at(events: list[ChainEvent], opening: Opening, receipt: CancelReceipt, domain: Domain) -> int | None:
    """A time between placing and trade at which the key that signed the receipt held; None when none did."""
    digest = cancel_receipt_digest(domain, receipt.order, receipt.limit_lots, receipt.sequence)
    keys = keys_of(events, receipt.operator)
    for place, key in enumerate(keys):
        at_s = max(opening.half.placed_s, key.from_s)
        has_ended = place + 1 < len(keys) and keys[place + 1].from_s + KEY_CHANGE_GRACE_S < at_s
        if at_s > opening.common.traded_s or has_ended:
            continue
        if signatures.is_signed(PublicKey(key.x, key.y), digest, receipt.signature):
            return at_s
    return None
