"""What banks and sellers do with standing programs: drafted, signed, drawn on, cancelled.

A bank posts a price table by rating and tenor, and a limit; the market writes the table out for each debtor that its
criteria and the ratings let in (``program.py``) and gives the program its digest; the bank reads the rows, computes
their root itself and signs. From then on a seller draws on its own word: the contract computes what it gets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row

from data.units import MICRO_PER_FEN
from finance import criteria_store, program_store, store
from finance.book import Word, check_no_auction, check_signature, check_word, is_on_its_way, is_repeat, refuse, send
from finance.credit.ratings import PLACES
from finance.eligibility import failures
from finance.offer import OfferError, Terms, format_rate
from finance.outside import Outside
from finance.program import (
    Conditions,
    Price,
    best_row,
    check_conditions,
    path_of,
    root_of,
    rows_of,
    terms_of_draw,
)
from finance.receivable import Act, State, check_transition
from settlement import calendar, outbox, sale_acts
from settlement.intents import Domain
from settlement.sale_acts import Drawing, PriceRow, Program


class Posted(NamedTuple):
    """What a bank asks for; its criteria are those that it has in force."""

    prices: Sequence[Price]
    conditions: Conditions
    limit_fen: int
    costs_fen: int
    late_rate_ppm: int
    with_recourse: bool
    registration: bytes
    nonce: int
    expires_s: int


class PriceKept(msgspec.Struct, frozen=True):
    """A price as it stands in ``programs.prices``."""

    rating: str
    max_days: int
    rate: str


class Fitting(NamedTuple):
    """A program that takes a receivable, the row that it falls under, and what a draw would come to today."""

    program: Row[Any]
    row: PriceRow
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProgramBook:
    """``domain`` is that of Sales; ``outside`` is asked before a sale.

    Each method takes a ``Connection`` inside the caller's writing transaction and may raise RefusedError,
    IllegalTransitionError or OfferError: then nothing was written.
    """

    domain: Domain
    time_zone: str
    outside: Outside = field(default_factory=Outside)

    # ---------------------------------------------------------------------------------------------- the bank

    def draft(
        self,
        connection: Connection,
        bank: int,
        posted: Posted,
        ratings: Mapping[int, str],
        *,
        now_s: int,
    ) -> int:
        """Write out a program's table; returns its number. The same nonce again gives the same program.

        ``ratings`` are those of all debtors that have one.
        """
        again = program_store.by_nonce(connection, bank, posted.nonce)
        if again is not None:
            number: int = again.program
            return number
        check_conditions(posted.conditions, posted.prices, posted.limit_fen, posted.late_rate_ppm)
        if posted.costs_fen < 0:
            raise OfferError("bad_costs", "costs must not be below 0")
        if posted.expires_s < now_s:
            refuse("deadline_passed", "the program would be over by the market's clock")
        if program_store.with_registration(connection, posted.registration) is not None:
            refuse("registration_used", "another program carries this registration")
        worst = criteria_store.criteria_of(connection, bank)[0].rating_at_least
        rows = rows_of(posted.prices, ratings, lambda debtor: debtor != bank and is_rated(ratings[debtor], worst))
        if not rows:
            refuse("no_rows", "criteria and ratings let nobody in")
        columns = _columns(bank, posted, root_of(rows))
        columns["digest"] = sale_acts.program_digest(self.domain, _signed(columns))
        return program_store.add(connection, columns | {"made_s": now_s}, rows)

    def sign(self, connection: Connection, bank: int, number: int, signature: bytes, *, now_s: int) -> None:
        """The bank's word on the table it has read: from now on it can be drawn on."""
        row = self._own(connection, bank, number)
        if row.state == "open" and row.signature == signature:
            return
        if row.state != "drafted" or row.expires_s < now_s:
            refuse("not_open", "the program is not waiting for your signature")
        check_signature(connection, bank, row.digest, signature)
        program_store.change(connection, number, signature=signature, state="open")

    def cancel(
        self, connection: Connection, bank: int, number: int, signature: bytes, deadline_s: int, *, now_s: int
    ) -> None:
        """The bank ends its program: the chain uses up its nonce. One that was never signed ends at once."""
        row = self._own(connection, bank, number)
        call = sale_acts.cancel_program(bank, row.nonce, signature, deadline_s=deadline_s)
        if row.state == "cancelled" or is_repeat([row], call):
            return
        if deadline_s < now_s:
            refuse("deadline_passed", "the deadline is over by the market's clock")
        digest = sale_acts.cancel_program_digest(self.domain, bank, row.nonce, deadline_s=deadline_s)
        check_signature(connection, bank, digest, signature)
        if is_on_its_way(row):
            refuse("act_pending", "its cancellation is on its way to the chain")
        program_store.change(connection, number, act_outbox=outbox.put(connection, call))

    def _own(self, connection: Connection, bank: int, number: int) -> Row[Any]:
        row = program_store.program(connection, number)
        if row is None or row.bank != bank:
            refuse("not_found", "there is no such program")
        return row

    # ---------------------------------------------------------------------------------------------- the seller

    def fitting(self, connection: Connection, owed: Row[Any], now_s: int) -> list[Fitting]:
        """The programs that would finance a receivable today, the one that pays most first."""
        found = []
        for program in program_store.open_for(connection, owed.debtor, now_s):
            if is_on_its_way(program) or owed.creditor == program.bank:
                continue
            try:
                row, terms = self._priced(connection, program, owed, now_s)
            except OfferError:
                continue
            if self._why_not(connection, program, owed, terms, now_s) is None:
                found.append(Fitting(program, row, terms))
        return sorted(found, key=lambda each: (-each.terms.proceeds_fen, each.program.program))

    def draw(
        self, connection: Connection, word: Word, number: int, receivable_id: bytes, minimum_fen: int, *, now_s: int
    ) -> Row[Any]:
        """A seller takes what a program gives for its listed receivable. Returns the receivable."""
        program = program_store.program(connection, number)
        owed = store.receivable(connection, receivable_id)
        if program is None or program.signature is None or owed is None or not word.viewer.may_see(owed):
            refuse("not_found", "there is no such program, or no such receivable")
        if word.member != owed.creditor:
            refuse("not_a_party", "only the creditor sells it")
        signed, row, terms = _signed(program._asdict()), *self._priced(connection, program, owed, now_s)
        drawing = Drawing(receivable_id, minimum_fen * MICRO_PER_FEN, word.nonce, word.deadline_s)
        priced = row, path_of(program_store.rows_of(connection, number), row)
        call = sale_acts.draw(signed, program.signature, priced, drawing, word.signature)
        if is_repeat([owed], call):
            return owed
        check_transition(State(owed.state), Act.FINANCE)
        check_no_auction(connection, receivable_id)
        if program.state != "open" or program.expires_s < now_s or is_on_its_way(program):
            refuse("not_open", "the program is over")
        barred = self._why_not(connection, program, owed, terms, now_s)
        barred = barred or self.outside.standing_refusal(connection, owed, program.bank, now_s)
        if barred is not None:
            refuse(*barred)
        if terms.proceeds_fen < minimum_fen:
            refuse("below_minimum", f"it pays {terms.proceeds_fen} fen today")
        check_word(connection, word, sale_acts.draw_digest(self.domain, signed, word.member, drawing), now_s)
        send(connection, [owed], Act.FINANCE, call)
        return owed

    def _priced(self, connection: Connection, program: Row[Any], owed: Row[Any], now_s: int) -> tuple[PriceRow, Terms]:
        """The row that a receivable falls under and what it gives. Raises OfferError ``no_price`` and as terms_of."""
        today, due_day = calendar.day_of(now_s, self.time_zone), date.fromisoformat(owed.due_day)
        rows = program_store.rows_for(connection, program.program, owed.debtor)
        row = best_row(rows, owed.debtor, (due_day - today).days)
        if row is None:
            raise OfferError("no_price", "the program has no price for this debtor and so many days")
        conditions = Conditions(program.advance_rate_ppm, program.fee_fen, program.year_days)
        return row, terms_of_draw(owed.face_fen, conditions, row, today, due_day)

    def _why_not(
        self, connection: Connection, program: Row[Any], owed: Row[Any], terms: Terms, now_s: int
    ) -> tuple[str, str] | None:
        """What keeps a receivable out of a program that has a price for it."""
        if program.bank in (owed.creditor, owed.debtor):
            return "own_receivable", "creditor and debtor do not finance their own receivable"
        if program.drawn_fen + terms.advance_fen > program.limit_fen:
            return "limit_reached", "the program's limit leaves no room for it"
        if program.costs_fen > terms.residual_fen:
            return "bad_costs", "the program's costs are above what this receivable leaves"
        if store.free_cash_micro(connection, program.bank) < terms.proceeds_fen * MICRO_PER_FEN:
            return "insufficient_cash", "the bank does not hold the proceeds now"
        failed = self._failures(connection, program, owed, terms.advance_fen, now_s)
        return ("not_eligible", f"its bank does not finance it: {', '.join(failed)}") if failed else None

    def _failures(
        self, connection: Connection, program: Row[Any], owed: Row[Any], advance_fen: int, now_s: int
    ) -> list[str]:
        """The bank's criteria that a receivable fails today, by their codes: how far is the bank's own."""
        asked, _ = criteria_store.criteria_of(connection, program.bank)
        today = calendar.day_of(now_s, self.time_zone)
        (candidate,) = criteria_store.candidates(connection, [owed], program.bank, today)
        candidate = candidate._replace(
            exposure_fen=advance_fen, with_recourse=program.with_recourse, has_registration=True
        )
        book = criteria_store.book_of(connection, program.bank)
        return [failure.code for failure in failures(asked, candidate, book)]


def is_rated(rating: str, worst: str | None) -> bool:
    """Whether a rating is at least another one, or none is asked for."""
    return worst is None or PLACES[rating] <= PLACES[worst]


def _columns(bank: int, posted: Posted, root: bytes) -> dict[str, Any]:
    prices = [PriceKept(each.rating, each.max_days, format_rate(each.rate_ppm)) for each in posted.prices]
    return {
        "bank": bank,
        "prices": msgspec.json.encode(prices).decode(),
        **posted.conditions._asdict(),
        "limit_fen": posted.limit_fen,
        "costs_fen": posted.costs_fen,
        "late_rate_ppm": posted.late_rate_ppm,
        "with_recourse": posted.with_recourse,
        "registration": posted.registration,
        "nonce": posted.nonce,
        "expires_s": posted.expires_s,
        "root": root,
        "state": "drafted",
        "drawn_fen": 0,
    }


def chain_program(row: Row[Any]) -> Program:
    """A row of ``programs`` as its bank signs it."""
    return _signed(row._asdict())


def _signed(columns: Mapping[str, Any]) -> Program:
    return Program(
        bank=columns["bank"],
        root=columns["root"],
        advance_rate_ppm=columns["advance_rate_ppm"],
        limit_micro=columns["limit_fen"] * MICRO_PER_FEN,
        fee_micro=columns["fee_fen"] * MICRO_PER_FEN,
        costs_micro=columns["costs_fen"] * MICRO_PER_FEN,
        late_rate_ppm=columns["late_rate_ppm"],
        year_days=columns["year_days"],
        with_recourse=bool(columns["with_recourse"]),
        registration=columns["registration"],
        nonce=columns["nonce"],
        deadline_s=columns["expires_s"],
    )
