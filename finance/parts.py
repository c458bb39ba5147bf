"""The two claims on a receivable in fractions: split, transferred, merged, pledged; to the fen.

As in ERC-3525, where a token has a slot and a value: here the slot is the receivable and the claim (the holder's, or
the residual), the value what is open. A part has one owner; the parts of a claim sum to what is open of it, whatever
happens to them. Money on a pledged part goes to the pledgee. Parts keep their order, in which roundings are shared.

Every function returns the parts after it, or raises ``IllegalTransitionError`` with one of the codes
``no_such_part``, ``not_the_owner``, ``not_the_pledgee``, ``pledged``, ``not_pledged``, ``bad_amount``,
``part_too_small``, ``too_many_parts``, ``not_mergeable``, ``unknown_member``, ``not_a_bank``; whether the receivable is
in a state for it is not asked here but in ``life.py``.
"""

from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import NamedTuple

from finance.receivable import refuse
from finance.waterfall import Shares, cumulative_shares

MOST_PARTS = 20
"""The contract's bound on the parts of one receivable."""

LEAST_PART_FEN = 100
"""1 CNY: the smallest part that a split may leave on either side, against dust."""


class ClaimKind(IntEnum):
    """Which of the two claims, as the contract numbers them."""

    RESIDUAL = 0
    HOLDER = 1


class Part(NamedTuple):
    """A fraction of a claim. ``pledgee`` is 0 when it is not pledged."""

    number: int
    claim: ClaimKind
    owner: int
    open_fen: int
    pledgee: int = 0

    @property
    def payee(self) -> int:
        """Who gets the money that is paid on it."""
        return self.pledgee or self.owner


Parts = tuple[Part, ...]


def part_of(parts: Parts, number: int) -> Part:
    """The part with a number. Raises IllegalTransitionError."""
    found = next((part for part in parts if part.number == number), None)
    if found is None:
        refuse("no_such_part", f"the receivable has no part {number}")
    return found


def _free_part(parts: Parts, number: int, owner: int) -> Part:
    part = part_of(parts, number)
    if part.owner != owner:
        refuse("not_the_owner", f"part {number} is not yours")
    if part.pledgee:
        refuse("pledged", f"part {number} is pledged to {part.pledgee}")
    return part


def _replaced(parts: Parts, part: Part) -> Parts:
    return tuple(part if each.number == part.number else each for each in parts)


def open_of(parts: Parts, claim: ClaimKind) -> int:
    """What is open of a claim, in fen."""
    return sum(part.open_fen for part in parts if part.claim is claim)


def split(parts: Parts, number: int, amount_fen: int, owner: int, *, next_number: int) -> Parts:
    """The owner cuts an amount off a part; it becomes part ``next_number``, at the end. Both keep at least 1 CNY."""
    part = _free_part(parts, number, owner)
    if not 0 < amount_fen < part.open_fen:
        refuse("bad_amount", f"of part {number} an amount between 0 and {part.open_fen} fen can be cut off")
    if min(amount_fen, part.open_fen - amount_fen) < LEAST_PART_FEN:
        refuse("part_too_small", f"a split leaves at least {LEAST_PART_FEN} fen on either side")
    if len(parts) == MOST_PARTS:
        refuse("too_many_parts", f"a receivable has at most {MOST_PARTS} parts")
    rest = part._replace(open_fen=part.open_fen - amount_fen)
    return (*_replaced(parts, rest), part._replace(number=next_number, open_fen=amount_fen))


class Transferee(NamedTuple):
    """Who gets a part; the holder's claim goes to banks or back to the creditor, the residual to any member."""

    member: int
    is_member: bool = True
    is_bank: bool = False
    is_creditor: bool = False


def transfer(parts: Parts, number: int, amount_fen: int, to: Transferee, owner: int, *, next_number: int) -> Parts:
    """The owner gives a part, or an amount of it, to another."""
    part = _free_part(parts, number, owner)
    if not to.is_member:
        refuse("unknown_member", f"{to.member} is no admitted member")
    if part.claim is ClaimKind.HOLDER and not (to.is_bank or to.is_creditor):
        refuse("not_a_bank", "the holder's claim goes to a bank, or back to the creditor")
    if amount_fen == part.open_fen:
        return _replaced(parts, part._replace(owner=to.member))
    cut = split(parts, number, amount_fen, owner, next_number=next_number)
    return _replaced(cut, part_of(cut, next_number)._replace(owner=to.member))


def merge(parts: Parts, number: int, other: int, owner: int) -> Parts:
    """The owner joins two parts of the same claim; the first stays, the other is gone."""
    first, second = _free_part(parts, number, owner), _free_part(parts, other, owner)
    if number == other or first.claim is not second.claim:
        refuse("not_mergeable", "two different parts of the same claim can be merged")
    joined = first._replace(open_fen=first.open_fen + second.open_fen)
    return tuple(each for each in _replaced(parts, joined) if each.number != other)


def pledge(parts: Parts, number: int, pledgee: int, owner: int, *, is_bank: bool) -> Parts:
    """The owner pledges a part to a bank: it stays the owner's, its money goes to the bank."""
    part = _free_part(parts, number, owner)
    if not is_bank:
        refuse("not_a_bank", f"a part is pledged to a bank; {pledgee} is none")
    return _replaced(parts, part._replace(pledgee=pledgee))


def release(parts: Parts, number: int, pledgee: int) -> Parts:
    """The pledgee gives a pledge back."""
    part = part_of(parts, number)
    if not part.pledgee:
        refuse("not_pledged", f"part {number} is not pledged")
    if part.pledgee != pledgee:
        refuse("not_the_pledgee", f"part {number} is pledged to another")
    return _replaced(parts, part._replace(pledgee=0))


def sold(parts: Parts, bank: int, advance_fen: int, *, next_number: int) -> Parts:
    """After a sale of the one part there is: what is left of it is the seller's residual, and a new one the bank's."""
    (whole,) = parts
    residual = whole._replace(open_fen=whole.open_fen - advance_fen)
    holder = Part(next_number, ClaimKind.HOLDER, bank, advance_fen)
    return (residual, holder) if residual.open_fen else (holder,)


class Payout(NamedTuple):
    """Money to one payee for one part."""

    part: int
    payee: int
    amount_fen: int


def paid(parts: Parts, shares: Shares) -> tuple[Parts, list[Payout]]:
    """After a payment: what each part gets, in proportion to what was open of it, and the parts that are left.

    Costs and interest first take from the residual parts; then each claim's own money is shared.
    """
    opens = {part.number: part.open_fen for part in parts}
    holders = [part for part in parts if part.claim is ClaimKind.HOLDER]
    residuals = [part for part in parts if part.claim is ClaimKind.RESIDUAL]
    weights = [part.open_fen for part in holders]
    payouts = _payouts(holders, cumulative_shares(shares.holder_fen, weights))
    _take(opens, holders, cumulative_shares(shares.advance_fen, weights))
    charged = shares.costs_fen + shares.interest_fen
    _take(opens, residuals, cumulative_shares(charged, [opens[part.number] for part in residuals]))
    residual_shares = cumulative_shares(shares.residual_fen, [opens[part.number] for part in residuals])
    payouts += _payouts(residuals, residual_shares)
    _take(opens, residuals, residual_shares)
    left = tuple(part._replace(open_fen=opens[part.number]) for part in parts if opens[part.number])
    return left, payouts


def bought_back(parts: Parts, creditor: int, price_fen: int) -> tuple[Parts, list[Payout]]:
    """After the seller paid the holder's claim off: its parts are the seller's, and free of pledges."""
    holders = [part for part in parts if part.claim is ClaimKind.HOLDER]
    payouts = _payouts(holders, cumulative_shares(price_fen, [part.open_fen for part in holders]))
    freed = (part._replace(owner=creditor, pledgee=0) if part.claim is ClaimKind.HOLDER else part for part in parts)
    return tuple(freed), payouts


def have_majority(parts: Parts, members: Collection[int]) -> bool:
    """Whether members own more than half of the open holder's claim together; of the residual, if that is none."""
    claim = ClaimKind.HOLDER if open_of(parts, ClaimKind.HOLDER) else ClaimKind.RESIDUAL
    own = sum(part.open_fen for part in parts if part.claim is claim and part.owner in members)
    return 2 * own > open_of(parts, claim)


def owns_claim(parts: Parts, member: int, claim: ClaimKind) -> bool:
    """Whether a member owns any part of a claim."""
    return any(part.owner == member and part.claim is claim for part in parts)


def is_untouched(parts: Parts, owner: int) -> bool:
    """Whether every part is this owner's, and none is pledged."""
    return all(part.owner == owner and not part.pledgee for part in parts)


def is_whole(parts: Parts, owner: int) -> bool:
    """Whether there is one part, this owner's, and not pledged."""
    return len(parts) == 1 and is_untouched(parts, owner)


def _payouts(parts: Sequence[Part], amounts_fen: Sequence[int]) -> list[Payout]:
    return [Payout(part.number, part.payee, amount) for part, amount in zip(parts, amounts_fen, strict=True) if amount]


def _take(opens: dict[int, int], parts: Sequence[Part], amounts_fen: Sequence[int]) -> None:
    for part, amount in zip(parts, amounts_fen, strict=True):
        opens[part.number] -= amount
