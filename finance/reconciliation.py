"""Money that has come in, and what it is for: each booked credit of the custodian's bank is consumed once.

A credit whose bank reference a deposit has is *deposited*: the custodian minted for it. One that quotes a reference of
this market (``references.py``) is *expected*: it says for whom to mint, and for which receivable the debtor meant it;
paying the receivable out of its cash is the debtor's own signed act. Anything else is *unmatched*, with the reason.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from data.units import MICRO_PER_FEN
from finance.references import Quoted, quoted_in

State = Literal["deposited", "expected", "unmatched"]


class Debt(NamedTuple):
    """A receivable that a credit may be for: who owes it, and what is open."""

    receivable_id: bytes
    debtor: int
    open_fen: int


class Match(NamedTuple):
    """What a credit is for. ``member`` is for whom to mint, or was minted; ``reason`` is that of an unmatched one:
    ``no_reference``, ``unknown_reference``, ``amount_differs`` (from the deposit's), ``more_than_open``."""

    state: State
    reason: str = ""
    member: int | None = None
    receivable_id: bytes | None = None


class Deposited(NamedTuple):
    """A deposit under the bank's reference of a credit."""

    member: int
    amount_micro: int


def quoted_of(texts: Sequence[str], chain_id: int) -> Quoted | None:
    """The first reference of this market in what a payer quoted."""
    return next((found for text in texts if (found := quoted_in(text, chain_id)) is not None), None)


def match(
    amount_fen: int, quoted: Quoted | None, deposit: Deposited | None, debts: Mapping[int, Debt], members: set[int]
) -> Match:
    """What a credit is for. ``debts`` are those quoted, by number; ``members`` those quoted who are admitted."""
    debt = debts.get(quoted.number) if quoted is not None and quoted.is_receivable else None
    receivable_id = None if debt is None else debt.receivable_id
    if deposit is not None:
        if deposit.amount_micro != amount_fen * MICRO_PER_FEN:
            return Match("unmatched", "amount_differs", deposit.member, receivable_id)
        return Match("deposited", "", deposit.member, receivable_id)
    if debt is not None and amount_fen > debt.open_fen:
        return Match("unmatched", "more_than_open", debt.debtor, receivable_id)
    member = debt.debtor if debt is not None else _quoted_member(quoted, members)
    if member is None:
        return Match("unmatched", "no_reference" if quoted is None else "unknown_reference")
    return Match("expected", "", member, receivable_id)


def _quoted_member(quoted: Quoted | None, members: set[int]) -> int | None:
    if quoted is None or quoted.is_receivable or quoted.number not in members:
        return None
    return quoted.number
