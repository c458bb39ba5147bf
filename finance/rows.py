"""Rows of ``receivables`` as the values that rules are written for: what is read back obeys them too."""

from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import Row

from finance.claim import Claim
from finance.life import IssuedReceivable, Live, Receivable, Sale, Signed
from finance.parts import paid
from finance.receivable import State
from finance.waterfall import pay

T = TypeVar("T", bound=Live)


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


def restore(row: Row[Any]) -> Receivable:
    """The receivable where it stands in its life. Asserts that its columns agree."""
    issued = IssuedReceivable(claim_of(row))
    by_debtor, by_creditor = Signed(row.receivable_id, row.debtor), Signed(row.receivable_id, row.creditor)
    state = State(row.state)
    if state is State.ISSUED:
        return issued
    if state is State.REJECTED:
        return issued.reject(by_debtor)
    acknowledged = issued.acknowledge(by_debtor, complete=True)
    if not row.advance_fen:
        return _stands_at(acknowledged, state, row.paid_fen)
    sale = Sale(row.receivable_id, row.holder, row.advance_fen, row.proceeds_fen)
    return _stands_at(_stands_at(acknowledged, State.LISTED, 0).finance(sale, by_creditor), state, row.paid_fen)


def _stands_at(value: T, state: State, paid_fen: int) -> T:
    if not paid_fen:
        return replace(value, account=replace(value.account, state=state))
    balance, shares = pay(value.balance, paid_fen, value.claim.due_day)
    parts, _ = paid(value.parts, shares)
    return replace(value, account=replace(value.account, state=state, balance=balance, parts=parts))
