"""What a receivable is: who owes whom how much, until when, for which trades. Its leaf is its name.

``receivable id = leaf = keccak256(0x00 || abi.encode(period, creditor, debtor, face_micro, terms_days, issue_day,
due_day, trades_root, salt))``: nine 32-byte words, days counted since 1970-01-01, as ``Receivables`` on the chain
computes it. The salt keeps a stranger from guessing a leaf under a period's root before the receivable is shown.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from data.units import MICRO_PER_FEN
from finance.calendar import epoch_day
from settlement import merkle, receivable_acts
from settlement.delivery import Delivery
from settlement.trade_leaf import TradeRecord, trade_leaf


class Claim(NamedTuple):
    """The content of one receivable; it never changes. ``face_fen`` is at least one fen."""

    period: int
    creditor: int
    debtor: int
    face_fen: int
    terms_days: int
    issue_day: date
    due_day: date
    trades_root: bytes
    salt: bytes

    @property
    def face_micro(self) -> int:
        return self.face_fen * MICRO_PER_FEN

    @property
    def on_chain(self) -> receivable_acts.Receivable:
        """The same content in the contract's units."""
        return receivable_acts.Receivable(
            self.period,
            self.creditor,
            self.debtor,
            self.face_micro,
            self.terms_days,
            epoch_day(self.issue_day),
            epoch_day(self.due_day),
            self.trades_root,
            self.salt,
        )

    @property
    def receivable_id(self) -> bytes:
        """32 bytes: the leaf under the root of its period."""
        return receivable_acts.receivable_id(self.on_chain)


class TermsTrade(NamedTuple):
    """A trade on terms whose delivery is proven and financeable: the seller is the creditor, the buyer the debtor.

    ``leaf`` is the salted leaf under which the trade itself is committed (``settlement/trade_leaf.py``): it ties the
    receivable to the trades on the chain, and keeps the amounts from being guessed out of ``trades_root``.
    """

    trade_id: int
    creditor: int
    debtor: int
    terms_days: int
    delivered_lots: int
    seller_price_ticks: int
    leaf: bytes

    @property
    def amount_micro(self) -> int:
        return self.delivered_lots * self.seller_price_ticks

    @property
    def claim_leaf(self) -> bytes:
        """The leaf under ``trades_root``: trade id, amount in micro-yuan and the trade's own leaf, 32 bytes each."""
        trade_id = self.trade_id.to_bytes(32, "big")
        amount_micro = self.amount_micro.to_bytes(32, "big", signed=True)
        return merkle.leaf(trade_id + amount_micro + self.leaf)


def trades_root(trades: Sequence[TermsTrade]) -> bytes:
    """The root over the trades of one receivable, in the order of their ids."""
    return merkle.root([trade.claim_leaf for trade in trades])


def terms_trade(trade: TradeRecord, delivery: Delivery) -> TermsTrade | None:
    """The part of a trade that a receivable may hold; None when it was prepaid, not delivered, or only estimated."""
    if trade.common.terms_days == 0 or not delivery.financeable or delivery.delivered_lots == 0:
        return None
    return TermsTrade(
        trade_id=trade.common.trade_id,
        creditor=trade.sell.member,
        debtor=trade.buy.member,
        terms_days=trade.common.terms_days,
        delivered_lots=delivery.delivered_lots,
        seller_price_ticks=trade.sell.price_ticks,
        leaf=trade_leaf(trade),
    )
