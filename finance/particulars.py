"""Who a member is outside the market: legal name, code, bank account, as registry, tax office and banks know it.

A member gives them itself; for registry and tax invoice they count once the operator has confirmed that they are the
member's, for a name of one's own choosing would have another searched in one's place. A
business has a unified social credit code (GB 32100-2015, which is its taxpayer number too), a person an identity
number (GB 11643-1999); both have check digits, which python-stdnum knows.
"""

import re

import msgspec
from stdnum.cn import ric, uscc

_ACCOUNT = re.compile(r"[0-9A-Z]{6,34}", re.ASCII)
_BANK_CODE = re.compile(r"[0-9]{12}", re.ASCII)
LONGEST_NAME = 140


class Particulars(msgspec.Struct, frozen=True):
    """``account``, ``bank_name`` and ``bank_code`` (twelve digits of CNAPS) stand together or are all empty."""

    legal_name: str
    code: str
    account: str = ""
    bank_name: str = ""
    bank_code: str = ""


def is_code(text: str) -> bool:
    """Whether this is a unified social credit code or a resident's identity number, as written, check digit and all."""
    return text == text.strip().upper() and len(text) == 18 and (uscc.is_valid(text) or ric.is_valid(text))


def is_organisation(code: str) -> bool:
    """Whether a code is one that anyone may see, and not a person's identity number."""
    return uscc.is_valid(code)


def fault_of(given: Particulars) -> tuple[str, str] | None:
    """The field that will not do and why, or None."""
    if not 0 < len(given.legal_name.strip()) <= LONGEST_NAME:
        return "legal_name", f"a legal name has 1 to {LONGEST_NAME} characters"
    if not is_code(given.code):
        return "code", "expected a unified social credit code or an identity number, 18 characters with its check digit"
    return _bank_fault(given) if given.account or given.bank_name or given.bank_code else None


def _bank_fault(given: Particulars) -> tuple[str, str] | None:
    if not _ACCOUNT.fullmatch(given.account):
        return "account", "an account has 6 to 34 digits or capital letters"
    if not 0 < len(given.bank_name.strip()) <= LONGEST_NAME:
        return "bank_name", f"a bank's name has 1 to {LONGEST_NAME} characters"
    if not _BANK_CODE.fullmatch(given.bank_code):
        return "bank_code", "a bank's CNAPS code has 12 digits"
    return None
