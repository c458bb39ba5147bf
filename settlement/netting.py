"""From statement lines to the few transfers that a cycle really makes.

All lines of a cycle whose money moves now are netted to one delta per account (an account is a member). The deltas
are ordered as the contract wants them, debits first, then credits, each by ascending account, and cut into parts of at
most 300 accounts, each declared with its own sum; over all the parts they add up to zero.

Pure: no clock, no SQL.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from settlement.delivery import How, Line

PART_ACCOUNTS = 300
MAX_PARTS = 64

Delta = tuple[int, int]
"""(account, amount_micro): + the account receives, - it pays."""


class Part(NamedTuple):
    """A part of a cycle: what one transaction applies."""

    deltas: tuple[Delta, ...]
    sum_micro: int


class Transfers(NamedTuple):
    """How many payments a cycle's lines ask for, and how many are left after netting."""

    before: int
    after: int


class TooManyAccountsError(ValueError):
    """More accounts than the contract takes in one cycle."""


class Sums:
    """A running sum per member of the lines with ``how`` = cycle."""

    def __init__(self) -> None:
        self._totals: defaultdict[int, int] = defaultdict(int)

    def add(self, line: Line) -> None:
        if line.how == How.CYCLE:
            self._totals[line.member] += line.amount_micro

    def deltas(self) -> dict[int, int]:
        """The sum of each member, without zeros, in micro-yuan."""
        return {member: amount_micro for member, amount_micro in self._totals.items() if amount_micro}


def net(lines: Iterable[Line]) -> dict[int, int]:
    """The sum of the lines with ``how`` = cycle by member, without zeros, in micro-yuan."""
    sums = Sums()
    for line in lines:
        sums.add(line)
    return sums.deltas()


def split(deltas: Mapping[int, int]) -> list[Part]:
    """Non-zero deltas by account to parts, debits ascending and then credits ascending.

    When nothing moves there is one empty part, for the contract wants one to close the cycle with.
    Asserts that they add up to zero. Raises TooManyAccountsError above 64 parts of 300.
    """
    assert sum(deltas.values()) == 0, "the deltas of a cycle add up to zero"
    assert all(deltas.values()), "a delta of zero moves nothing"
    in_order = sorted(deltas.items(), key=lambda delta: (delta[1] > 0, delta[0]))
    if len(in_order) > PART_ACCOUNTS * MAX_PARTS:
        raise TooManyAccountsError(f"{len(in_order)} accounts, above {PART_ACCOUNTS * MAX_PARTS}")
    cuts = range(0, max(len(in_order), 1), PART_ACCOUNTS)
    return [_part(in_order[start : start + PART_ACCOUNTS]) for start in cuts]


def count_transfers(lines: Iterable[Line]) -> Transfers:
    """Payments asked for by lines with ``how`` = cycle, and transfers left after netting (one per account)."""
    moving = [line for line in lines if line.how == How.CYCLE]
    return Transfers(sum(line.amount_micro < 0 for line in moving), len(net(moving)))


def _part(deltas: list[Delta]) -> Part:
    return Part(tuple(deltas), sum(amount_micro for _, amount_micro in deltas))
