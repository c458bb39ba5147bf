"""What becomes of receivables that do not simply run to their due day: disputed, bought back, lost, frozen.

As ``book.py``. A default and a write-off take the word of those who own more than half of the claim, over one digest
without a nonce; what the regulator orders carries the number of its ruling, ``next_ruling``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from data.units import MICRO_PER_FEN, format_money
from finance import parts_store, store, waterfall
from finance.book import (
    Asked,
    Word,
    carry_out,
    check_signature,
    check_word,
    explain,
    is_repeat,
    note,
    prepare,
    refuse,
    visible,
)
from finance.life import AcknowledgedReceivable, FinancedReceivable, IssuedReceivable, Live, Signed
from finance.receivable import Act
from settlement import calendar, fate_acts
from settlement.acts import Approval
from settlement.intents import Domain
from settlement.keccak import keccak


@dataclass(frozen=True, slots=True)
class FateBook:
    """``domain`` is that of Receivables. As ``Book``."""

    domain: Domain
    time_zone: str

    # ------------------------------------------------------------------------------------ before it is sold

    def dispute(self, connection: Connection, word: Word, receivable_id: bytes, reason: str, *, now_s: int) -> None:
        """The debtor contests what it acknowledged; the chain has the hash of its reason, the history its words."""
        hashed = keccak(reason.encode())
        digest = fate_acts.dispute_digest(self.domain, receivable_id, word.member, hashed, **word.terms)
        call = fate_acts.dispute(receivable_id, hashed, word.signature, **word.terms)
        asked = Asked(Act.DISPUTE, receivable_id, digest, call, reason)
        carry_out(connection, word, asked, AcknowledgedReceivable, lambda value, by: value.dispute(by), now_s=now_s)

    def withdraw_dispute(self, connection: Connection, word: Word, receivable_id: bytes, *, now_s: int) -> None:
        """The debtor owes it after all."""
        digest = fate_acts.withdraw_dispute_digest(self.domain, receivable_id, word.member, **word.terms)
        call = fate_acts.withdraw_dispute(receivable_id, word.signature, **word.terms)
        asked = Asked(Act.WITHDRAW_DISPUTE, receivable_id, digest, call)
        carry_out(
            connection, word, asked, AcknowledgedReceivable, lambda value, by: value.withdraw_dispute(by), now_s=now_s
        )

    def concede(self, connection: Connection, word: Word, receivable_id: bytes, *, now_s: int) -> None:
        """The creditor gives in: nothing is owed."""
        digest = fate_acts.concede_digest(self.domain, receivable_id, word.member, **word.terms)
        call = fate_acts.concede(receivable_id, word.signature, **word.terms)
        asked = Asked(Act.CONCEDE, receivable_id, digest, call)
        carry_out(connection, word, asked, AcknowledgedReceivable, lambda value, by: value.concede(by), now_s=now_s)

    # --------------------------------------------------------------------------------------- after it is sold

    def compensate(
        self, connection: Connection, word: Word, receivable_id: bytes, amount_fen: int, *, now_s: int
    ) -> None:
        """The creditor pays the debtor: how a dispute ends once somebody else holds the claim."""
        amount_micro = amount_fen * MICRO_PER_FEN
        digest = fate_acts.compensate_digest(self.domain, receivable_id, word.member, amount_micro, **word.terms)
        call = fate_acts.compensate(receivable_id, amount_micro, word.signature, **word.terms)
        asked = Asked(Act.COMPENSATE, receivable_id, digest, call, pays_micro=max(0, amount_micro))
        carry_out(
            connection, word, asked, FinancedReceivable, lambda value, by: value.compensate(by, amount_fen), now_s=now_s
        )

    def demand(self, connection: Connection, word: Word, receivable_id: bytes, *, now_s: int) -> None:
        """A holder asks the seller to buy back what is overdue."""
        digest = fate_acts.demand_digest(self.domain, receivable_id, word.member, **word.terms)
        call = fate_acts.demand(receivable_id, word.member, word.signature, **word.terms)
        asked = Asked(Act.DEMAND, receivable_id, digest, call)
        carry_out(connection, word, asked, FinancedReceivable, lambda value, by: value.demand(by), now_s=now_s)

    def buy_back(self, connection: Connection, word: Word, receivable_id: bytes, most_fen: int, *, now_s: int) -> None:
        """The seller pays costs, interest and advance, at most this, and has the holder's claim back."""
        today = calendar.day_of(now_s, self.time_zone)
        (row,) = visible(connection, word.viewer, [receivable_id])
        value = parts_store.value_of(connection, row)
        price_fen = waterfall.accrue(value.balance, today).price_fen if isinstance(value, Live) else 0
        if price_fen > most_fen:
            refuse("price_above_most", f"it costs {format_money(price_fen * MICRO_PER_FEN)} CNY today")
        most_micro = most_fen * MICRO_PER_FEN
        digest = fate_acts.buy_back_digest(self.domain, receivable_id, word.member, most_micro, **word.terms)
        call = fate_acts.buy_back(receivable_id, most_micro, word.signature, **word.terms)
        asked = Asked(Act.BUY_BACK, receivable_id, digest, call, pays_micro=price_fen * MICRO_PER_FEN)
        carry_out(connection, word, asked, FinancedReceivable, lambda value, by: value.buy_back(by, today), now_s=now_s)

    def declare_default(
        self, connection: Connection, word: Word, receivable_id: bytes, others: Mapping[int, bytes], *, now_s: int
    ) -> None:
        """Who owns most of the claim says that it is lost; ``others`` sign the same digest, by member."""
        digest = fate_acts.declare_default_digest(self.domain, receivable_id, deadline_s=word.deadline_s)
        call = fate_acts.declare_default(receivable_id, _approvals(word, others), deadline_s=word.deadline_s)
        today = calendar.day_of(now_s, self.time_zone)
        words = [Signed(receivable_id, member) for member in (word.member, *others)]
        asked = Asked(Act.DECLARE_DEFAULT, receivable_id, digest, call)
        for member, signature in others.items():
            check_signature(connection, member, digest, signature)
        carry_out(connection, word, asked, Live, lambda value, _: value.declare_default(words, today), now_s=now_s)

    def write_off(
        self, connection: Connection, word: Word, receivable_id: bytes, others: Mapping[int, bytes], *, now_s: int
    ) -> None:
        """The same give up what is open."""
        digest = fate_acts.write_off_digest(self.domain, receivable_id, deadline_s=word.deadline_s)
        call = fate_acts.write_off(receivable_id, _approvals(word, others), deadline_s=word.deadline_s)
        words = [Signed(receivable_id, member) for member in (word.member, *others)]
        asked = Asked(Act.WRITE_OFF, receivable_id, digest, call)
        for member, signature in others.items():
            check_signature(connection, member, digest, signature)
        carry_out(connection, word, asked, Live, lambda value, _: value.write_off(words), now_s=now_s)

    # ------------------------------------------------------------------------------------------ the regulator

    def decide(
        self, connection: Connection, word: Word, receivable_id: bytes, ruling: int, *, is_void: bool, now_s: int
    ) -> None:
        """The regulator ends a dispute."""
        digest = fate_acts.decide_digest(self.domain, receivable_id, is_void, ruling)
        call = fate_acts.decide(receivable_id, is_void, ruling, [Approval(word.member, word.signature)])
        asked = Asked(Act.DECIDE, receivable_id, digest, call)
        self._check_ruling(connection, word, asked, ruling)
        carry_out(
            connection, word, asked, AcknowledgedReceivable, lambda value, _: value.decide(is_void=is_void), now_s=now_s
        )

    def set_frozen(
        self, connection: Connection, word: Word, receivable_id: bytes, ruling: int, *, frozen: bool, now_s: int
    ) -> None:
        """The regulator stops every sale and move of parts, or lets them go on. The debtor may pay meanwhile."""
        digest = fate_acts.set_frozen_digest(self.domain, receivable_id, frozen, ruling)
        call = fate_acts.set_frozen(receivable_id, frozen, ruling, [Approval(word.member, word.signature)])
        asked = Asked(Act.FREEZE, receivable_id, digest, call)
        (row,) = visible(connection, word.viewer, [receivable_id])
        if is_repeat([row], call):
            return
        self._check_ruling(connection, word, asked, ruling)
        value = parts_store.value_of(connection, row)
        if not isinstance(value, IssuedReceivable | Live):
            explain(row, Act.FREEZE)
        if isinstance(value, Live):
            value.set_frozen(frozen=frozen)
        check_word(connection, word, digest, now_s)
        prepare(connection, [row])
        note(connection, [row], Act.FREEZE, call)

    def _check_ruling(self, connection: Connection, word: Word, asked: Asked, ruling: int) -> None:
        (row,) = visible(connection, word.viewer, [asked.receivable_id])
        due = store.next_ruling(connection)
        if ruling != due and not is_repeat([row], asked.call):
            refuse("index_out_of_order", f"the next ruling has the number {due}")


def _approvals(word: Word, others: Mapping[int, bytes]) -> list[Approval]:
    """Members ascending, as the contract takes them."""
    return [Approval(*each) for each in sorted({**others, word.member: word.signature}.items())]
