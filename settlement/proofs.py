"""The proof that a member takes away of one of its trades: gathered from the database, checked by ``trade_leaf``."""

from sqlalchemy import Connection

from matching.order import Side
from settlement import commitments, merkle, publish_store, store
from settlement.examine_orders import split_leaves
from settlement.intents import Domain
from settlement.jwk import to_jwk
from settlement.keys import KeyHistory
from settlement.published import PublishedOrder
from settlement.store import LeafTrade
from settlement.trade_leaf import OrderEvidence, TradeProof, json_path, prove_trade


def prove(connection: Connection, trade_id: int, member: int, domain: Domain) -> TradeProof | str:
    """The proof of a trade for one of its sides; ``domain`` is that of Clearing.

    Or why there is none: ``not_found`` when the member has no such trade, ``not_committed`` when it is not on its way
    to the chain yet.
    """
    found = store.trades_between(connection, trade_id, trade_id)
    if not found or member not in (found[0].record.buy.member, found[0].record.sell.member):
        return "not_found"
    covering = store.commitment_of_trade(connection, trade_id)
    if covering is None:
        return "not_committed"
    committed = store.trades_between(connection, covering.first_trade, covering.last_trade)
    path = merkle.path([trade.leaf for trade in committed], trade_id - covering.first_trade)
    (trade,) = found
    evidence = _evidence(connection, _own_order(connection, trade, member))
    commitment = commitments.for_proof(commitments.of_row(covering))
    return prove_trade(trade.record, path, commitment, evidence, domain=domain)


def _own_order(connection: Connection, trade: LeafTrade, member: int) -> PublishedOrder:
    buy_order, sell_order = store.orders_of_trade(connection, trade.slot_trade.trade_id)
    side = Side.BUY if trade.record.buy.member == member else Side.SELL
    (order,) = publish_store.orders_by_id(connection, [buy_order if side == Side.BUY else sell_order])
    return order


def _evidence(connection: Connection, order: PublishedOrder) -> OrderEvidence:
    """The order with its signature, and its path under it when it was signed with others."""
    (signature,) = publish_store.signatures_by_id(connection, [order.signature_id])
    keys = KeyHistory(publish_store.keys_of(connection, [order.intent.member]))
    key = keys.at(order.intent.member, order.sequence)
    assert key is not None, "an accepted order was signed with a key"
    if signature.kind == "order":
        return OrderEvidence(order.intent, to_jwk(key), signature.signature)
    return OrderEvidence(
        intent=order.intent,
        key=to_jwk(key),
        signature=signature.signature,
        count=signature.count,
        basket=signature.basket,
        path=json_path(merkle.path(split_leaves(signature.leaves), order.leaf_index)),
    )
