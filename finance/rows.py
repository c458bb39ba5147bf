"""Rows of ``receivables`` as the values that rules are written for: what is read back obeys them too."""

from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Row

from finance.claim import Claim
from finance.receivable import (
    AcknowledgedReceivable,
    FinancedReceivable,
    IssuedReceivable,
    Offered,
    Receivable,
    Signed,
    State,
)


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
    acknowledged = issued.acknowledge(by_debtor)
    value: AcknowledgedReceivable | FinancedReceivable
    if row.advance_fen:
        offer = Offered(row.receivable_id, row.holder, row.advance_fen, row.proceeds_fen)
        value = replace(acknowledged.show(by_creditor).finance(offer, by_creditor), paid_fen=row.paid_fen)
    else:
        value = replace(acknowledged, listed=state is State.LISTED, paid_fen=row.paid_fen)
    assert value.state is state, f"receivable {row.number} is {state}, its columns say {value.state}"
    return value
