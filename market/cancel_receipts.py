"""Cancel receipts: the operator's signed word that an order can trade no more than so much.

Whoever holds one proves a later trade beyond it to the chain by itself (``Disputes.prove_cancelled``). It is signed
only for those who cancel, reduce, or ask.
"""

import msgspec

from market.context import Context
from market.openapi.fields import Hash, Number, Signature
from market.records import OrderRecord
from settlement.dispute_acts import cancel_receipt_digest


class CancelReceiptBody(msgspec.Struct, frozen=True):
    """``signature`` is the operator's over ``CancelReceipt(order, limitLots, sequence)`` in the domain of Clearing:
    the order with this digest trades at most `limit_lots` steps of 0.01 kWh in all, from `sequence` on.
    """

    order: Hash
    limit_lots: Number
    sequence: Number
    operator: int
    signature: Signature


def limit_lots(order: OrderRecord) -> int:
    """The most that an order can have traded when all is over."""
    taken_back_lots = order.reduced_lots + (0 if order.state == "open" else order.remaining_lots)
    return order.quantity_lots - taken_back_lots


def cancel_receipt(context: Context, order: OrderRecord) -> CancelReceiptBody | None:
    """The receipt of an order that has ended or was reduced; None while all of it may still trade."""
    if order.state == "open" and not order.reduced_lots:
        return None
    limit, operator = limit_lots(order), context.operator
    digest = cancel_receipt_digest(context.chain.domain("Clearing"), order.digest, limit, order.changed_sequence)
    signature = operator.approve(digest).signature
    return CancelReceiptBody(order.digest.hex(), limit, order.changed_sequence, operator.member, signature.hex())
