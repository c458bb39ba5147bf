"""The kinds of files, told apart by their field ``kind``."""

from typing import Any

from verifier import evidence, receivable, trade
from verifier.chain import Known
from verifier.document import MalformedError
from verifier.report import Report


def verify(value: Any, report: Report, known: Known) -> None:
    """Verify whatever it is. Raises MalformedError."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == trade.KIND:
        trade.verify_trade(value, "", report, known)
    elif kind == evidence.KIND:
        evidence.verify_evidence(value, report, known)
    elif kind == receivable.KIND:
        receivable.verify_receivable(value, report, known)
    else:
        raise MalformedError("kind", "this is no proof that is known here")
