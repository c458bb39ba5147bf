"""The proof that a member takes away of one of its trades: one file with everything, down to the blocks of the chain.

Gathered from the database, and from the chain, which shows its events. A package of its own that shares no code with
this one, ``verifier``, checks it offline.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from matching.order import Side
from settlement import commitments, merkle, publish_store, store
from settlement.chain import ReadableChain
from settlement.event_proof import EventProof
from settlement.examine_orders import split_leaves
from settlement.hexjson import Hex
from settlement.intents import Domain
from settlement.jwk import to_jwk
from settlement.keys import KeyHistory
from settlement.published import PublishedOrder
from settlement.store import EventPlace, LeafTrade
from settlement.trade_leaf import OrderEvidence, TradeProof, json_path, prove_trade


class ProofFile(TradeProof, frozen=True, kw_only=True):
    """A trade's proof with where the chain says what it rests on.

    ``committed`` is the event of its commitment, ``key_events`` are all that the chain says of the member's keys, in
    order. ``deployer`` is the account that made the contracts, so that their addresses follow from one another.
    """

    kind: Literal["trade_proof"] = "trade_proof"
    version: Literal[1] = 1
    deployer: Hex
    committed: EventProof
    key_events: tuple[EventProof, ...]


class Gathered(NamedTuple):
    """What the database has of a proof, and where on the chain the rest stands."""

    proof: TradeProof
    committed: EventPlace
    key_events: Sequence[EventPlace]


def gather(connection: Connection, trade_id: int, member: int, domain: Domain) -> Gathered | str:
    """What there is of a trade's proof for one of its sides; ``domain`` is that of Clearing.

    Or why there is none: ``not_found`` when the member has no such trade, ``not_committed`` when the chain has no
    commitment to it yet.
    """
    found = store.trades_between(connection, trade_id, trade_id)
    if not found or member not in (found[0].record.buy.member, found[0].record.sell.member):
        return "not_found"
    covering = store.commitment_of_trade(connection, trade_id)
    committed = None if covering is None else store.commitment_event(connection, covering)
    if covering is None or committed is None:
        return "not_committed"
    leaves = store.leaves_between(connection, covering.first_trade, covering.last_trade)
    path = merkle.path(leaves, trade_id - covering.first_trade)
    (trade,) = found
    evidence = _evidence(connection, _own_order(connection, trade, member))
    commitment = commitments.for_proof(commitments.of_row(covering))
    proof = prove_trade(trade.record, path, commitment, evidence, domain=domain)
    return Gathered(proof, committed, store.key_events(connection, member))


def with_events(gathered: Gathered, chain: ReadableChain) -> ProofFile:
    """The whole file. Raises EventNotProvableError when the chain has changed meanwhile, ChainUnavailableError."""
    fields = {name: getattr(gathered.proof, name) for name in TradeProof.__struct_fields__}
    return ProofFile(
        **fields,
        deployer=Hex(chain.deployer),
        committed=chain.event_proof(*gathered.committed),
        key_events=tuple(chain.event_proof(*place) for place in gathered.key_events),
    )


def _own_order(connection: Connection, trade: LeafTrade, member: int) -> PublishedOrder:
    buy_order, sell_order = store.orders_of_trade(connection, trade.slot_trade.trade_id)
    side = Side.BUY if trade.record.buy.member == member else Side.SELL
    (order,) = publish_store.orders_by_id(connection, [buy_order if side == Side.BUY else sell_order])
    return order


def order_evidence(connection: Connection, order_id: int) -> OrderEvidence:
    """An accepted order with the signature under it."""
    (order,) = publish_store.orders_by_id(connection, [order_id])
    return _evidence(connection, order)


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
