"""What members do with receivables: checked here with the very digests that the contract will check, then sent to it.

Each act is one transaction: what it asks of the chain goes into the outbox, and the receivable remembers that an act
is on its way. Nothing else changes until the chain's event comes back (``mirror.py``). The same act sent again changes
nothing; another one must wait until the first is through, or was refused by the contract. Selling them is in
``offers.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sqlalchemy import Connection, Row

from data.units import MICRO_PER_FEN, format_money
from finance import store
from finance.life import AcknowledgedReceivable, FinancedReceivable, IssuedReceivable, Signed
from finance.listing import Viewer
from finance.outside import Outside
from finance.paths import path_of
from finance.receivable import Act, State, check_actor, check_transition
from finance.rows import claim_of, restore
from settlement import calendar, outbox, receivable_acts, signatures
from settlement import store as settlement_store
from settlement.chain import Call
from settlement.intents import Domain

MOST_AT_ONCE = 100
"""The contract's bound on receivables under one acknowledgement."""

MATERIALISED_AT_ONCE = 20
"""The contract's bound on receivables brought onto the chain in one call."""


class RefusedError(Exception):
    """An act that is not taken, for a reason outside the receivable's own life; ``code`` is stable.

    ``not_found``, ``act_pending``, ``bad_signature``, ``deadline_passed``, ``insufficient_cash``, ``nonce_used``,
    ``bad_amount``, ``not_open``, ``own_receivable``, ``too_many``, ``none_named``, ``named_twice``. What the life of a
    receivable does not allow is an ``IllegalTransitionError``.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def refuse(code: str, reason: str) -> NoReturn:
    raise RefusedError(code, reason)


@dataclass(frozen=True, slots=True)
class Word:
    """Who acts, and the signature with which the contract will know it; ``nonce`` and ``deadline_s`` are signed too."""

    viewer: Viewer
    nonce: int
    deadline_s: int
    signature: bytes

    @property
    def member(self) -> int:
        return self.viewer.member


@dataclass(frozen=True, slots=True)
class Book:
    """``domain`` is that of Receivables, ``outside`` is asked before a listing.

    Each method takes a ``Connection`` inside the caller's writing transaction.

    Each may raise RefusedError or IllegalTransitionError: then nothing was written.
    """

    domain: Domain
    time_zone: str
    outside: Outside = field(default_factory=Outside)

    # ------------------------------------------------------------------------------------------- the debtor

    def acknowledge(self, connection: Connection, word: Word, receivable_ids: Sequence[bytes], now_s: int) -> None:
        """The debtor agrees to owe up to 100 receivables; what is not on the chain yet is brought there first."""
        _check_named(receivable_ids)
        digest = receivable_acts.acknowledge_many_digest(
            self.domain, word.member, receivable_ids, nonce=word.nonce, deadline_s=word.deadline_s
        )
        call = receivable_acts.acknowledge_many(
            word.member, receivable_ids, word.signature, nonce=word.nonce, deadline_s=word.deadline_s
        )
        rows = _visible(connection, word.viewer, receivable_ids)
        if is_repeat(rows, call):
            return
        for row in rows:
            value = restore(row)
            if not isinstance(value, IssuedReceivable):
                explain(row, Act.ACKNOWLEDGE)
            value.acknowledge(Signed(row.receivable_id, word.member))
        check_word(connection, word, digest, now_s)
        send(connection, rows, Act.ACKNOWLEDGE, call)

    def reject(self, connection: Connection, word: Word, receivable_id: bytes, reason: str, *, now_s: int) -> None:
        """The debtor says that it does not owe this, and why."""
        digest = receivable_acts.reject_digest(
            self.domain, receivable_id, word.member, nonce=word.nonce, deadline_s=word.deadline_s
        )
        call = receivable_acts.reject(receivable_id, word.signature, nonce=word.nonce, deadline_s=word.deadline_s)
        rows = _visible(connection, word.viewer, [receivable_id])
        if is_repeat(rows, call):
            return
        value = restore(rows[0])
        if not isinstance(value, IssuedReceivable):
            explain(rows[0], Act.REJECT)
        value.reject(Signed(receivable_id, word.member))
        check_word(connection, word, digest, now_s)
        send(connection, rows, Act.REJECT, call, reason)

    def repay(self, connection: Connection, word: Word, receivable_id: bytes, amount_fen: int, *, now_s: int) -> None:
        """The debtor pays, in part or whole, out of its free cash."""
        if amount_fen <= 0:
            refuse("bad_amount", "a payment must be above 0")
        amount_micro = amount_fen * MICRO_PER_FEN
        terms = {"nonce": word.nonce, "deadline_s": word.deadline_s}
        rows = _visible(connection, word.viewer, [receivable_id])
        check_actor(claim_of(rows[0]), Act.REPAY, word.member)
        digest = receivable_acts.repay_digest(self.domain, receivable_id, word.member, amount_micro, **terms)
        call = receivable_acts.repay(receivable_id, amount_micro, word.signature, **terms)
        if is_repeat(rows, call):
            return
        value = restore(rows[0])
        if not isinstance(value, AcknowledgedReceivable | FinancedReceivable):
            explain(rows[0], Act.REPAY)
        value.repay(Signed(receivable_id, word.member), amount_fen, calendar.day_of(now_s, self.time_zone))
        check_word(connection, word, digest, now_s)
        if store.free_cash_micro(connection, word.member) < amount_micro:
            refuse("insufficient_cash", f"{format_money(amount_micro)} CNY are more than you hold outside escrow")
        send(connection, rows, Act.REPAY, call)

    # ----------------------------------------------------------------------------------------- the creditor

    def set_listed(self, connection: Connection, word: Word, receivable_id: bytes, *, listed: bool, now_s: int) -> None:
        """The creditor puts an acknowledged receivable up for sale, or takes it back."""
        act = Act.LIST if listed else Act.WITHDRAW
        terms = {"nonce": word.nonce, "deadline_s": word.deadline_s}
        digest = receivable_acts.set_listed_digest(self.domain, receivable_id, word.member, listed, **terms)
        call = receivable_acts.set_listed(receivable_id, listed, word.signature, **terms)
        rows = _visible(connection, word.viewer, [receivable_id])
        if is_repeat(rows, call):
            return
        value, signed = restore(rows[0]), Signed(receivable_id, word.member)
        if not isinstance(value, AcknowledgedReceivable):
            explain(rows[0], act)
        _ = value.show(signed, calendar.day_of(now_s, self.time_zone)) if listed else value.withdraw(signed)
        check_word(connection, word, digest, now_s)
        barred = self.outside.listing_refusal(connection, rows[0], now_s) if listed else None
        if barred is not None:
            refuse(*barred)
        send(connection, rows, act, call)


# ------------------------------------------------------------------------------------------------- the steps


def _check_named(receivable_ids: Sequence[bytes]) -> None:
    if not receivable_ids:
        refuse("none_named", "name at least one receivable")
    if len(receivable_ids) > MOST_AT_ONCE:
        refuse("too_many", f"one signature acknowledges at most {MOST_AT_ONCE} receivables")
    if len(set(receivable_ids)) != len(receivable_ids):
        refuse("named_twice", "a receivable is named twice")


def _visible(connection: Connection, viewer: Viewer, receivable_ids: Sequence[bytes]) -> list[Row[Any]]:
    """The receivables in the order they were named; one that the viewer may not see is not there."""
    found = store.receivables_by_id(connection, receivable_ids)
    rows = [found[each] for each in receivable_ids if each in found and viewer.may_see(found[each])]
    if len(rows) != len(receivable_ids):
        refuse("not_found", "there is no such receivable")
    return rows


def is_on_its_way(row: Row[Any]) -> bool:
    """Whether an act on a receivable was sent and neither came back as an event nor was refused."""
    return row.act_outbox is not None and row.act_state != "reverted"


def is_repeat(rows: Sequence[Row[Any]], call: Call) -> bool:
    """Whether the call is on its way already for all of them."""
    return all(is_on_its_way(row) and row.act_call == call.data for row in rows)


def explain(row: Row[Any], act: Act) -> NoReturn:
    """Raise why an act is not possible: the receivable is elsewhere in its life."""
    check_transition(State(row.state), act)
    raise AssertionError(f"{act} is allowed when {row.state}, but receivable {row.number} is read as another kind")


def check_signature(connection: Connection, member: int, digest: bytes, signature: bytes) -> None:
    """Raises RefusedError ``bad_signature`` unless the member's live key signed the digest."""
    key = settlement_store.live_key(connection, member)
    if key is None or not signatures.is_signed(key, digest, signature):
        refuse("bad_signature", f"the signature is not yours over the digest {digest.hex()}")


def check_word(connection: Connection, word: Word, digest: bytes, now_s: int) -> None:
    """Raises RefusedError unless the word is in time and signed by its member."""
    if word.deadline_s < now_s:
        refuse("deadline_passed", "the deadline is over by the market's clock")
    check_signature(connection, word.member, digest, word.signature)


def send(connection: Connection, rows: Sequence[Row[Any]], act: Act, call: Call, reason: str | None = None) -> None:
    """Put an act into the outbox, behind what it needs on the chain, and note it on its receivables."""
    if any(is_on_its_way(row) for row in rows):
        refuse("act_pending", "an act on this receivable is on its way to the chain; look again when it is through")
    for each in _materialisations(connection, [row for row in rows if not row.on_chain]):
        outbox.put(connection, each)
    outbox_id = outbox.put(connection, call)
    values = {"act": act.value, "act_outbox": outbox_id, "act_reason": reason}
    for row in rows:
        store.set_receivable(connection, row.receivable_id, **values)


def _materialisations(connection: Connection, rows: Sequence[Row[Any]]) -> list[Call]:
    """The calls that bring receivables onto the chain, each with its proof under its period's root."""
    proven = [(claim_of(row).on_chain, path_of(connection, row)) for row in rows]
    return [
        receivable_acts.materialise_many(proven[start : start + MATERIALISED_AT_ONCE])
        for start in range(0, len(proven), MATERIALISED_AT_ONCE)
    ]
