"""What members do with receivables: checked here with the very digests that the contract will check, then sent to it.

Each act is one transaction: what it asks of the chain goes into the outbox, and the receivable remembers that an act
is on its way. Nothing else changes until the chain's event comes back (``mirror.py``). The same act sent again changes
nothing; another one must wait until the first is through, or was refused by the contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from sqlalchemy import Connection, Row

from data.units import MICRO_PER_FEN, format_money
from finance import period_store, store
from finance.life import AcknowledgedReceivable, FinancedReceivable, IssuedReceivable, Sale, Signed
from finance.listing import Viewer
from finance.receivable import Act, State, check_actor, check_transition
from finance.rows import claim_of, restore
from settlement import calendar, merkle, outbox, receivable_acts, sale_acts, signatures
from settlement import store as settlement_store
from settlement.chain import Call
from settlement.intents import Domain
from settlement.sale_acts import Offer

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
    """``domain`` is that of Receivables. Each method takes a ``Connection`` inside the caller's writing transaction.

    Each may raise RefusedError or IllegalTransitionError: then nothing was written.
    """

    domain: Domain
    time_zone: str

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
        if _is_repeat(rows, call):
            return
        for row in rows:
            value = restore(row)
            if not isinstance(value, IssuedReceivable):
                _explain(row, Act.ACKNOWLEDGE)
            value.acknowledge(Signed(row.receivable_id, word.member))
        _check_word(connection, word, digest, now_s)
        _send(connection, rows, Act.ACKNOWLEDGE, call)

    def reject(self, connection: Connection, word: Word, receivable_id: bytes, reason: str, *, now_s: int) -> None:
        """The debtor says that it does not owe this, and why."""
        digest = receivable_acts.reject_digest(
            self.domain, receivable_id, word.member, nonce=word.nonce, deadline_s=word.deadline_s
        )
        call = receivable_acts.reject(receivable_id, word.signature, nonce=word.nonce, deadline_s=word.deadline_s)
        rows = _visible(connection, word.viewer, [receivable_id])
        if _is_repeat(rows, call):
            return
        value = restore(rows[0])
        if not isinstance(value, IssuedReceivable):
            _explain(rows[0], Act.REJECT)
        value.reject(Signed(receivable_id, word.member))
        _check_word(connection, word, digest, now_s)
        _send(connection, rows, Act.REJECT, call, reason)

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
        if _is_repeat(rows, call):
            return
        value = restore(rows[0])
        if not isinstance(value, AcknowledgedReceivable | FinancedReceivable):
            _explain(rows[0], Act.REPAY)
        value.repay(Signed(receivable_id, word.member), amount_fen, calendar.day_of(now_s, self.time_zone))
        _check_word(connection, word, digest, now_s)
        if store.free_cash_micro(connection, word.member) < amount_micro:
            refuse("insufficient_cash", f"{format_money(amount_micro)} CNY are more than you hold outside escrow")
        _send(connection, rows, Act.REPAY, call)

    # ----------------------------------------------------------------------------------------- the creditor

    def set_listed(self, connection: Connection, word: Word, receivable_id: bytes, *, listed: bool, now_s: int) -> None:
        """The creditor puts an acknowledged receivable up for sale, or takes it back."""
        act = Act.LIST if listed else Act.WITHDRAW
        terms = {"nonce": word.nonce, "deadline_s": word.deadline_s}
        digest = receivable_acts.set_listed_digest(self.domain, receivable_id, word.member, listed, **terms)
        call = receivable_acts.set_listed(receivable_id, listed, word.signature, **terms)
        rows = _visible(connection, word.viewer, [receivable_id])
        if _is_repeat(rows, call):
            return
        value, signed = restore(rows[0]), Signed(receivable_id, word.member)
        if not isinstance(value, AcknowledgedReceivable):
            _explain(rows[0], act)
        _ = value.show(signed, calendar.day_of(now_s, self.time_zone)) if listed else value.withdraw(signed)
        _check_word(connection, word, digest, now_s)
        _send(connection, rows, act, call)

    def accept(self, connection: Connection, word: Word, offer_id: int, now_s: int) -> Row[Any]:
        """The creditor takes an offer: proceeds against claim in one transaction. Returns the offer."""
        offer = store.offer(connection, offer_id)
        row = None if offer is None else store.receivable(connection, offer.receivable_id)
        if offer is None or row is None or word.member not in (row.creditor, offer.bank):
            refuse("not_found", "there is no such offer")
        on_chain = chain_offer(offer)
        terms = {"nonce": word.nonce, "deadline_s": word.deadline_s}
        digest = sale_acts.acceptance_digest(self.domain, on_chain, word.member, **terms)
        call = sale_acts.finance(
            on_chain,
            offer.signature,
            word.signature,
            seller_nonce=word.nonce,
            seller_deadline_s=word.deadline_s,
        )
        if _is_repeat([row], call):
            return offer
        value = restore(row)
        if not isinstance(value, AcknowledgedReceivable):
            _explain(row, Act.FINANCE)
        sale = Sale(row.receivable_id, offer.bank, offer.advance_fen, offer.proceeds_fen)
        value.finance(sale, Signed(row.receivable_id, word.member))
        if offer.state != "open" or offer.expires_s < now_s:
            refuse("not_open", "the offer has lapsed")
        _check_word(connection, word, digest, now_s)
        if store.free_cash_micro(connection, offer.bank) < on_chain.proceeds_micro:
            refuse("insufficient_cash", "the bank does not hold the proceeds now")
        _send(connection, [row], Act.FINANCE, call)
        return offer


def chain_offer(offer: Row[Any]) -> Offer:
    """A row of ``offers`` as the bank signed it."""
    return Offer(
        receivable_id=offer.receivable_id,
        bank=offer.bank,
        advance_micro=offer.advance_fen * MICRO_PER_FEN,
        proceeds_micro=offer.proceeds_fen * MICRO_PER_FEN,
        nonce=offer.nonce,
        deadline_s=offer.expires_s,
    )


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


def _is_repeat(rows: Sequence[Row[Any]], call: Call) -> bool:
    return all(is_on_its_way(row) and row.act_call == call.data for row in rows)


def _explain(row: Row[Any], act: Act) -> NoReturn:
    """Raise why an act is not possible: the receivable is elsewhere in its life."""
    check_transition(State(row.state), act)
    raise AssertionError(f"{act} is allowed when {row.state}, but receivable {row.number} is read as another kind")


def check_signature(connection: Connection, member: int, digest: bytes, signature: bytes) -> None:
    """Raises RefusedError ``bad_signature`` unless the member's live key signed the digest."""
    key = settlement_store.live_key(connection, member)
    if key is None or not signatures.is_signed(key, digest, signature):
        refuse("bad_signature", f"the signature is not yours over the digest {digest.hex()}")


def _check_word(connection: Connection, word: Word, digest: bytes, now_s: int) -> None:
    if word.deadline_s < now_s:
        refuse("deadline_passed", "the deadline is over by the market's clock")
    check_signature(connection, word.member, digest, word.signature)


def _send(connection: Connection, rows: Sequence[Row[Any]], act: Act, call: Call, reason: str | None = None) -> None:
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
    leaves = {
        period: [each.receivable_id for each in period_store.receivables_of(connection, period)]
        for period in {row.period for row in rows}
    }
    proven = [
        (claim_of(row).on_chain, merkle.path(under, under.index(row.receivable_id)))
        for row in rows
        for under in [leaves[row.period]]
    ]
    return [
        receivable_acts.materialise_many(proven[start : start + MATERIALISED_AT_ONCE])
        for start in range(0, len(proven), MATERIALISED_AT_ONCE)
    ]
