"""What payers quote so that money finds its way: creditor references of ISO 11649, which bank messages know.

``RF``, two check digits, then the chain's id, ``R`` and a receivable's number, or ``M`` and a member's: 25 characters
at most. The check digits catch a slip of the pen; the chain's id keeps two markets apart that share an account.
"""

import re
from typing import NamedTuple

from stdnum import iso11649
from stdnum.iso7064 import mod_97_10

_OURS = re.compile(r"RF\d\d(?P<chain>[1-9]\d*)(?P<kind>[RM])(?P<number>[1-9]\d*)", re.ASCII)
_LONGEST_BODY = 21


class Quoted(NamedTuple):
    """What a reference names: a receivable by its number, or a member by its id."""

    is_receivable: bool
    number: int


def receivable_reference(chain_id: int, number: int) -> str:
    """What the debtor of a receivable quotes."""
    return _reference(f"{chain_id}R{number}")


def member_reference(chain_id: int, member: int) -> str:
    """What a member quotes who pays money in."""
    return _reference(f"{chain_id}M{member}")


def _reference(body: str) -> str:
    assert len(body) <= _LONGEST_BODY, f"{body} is too long for a creditor reference"
    return f"RF{mod_97_10.calc_check_digits(f'{body}RF')}{body}"


def quoted_in(text: str, chain_id: int) -> Quoted | None:
    """The reference of this market in what a payer wrote, as a word or in groups; None: there is none that is right."""
    words = text.upper().split()
    for candidate in (*words, "".join(words)):
        for found in _OURS.finditer(candidate):
            if int(found["chain"]) == chain_id and iso11649.is_valid(found[0]):
                return Quoted(found["kind"] == "R", int(found["number"]))
    return None
