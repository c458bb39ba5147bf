"""Whether orders and trades are what the journal led to, and whether their owners signed them.

``signature_checks`` gives what is left to verify, so that thousands can be verified on all cores at once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from settlement import merkle
from settlement.contradiction import Contradiction, differs
from settlement.intents import Domain
from settlement.journal_replay import JournalReplay
from settlement.keys import KeyHistory
from settlement.published import PublishedMeter, PublishedOrder, PublishedSignature, PublishedTrade
from settlement.signatures import PublicKey
from settlement.trade_leaf import SALT_BYTES, batch_digest

LEAF_BYTES = 32
SALTS_BYTES = 3 * SALT_BYTES


class SignatureCheck(NamedTuple):
    """One signature to verify, and the contradiction if it does not hold."""

    key: PublicKey
    digest: bytes
    signature: bytes
    otherwise: Contradiction


def examine_trades(trades: Iterable[PublishedTrade], replay: JournalReplay) -> Iterator[Contradiction]:
    """Each trade against the engine's; ``trades`` may be any of them."""
    for trade in trades:
        if not 1 <= trade.trade_id <= len(replay.trades):
            yield Contradiction("trades", str(trade.trade_id), "trade_id", "the journal leads to no such trade")
            continue
        replayed = replay.trades[trade.trade_id - 1]
        traded = replayed.traded
        buy, sell = replay.orders[traded.buy_order].new, replay.orders[traded.sell_order].new
        computed: Mapping[str, int] = {
            "sequence": traded.sequence,
            "slot_s": traded.slot,
            "buy_order": traded.buy_order,
            "sell_order": traded.sell_order,
            "buyer": buy.member,
            "seller": sell.member,
            "buy_node": buy.meter,
            "sell_node": sell.meter,
            "quantity_lots": traded.quantity_lots,
            "seller_price_ticks": traded.seller_price_ticks,
            "buyer_price_ticks": traded.buyer_price_ticks,
            "taker": traded.taker,
            "level": traded.level,
            "terms_days": buy.terms_days,
            "traded_s": replayed.traded_s,
            "buy_filled_before_lots": replayed.buy_filled_before_lots,
            "sell_filled_before_lots": replayed.sell_filled_before_lots,
        }
        yield from _differences("trades", trade.trade_id, trade, computed)
        if len(trade.salts) != SALTS_BYTES:
            yield Contradiction("trades", str(trade.trade_id), "salts", f"are not {SALTS_BYTES} bytes")


def examine_orders(
    orders: Iterable[PublishedOrder],
    signatures: Mapping[int, PublishedSignature],
    meters: Mapping[int, PublishedMeter],
    replay: JournalReplay,
    domain: Domain,
) -> Iterator[Contradiction]:
    """Each order against the journal, its digest, its meter's owner, and its place under its signature."""
    for order in orders:
        end, intent, meter = replay.orders.get(order.order_id), order.intent, meters.get(order.node)
        if end is None:
            yield Contradiction("orders", str(order.order_id), "order_id", "the journal accepted no such order")
            continue
        if meter is None:
            yield Contradiction("orders", str(order.order_id), "node_id", "there is no such meter")
            continue
        new = end.new
        stated = {
            "sequence": (order.sequence, end.sequence),
            "member_id": (intent.member, new.member),
            "node_id": (order.node, new.meter),
            "meter": (intent.meter, meter.name),
            "side": (intent.side, new.side),
            "slot_s": (intent.slot, new.slot),
            "quantity_lots": (intent.quantity_lots, new.quantity_lots),
            "price_ticks": (intent.price_ticks, new.price_ticks),
            "tif": (intent.tif, new.tif),
            "reach": (intent.reach, new.reach),
            "terms_days": (intent.terms_days, new.terms_days),
            "received_s": (order.received_s, end.received_s),
            "meter's owner": (intent.member, meter.member),
            "digest": (order.digest, _digest(order, domain)),
        }
        for column, (theirs, ours) in stated.items():
            if theirs != ours:
                yield differs("orders", order.order_id, column, stated=theirs, computed=ours)
        yield from _place_under_signature(order, signatures.get(order.signature_id))


def _digest(order: PublishedOrder, domain: Domain) -> bytes:
    try:
        return order.intent.digest(domain)
    except OverflowError:  # a negative number where none can be: no digest is that of this order
        return b""


def _place_under_signature(order: PublishedOrder, signature: PublishedSignature | None) -> Iterator[Contradiction]:
    key = str(order.order_id)
    if signature is None:
        yield Contradiction("orders", key, "signature_id", "there is no such signature")
    elif signature.member != order.intent.member:
        yield Contradiction("orders", key, "signature_id", "is a signature of another member")
    elif not 0 <= order.leaf_index < signature.count:
        yield Contradiction("orders", key, "leaf_index", "is beyond what was signed")
    elif signature.kind == "order" and signature.root != order.digest:
        yield Contradiction("orders", key, "signature_id", "is a signature over another order")
    elif signature.kind == "batch" and leaf_at(signature.leaves, order.leaf_index) != merkle.leaf(order.digest):
        yield Contradiction("orders", key, "leaf_index", "the leaf there is not this order's")


def examine_signatures(signatures: Iterable[PublishedSignature]) -> Iterator[Contradiction]:
    """Whether each signature's root is that of its leaves."""
    for signature in signatures:
        key = str(signature.signature_id)
        if signature.kind == "order":
            if (signature.count, signature.basket, signature.leaves) != (1, False, b""):
                yield Contradiction("signatures", key, "count", "a signature over one order has one, and no leaves")
        elif signature.kind == "batch":
            yield from examine_leaves("signatures", key, signature.leaves, signature.count, signature.root)
        else:
            yield Contradiction("signatures", key, "kind", "is neither order nor batch")


def examine_leaves(table: str, key: str, leaves: bytes, count: int, root: bytes) -> Iterator[Contradiction]:
    """Whether concatenated leaves are so many, and lead to the root that was signed."""
    if len(leaves) != count * LEAF_BYTES:
        yield Contradiction(table, key, "leaves", f"are not {count} leaves of 32 bytes")
    elif merkle.root(split_leaves(leaves)) != root:
        yield Contradiction(table, key, "root", "is not that of the leaves")


def signature_checks(
    signatures: Iterable[PublishedSignature],
    sequence_of: Mapping[int, int],
    keys: KeyHistory,
    domain: Domain,
) -> Iterator[SignatureCheck | Contradiction]:
    """What remains to be verified of each signature; ``sequence_of`` is that of its first order, by signature id."""
    for signature in signatures:
        row = str(signature.signature_id)
        sequence = sequence_of.get(signature.signature_id)
        key = None if sequence is None else keys.at(signature.member, sequence)
        if key is None:
            yield Contradiction("signatures", row, "member_id", "no order, or no key of its member, belongs to it")
            continue
        digest = bytes(signature.root)
        if signature.kind != "order":
            digest = batch_digest(domain, signature.member, digest, signature.count, basket=signature.basket)
        otherwise = Contradiction("signatures", row, "signature", f"is not that of member {signature.member}")
        yield SignatureCheck(key, digest, signature.signature, otherwise)


def split_leaves(leaves: bytes) -> list[bytes]:
    """Concatenated leaves, one by one."""
    return [leaves[at : at + LEAF_BYTES] for at in range(0, len(leaves), LEAF_BYTES)]


def leaf_at(leaves: bytes, index: int) -> bytes:
    """One of concatenated leaves; empty bytes beyond their end."""
    return leaves[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]


def first_sequences(orders: Sequence[PublishedOrder]) -> dict[int, int]:
    """The lowest sequence among the orders under each signature."""
    found: dict[int, int] = {}
    for order in orders:
        found[order.signature_id] = min(order.sequence, found.get(order.signature_id, order.sequence))
    return found


def _differences(table: str, key: int, row: object, computed: Mapping[str, int]) -> Iterator[Contradiction]:
    for column, value in computed.items():
        if getattr(row, column) != value:
            yield differs(table, key, column, stated=getattr(row, column), computed=value)
