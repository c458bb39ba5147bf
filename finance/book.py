"""What members do with receivables: checked here with the very digests that the contract will check, then sent to it.

Each act is one transaction: what it asks of the chain goes into the outbox, and the receivable remembers that an act
is on its way. Nothing else changes until the chain's event comes back (``mirror.py``). The same act sent again changes
nothing; another one must wait until the first is through, or was refused by the contract. Selling them is in
``offers.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypedDict, TypeVar

from sqlalchemy import Connection, Row

from data.units import MICRO_PER_FEN, format_money
from finance import auction_store, parts_store, store
from finance.life import AcknowledgedReceivable, IssuedReceivable, Live, Receivable, Signed
from finance.listing import Viewer
from finance.outside import Outside
from finance.paths import path_of
from finance.receivable import Act, State, check_transition
from finance.rows import claim_of
from settlement import calendar, fate_acts, merkle, outbox, part_acts, receivable_acts, signatures
from settlement import store as settlement_store
from settlement.chain import Call
from settlement.intents import Domain
from settlement.merkle import PathStream

MOST_AT_ONCE = 100
"""The contract's bound on receivables under one acknowledgement."""

MOST_UNDER_A_ROOT = 1_000
"""Receivables under one root, an assumption; the contract has no bound."""

PROVEN_AT_ONCE = 50
"""The contract's bound on receivables proven under a root in one call."""

MATERIALISED_AT_ONCE = 20
"""The contract's bound on receivables brought onto the chain in one call."""


K = TypeVar("K", bound=IssuedReceivable | Live)


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


class Terms(TypedDict):
    """Nonce and deadline, as acts take them."""

    nonce: int
    deadline_s: int


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

    @property
    def terms(self) -> Terms:
        """What is signed with every act."""
        return {"nonce": self.nonce, "deadline_s": self.deadline_s}


@dataclass(frozen=True, slots=True)
class Asked:
    """One act on one receivable as its member signed it: the digest, and the call that carries it.

    ``reason`` are its actor's words for the history. ``pays_micro`` is what it moves out of the actor's cash.
    ``needs_trades``: the contract takes it only once all its trades are claimed there, which is asked for before it.
    """

    act: Act
    receivable_id: bytes
    digest: bytes
    call: Call
    reason: str | None = None
    pays_micro: int = 0
    needs_trades: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """``domain`` is that of Receivables, ``outside`` is asked before a listing; what becomes of them later is in
    ``part_book.py`` and ``fate_book.py``.

    Each method takes a ``Connection`` inside the caller's writing transaction.

    Each may raise RefusedError or IllegalTransitionError: then nothing was written.
    """

    domain: Domain
    time_zone: str
    outside: Outside = field(default_factory=Outside)
    collection: bytes = bytes(32)

    # ------------------------------------------------------------------------------------------- the debtor

    def acknowledge(self, connection: Connection, word: Word, receivable_ids: Sequence[bytes], now_s: int) -> None:
        """The debtor agrees to owe up to 100 receivables; what is not on the chain yet is brought there first."""
        _check_named(receivable_ids, MOST_AT_ONCE)
        digest = receivable_acts.acknowledge_many_digest(
            self.domain, word.member, receivable_ids, self.collection, **word.terms
        )
        call = receivable_acts.acknowledge_many(
            word.member, receivable_ids, self.collection, word.signature, **word.terms
        )
        rows = self._to_be_acknowledged(connection, word, receivable_ids, call)
        if rows:
            check_word(connection, word, digest, now_s)
            send(connection, rows, Act.ACKNOWLEDGE, call)

    def acknowledge_root(self, connection: Connection, word: Word, receivable_ids: Sequence[bytes], now_s: int) -> None:
        """The debtor agrees to owe up to 1,000 receivables with one signature over the root of their ids.

        The root goes to the chain once; then each receivable is proven under it.
        """
        _check_named(receivable_ids, MOST_UNDER_A_ROOT)
        root = merkle.root(list(receivable_ids))
        digest = receivable_acts.acknowledge_root_digest(self.domain, word.member, root, self.collection, **word.terms)
        calls = _proven_calls(word.member, receivable_ids)
        rows = self._to_be_acknowledged(connection, word, receivable_ids[:PROVEN_AT_ONCE], calls[0])
        if not rows:
            return
        rows += self._to_be_acknowledged(connection, word, receivable_ids[PROVEN_AT_ONCE:], calls[0])
        check_word(connection, word, digest, now_s)
        prepare(connection, rows)
        signed = (self.collection, word.signature)
        outbox.put(connection, receivable_acts.acknowledge_root(word.member, root, *signed, **word.terms))
        for place, call in enumerate(calls):
            note(connection, rows[place * PROVEN_AT_ONCE : (place + 1) * PROVEN_AT_ONCE], Act.ACKNOWLEDGE, call)

    def _to_be_acknowledged(
        self, connection: Connection, word: Word, receivable_ids: Sequence[bytes], call: Call
    ) -> list[Row[Any]]:
        """Their rows; none when the same call is on its way for them."""
        rows = visible(connection, word.viewer, receivable_ids)
        if rows and is_repeat(rows, call):
            return []
        for row in rows:
            value = parts_store.value_of(connection, row)
            if not isinstance(value, IssuedReceivable):
                explain(row, Act.ACKNOWLEDGE)
            value.acknowledge(Signed(row.receivable_id, word.member))
        return rows

    def reject(self, connection: Connection, word: Word, receivable_id: bytes, reason: str, *, now_s: int) -> None:
        """The debtor says that it does not owe this, and why."""
        digest = receivable_acts.reject_digest(self.domain, receivable_id, word.member, **word.terms)
        call = receivable_acts.reject(receivable_id, word.signature, **word.terms)
        asked = Asked(Act.REJECT, receivable_id, digest, call, reason)
        carry_out(connection, word, asked, IssuedReceivable, lambda value, by: value.reject(by), now_s=now_s)

    def repay(self, connection: Connection, word: Word, receivable_id: bytes, amount_fen: int, *, now_s: int) -> None:
        """The debtor pays, in part or whole, out of its free cash: costs, interest, advance, residual."""
        if amount_fen <= 0:
            refuse("bad_amount", "a payment must be above 0")
        amount_micro, today = amount_fen * MICRO_PER_FEN, calendar.day_of(now_s, self.time_zone)
        digest = receivable_acts.repay_digest(self.domain, receivable_id, word.member, amount_micro, **word.terms)
        call = receivable_acts.repay(receivable_id, amount_micro, word.signature, **word.terms)
        asked = Asked(Act.REPAY, receivable_id, digest, call, pays_micro=amount_micro)
        carry_out(connection, word, asked, Live, lambda value, by: value.repay(by, amount_fen, today), now_s=now_s)

    # ----------------------------------------------------------------------------------------- the creditor

    def cancel(self, connection: Connection, word: Word, receivable_id: bytes, reason: str, *, now_s: int) -> None:
        """The creditor takes back what is not acknowledged yet."""
        digest = fate_acts.cancel_digest(self.domain, receivable_id, word.member, **word.terms)
        call = fate_acts.cancel(receivable_id, word.signature, **word.terms)
        asked = Asked(Act.CANCEL, receivable_id, digest, call, reason)
        carry_out(connection, word, asked, IssuedReceivable, lambda value, by: value.cancel(by), now_s=now_s)

    def list_for_sale(self, connection: Connection, word: Word, receivable_id: bytes, *, now_s: int) -> None:
        """The creditor puts an acknowledged receivable up for sale; its trades are claimed on the chain before."""
        today = calendar.day_of(now_s, self.time_zone)
        asked = self._listing(word, receivable_id, listed=True)
        is_sent = carry_out(
            connection, word, asked, AcknowledgedReceivable, lambda value, by: value.show(by, today), now_s=now_s
        )
        if is_sent:
            (row,) = visible(connection, word.viewer, [receivable_id])
            barred = self.outside.listing_refusal(connection, row, now_s)
            if barred is not None:
                refuse(*barred)

    def withdraw(self, connection: Connection, word: Word, receivable_id: bytes, *, now_s: int) -> None:
        """The creditor takes it back from sale."""
        asked = self._listing(word, receivable_id, listed=False)
        is_sent = carry_out(
            connection, word, asked, AcknowledgedReceivable, lambda value, by: value.withdraw(by), now_s=now_s
        )
        if is_sent:
            check_no_auction(connection, receivable_id)

    def _listing(self, word: Word, receivable_id: bytes, *, listed: bool) -> Asked:
        digest = receivable_acts.set_listed_digest(self.domain, receivable_id, word.member, listed, **word.terms)
        call = receivable_acts.set_listed(receivable_id, listed, word.signature, **word.terms)
        act = Act.LIST if listed else Act.WITHDRAW
        return Asked(act, receivable_id, digest, call, needs_trades=listed)


def _proven_calls(debtor: int, receivable_ids: Sequence[bytes]) -> list[Call]:
    """The calls that acknowledge receivables under the root over their ids, in their order."""
    tree: PathStream[bytes] = PathStream()
    for each in receivable_ids:
        tree.add(each, each)
    root = tree.finish()
    proven = [(each, tree.paths[each]) for each in receivable_ids]
    return [
        receivable_acts.acknowledge_proven(debtor, root, proven[start : start + PROVEN_AT_ONCE])
        for start in range(0, len(proven), PROVEN_AT_ONCE)
    ]


# ------------------------------------------------------------------------------------------------- the steps


def carry_out(
    connection: Connection, word: Word, asked: Asked, kind: type[K], rule: Callable[[K, Signed], object], *, now_s: int
) -> bool:
    """Check an act against the rules and its member's word, and send it; False when it is on its way already.

    ``rule`` is the act on the receivable, which must be of a ``kind``; it raises why not.
    """
    (row,) = visible(connection, word.viewer, [asked.receivable_id])
    if is_repeat([row], asked.call):
        return False
    value = value_for(connection, row, asked)
    if not isinstance(value, kind):
        explain(row, asked.act)
    rule(value, Signed(asked.receivable_id, word.member))
    check_word(connection, word, asked.digest, now_s)
    check_cash(connection, word.member, asked.pays_micro)
    prepare(connection, [row], needs_trades=asked.needs_trades)
    note(connection, [row], asked.act, asked.call, asked.reason)
    return True


def value_for(connection: Connection, row: Row[Any], asked: Asked) -> Receivable:
    """The receivable as it will stand when the act comes to the chain: with its trades claimed, if it needs that."""
    value = parts_store.value_of(connection, row)
    return value.complete() if asked.needs_trades and isinstance(value, Live) else value


def check_cash(connection: Connection, member: int, amount_micro: int) -> None:
    """Raises RefusedError when a member can not pay this out of what it holds outside escrow."""
    if store.free_cash_micro(connection, member) < amount_micro:
        refuse("insufficient_cash", f"{format_money(amount_micro)} CNY are more than you hold outside escrow")


def _check_named(receivable_ids: Sequence[bytes], most: int) -> None:
    if not receivable_ids:
        refuse("none_named", "name at least one receivable")
    if len(receivable_ids) > most:
        refuse("too_many", f"one signature acknowledges at most {most} receivables here")
    if len(set(receivable_ids)) != len(receivable_ids):
        refuse("named_twice", "a receivable is named twice")


def visible(connection: Connection, viewer: Viewer, receivable_ids: Sequence[bytes]) -> list[Row[Any]]:
    """The receivables in the order they were named; one that the viewer may not see is not there."""
    found = store.receivables_by_id(connection, receivable_ids)
    rows = [found[each] for each in receivable_ids if each in found and may_see(connection, viewer, found[each])]
    if len(rows) != len(receivable_ids):
        refuse("not_found", "there is no such receivable")
    return rows


def may_see(connection: Connection, viewer: Viewer, row: Row[Any]) -> bool:
    """Whether a viewer is shown a receivable: as a party, a bank or an overseer, or for a part of it."""
    return viewer.may_see(row) or parts_store.has_part(connection, row.receivable_id, viewer.member)


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


def check_no_auction(connection: Connection, receivable_id: bytes) -> None:
    """Raises RefusedError ``auction_open`` while an auction of it runs: nothing else sells it, nobody withdraws it."""
    if auction_store.auction_on(connection, receivable_id) is not None:
        refuse("auction_open", "an auction of it runs")


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
    prepare(connection, rows)
    note(connection, rows, act, call, reason)


def prepare(connection: Connection, rows: Sequence[Row[Any]], *, needs_trades: bool = False) -> None:
    """Have receivables brought onto the chain, and their trades claimed, where that is not done.

    Raises RefusedError ``act_pending``.
    """
    if any(is_on_its_way(row) for row in rows):
        refuse("act_pending", "an act on this receivable is on its way to the chain; look again when it is through")
    for each in _materialisations(connection, [row for row in rows if not row.on_chain]):
        outbox.put(connection, each)
    for row in rows:
        if needs_trades and not row.complete:
            for each in _trade_claims(connection, row.receivable_id):
                outbox.put(connection, each)


def note(connection: Connection, rows: Sequence[Row[Any]], act: Act, call: Call, reason: str | None = None) -> None:
    """Put the call of an act into the outbox, and note it on its receivables."""
    outbox_id = outbox.put(connection, call)
    values = {"act": act.value, "act_outbox": outbox_id, "act_reason": reason}
    for row in rows:
        store.set_receivable(connection, row.receivable_id, **values)


def _trade_claims(connection: Connection, receivable_id: bytes) -> list[Call]:
    """The calls that claim the trades of a receivable on the chain, in their order."""
    rows = store.claimed_trades(connection, receivable_id)
    leaves = settlement_store.leaves_of(connection, [row.trade_id for row in rows])
    claims = [part_acts.TradeClaim(row.trade_id, row.amount_micro, leaves[row.trade_id]) for row in rows]
    return part_acts.claim_all_trades(receivable_id, claims)


def _materialisations(connection: Connection, rows: Sequence[Row[Any]]) -> list[Call]:
    """The calls that bring receivables onto the chain, each with its proof under its period's root."""
    proven = [(claim_of(row).on_chain, path_of(connection, row)) for row in rows]
    return [
        receivable_acts.materialise_many(proven[start : start + MATERIALISED_AT_ONCE])
        for start in range(0, len(proven), MATERIALISED_AT_ONCE)
    ]
