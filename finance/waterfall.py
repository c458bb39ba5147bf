"""How a payment runs through a receivable: costs, overdue interest, the advance, then the residual; to the fen.

Two claims stand on one receivable: the holder's (``advance_open``, with the costs and the interest that fell due) and
the residual. Costs and interest are the holder's, but they come out of the residual: what the debtor owes is its face
and no more, so ``advance_open + residual_open + redeemed = face`` before and after everything that happens here, and
costs and interest are paid only as far as the residual carries them. An unfinanced receivable is all residual.

The same integers as in the ``Receivables`` contract, which counts in micro-yuan but in whole fen only.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from finance.offer import PPM


class Lateness(NamedTuple):
    """What an offer adds when its receivable is paid late: a yearly rate on the advance, for 360 or 365 days."""

    rate_ppm: int
    year_days: int


NEVER_LATE = Lateness(0, 360)
"""Of a receivable that nobody financed, or that its seller bought back: no interest."""


class Balance(NamedTuple):
    """Both claims on one receivable, in fen. ``accrued_on``: the day up to which interest is in ``interest_due_fen``,
    the due day to begin with."""

    face_fen: int
    advance_open_fen: int
    residual_open_fen: int
    costs_due_fen: int
    interest_due_fen: int
    redeemed_fen: int
    lateness: Lateness
    accrued_on: date

    @property
    def open_fen(self) -> int:
        """What the debtor still owes."""
        return self.advance_open_fen + self.residual_open_fen

    @property
    def price_fen(self) -> int:
        """The holder's open claim: what its seller pays to buy it back."""
        return self.costs_due_fen + self.interest_due_fen + self.advance_open_fen


class Shares(NamedTuple):
    """What one payment goes to, in fen; the first three are the holder's."""

    costs_fen: int
    interest_fen: int
    advance_fen: int
    residual_fen: int

    @property
    def holder_fen(self) -> int:
        return self.costs_fen + self.interest_fen + self.advance_fen


class OverpaidError(ValueError):
    """A payment above what is open, or not above zero."""


def unfinanced(face_fen: int, due_day: date) -> Balance:
    """The whole face is its creditor's."""
    return Balance(face_fen, 0, face_fen, 0, 0, 0, NEVER_LATE, due_day)


def financed(before: Balance, advance_fen: int, costs_fen: int, lateness: Lateness) -> Balance:
    """After a sale: the advance is the holder's, the rest the residual, of which the costs are spoken for."""
    assert before.advance_open_fen == before.redeemed_fen == 0, "sold once, and before any payment"
    return before._replace(
        advance_open_fen=advance_fen,
        residual_open_fen=before.face_fen - advance_fen,
        costs_due_fen=costs_fen,
        lateness=lateness,
    )


def accrue(balance: Balance, today: date) -> Balance:
    """Simple interest on the open advance for the days since the last time, rounded up to the fen each time."""
    if today <= balance.accrued_on or balance.advance_open_fen == 0:
        return balance
    days = (today - balance.accrued_on).days
    interest_fen = late_interest_fen_ceil(balance.advance_open_fen, balance.lateness, days)
    return balance._replace(interest_due_fen=balance.interest_due_fen + interest_fen, accrued_on=today)


def late_interest_fen_ceil(advance_fen: int, lateness: Lateness, days: int) -> int:
    return -(-advance_fen * lateness.rate_ppm * days // (PPM * lateness.year_days))


def shares_of(balance: Balance, payment_fen: int) -> Shares:
    """What a payment goes to, interest up to its day being accrued. Raises OverpaidError."""
    if not 0 < payment_fen <= balance.open_fen:
        raise OverpaidError(f"a payment must be above 0 and at most what is open, {balance.open_fen} fen")
    costs = min(payment_fen, balance.costs_due_fen, balance.residual_open_fen)
    interest = min(payment_fen - costs, balance.interest_due_fen, balance.residual_open_fen - costs)
    advance = min(payment_fen - costs - interest, balance.advance_open_fen)
    return Shares(costs, interest, advance, payment_fen - costs - interest - advance)


def pay(balance: Balance, payment_fen: int, today: date) -> tuple[Balance, Shares]:
    """A payment of today: the balance after it, and what it went to. Raises OverpaidError."""
    accrued = accrue(balance, today)
    shares = shares_of(accrued, payment_fen)
    after = accrued._replace(
        advance_open_fen=accrued.advance_open_fen - shares.advance_fen,
        residual_open_fen=accrued.residual_open_fen - shares.costs_fen - shares.interest_fen - shares.residual_fen,
        costs_due_fen=accrued.costs_due_fen - shares.costs_fen,
        interest_due_fen=accrued.interest_due_fen - shares.interest_fen,
        redeemed_fen=accrued.redeemed_fen + payment_fen,
    )
    return after, shares


def buy_back(balance: Balance, today: date) -> tuple[Balance, int]:
    """The seller pays off the holder's claim as it stands today: the balance after it, and the price.

    The debtor owes what it owed; nothing is added to it any more.
    """
    accrued = accrue(balance, today)
    return accrued._replace(costs_due_fen=0, interest_due_fen=0, lateness=NEVER_LATE), accrued.price_fen


def cumulative_shares(amount_fen: int, weights_fen: Sequence[int]) -> list[int]:
    """An amount shared in proportion to weights: whole fen that sum to it exactly.

    ``share_i = floor(C_i x amount / O) - floor(C_(i-1) x amount / O)`` with ``C_i`` the sum of the first i weights and
    ``O`` that of all. With ``amount <= O`` no share is above its weight. No weights: there must be nothing to share.
    """
    whole = sum(weights_fen)
    if whole == 0:
        assert amount_fen == 0, "money for a claim on which nothing is open"
        return [0 for _ in weights_fen]
    shares, passed, given = [], 0, 0
    for weight in weights_fen:
        passed += weight
        upto = passed * amount_fen // whole
        shares.append(upto - given)
        given = upto
    return shares
