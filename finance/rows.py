"""Rows of ``receivables`` and their parts as the values that rules are for: what is read back obeys them too."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Row

from finance.claim import Claim
from finance.life import Account, FinancedReceivable, IssuedReceivable, Receivable, Sale, Signed
from finance.parts import ClaimKind, Part, open_of
from finance.position import Position
from finance.receivable import State
from finance.waterfall import NEVER_LATE, Balance, Lateness


def claim_of(row: Row[Any]) -> Claim:
    """The content of a receivable."""
    return Claim(
        period=row.period,
        creditor=row.creditor,
        debtor=row.debtor,
        face_fen=row.face_fen,
        terms_days=row.terms_days,
        issue_day=date.fromisoformat(row.issue_day),
        due_day=date.fromisoformat(row.due_day),
        trades_root=row.trades_root,
        salt=row.salt,
    )


def position_of(row: Row[Any], parts: Sequence[Part]) -> Position:
    """Where a receivable stands, column by column."""
    columns = {name: getattr(row, name) for name in Position._fields if name != "parts"}
    return Position(**columns, parts={part.number: part for part in parts})


def restore(row: Row[Any], parts: Sequence[Part]) -> Receivable:
    """The receivable where it stands in its life; ``parts`` are all it has, those at 0 too.

    Asserts that its columns and its parts agree.
    """
    issued = IssuedReceivable(claim_of(row))
    by_debtor, by_creditor = Signed(row.receivable_id, row.debtor), Signed(row.receivable_id, row.creditor)
    state = State(row.state)
    if state is State.ISSUED:
        return issued
    if state is State.REJECTED:
        return issued.reject(by_debtor)
    if state is State.CANCELLED:
        return issued.cancel(by_creditor)
    acknowledged = issued.acknowledge(by_debtor)
    account = _account(row, parts)
    if not row.advance_fen:
        return replace(acknowledged, account=account)
    listed = replace(acknowledged, account=replace(acknowledged.account, state=State.LISTED))
    return FinancedReceivable(listed, _sale(row), by_creditor, account=account)


def _sale(row: Row[Any]) -> Sale:
    """What it was sold for. Who bought it, and for which costs, its parts and what is due of them do not say."""
    return Sale(
        receivable_id=row.receivable_id,
        bank=row.holder,
        advance_fen=row.advance_fen,
        proceeds_fen=row.proceeds_fen,
        lateness=Lateness(row.late_rate_ppm, row.year_days),
        with_recourse=row.with_recourse,
    )


def _account(row: Row[Any], parts: Sequence[Part]) -> Account:
    left = tuple(part for part in sorted(parts) if part.open_fen)
    balance = Balance(
        face_fen=row.face_fen,
        advance_open_fen=open_of(left, ClaimKind.HOLDER),
        residual_open_fen=open_of(left, ClaimKind.RESIDUAL),
        costs_due_fen=row.costs_due_fen,
        interest_due_fen=row.interest_due_fen,
        redeemed_fen=row.paid_fen,
        lateness=NEVER_LATE if row.bought_back else Lateness(row.late_rate_ppm, row.year_days),
        accrued_on=date.fromisoformat(row.accrued_day),
    )
    return Account(
        state=State(row.state),
        balance=balance,
        parts=left,
        next_part=max((part.number for part in parts), default=0) + 1,
        complete=row.complete,
        frozen=row.frozen,
        bought_back=row.bought_back,
    )
