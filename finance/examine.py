"""Billing periods examined one after another by whoever trusts nobody: the checker before it signs, and the audit.

Of a published period nothing is believed but its salts: its trades are those of the cycles that were examined before,
its remainders those of the periods before.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from operator import attrgetter

from msgspec.structs import replace

from finance.claim import TermsTrade, terms_trade
from finance.period import Pair
from finance.published import PublishedPeriod, joined, remainders_of, verify_period, verify_succession
from settlement import hexjson, receivable_acts
from settlement.checker import PeriodVerdict
from settlement.contradiction import Contradiction, differs
from settlement.examine_cycle import CycleExaminer, SettledTrade
from settlement.intents import Domain

_cycle = attrgetter("cycle")


class PeriodExaminer:
    """Examines periods in their order, from the first; one that held is taken up, and the next is measured by it."""

    def __init__(self) -> None:
        self._held: list[PublishedPeriod] = []  # without their receivables and remainders
        self._carried_micro: dict[Pair, int] = {}

    def __call__(self, pages: Iterable[bytes], cycles: CycleExaminer, domain: Domain) -> PeriodVerdict:
        """The verdict on the pages of ``GET /v1/periods/{n}``; ``domain`` is that of Receivables.

        Raises msgspec.DecodeError on JSON that is no period.
        """
        published = joined([hexjson.load(page, PublishedPeriod) for page in pages])
        digest = receivable_acts.issue_period_digest(domain, published.period, published.root, published.count)
        return PeriodVerdict(self.examine(published, cycles.settled, cycles.days), digest)

    def examine(
        self, published: PublishedPeriod, settled: Sequence[SettledTrade], cycle_days: Mapping[int, str]
    ) -> Contradiction | None:
        """The first contradiction in the next period, or None: then it is taken up.

        ``settled`` (in the order of their cycles) and ``cycle_days`` are those of all cycles examined so far.
        """
        periods = [*self._held, published]
        if published.billing != periods[0].billing:
            return differs(
                "periods", published.period, "billing", stated=published.billing, computed=periods[0].billing
            )
        try:
            found = verify_succession(periods, cycle_days) or verify_period(
                published, _claimable(published, settled), self._carried_micro
            )
        except ValueError as error:
            return Contradiction("periods", str(published.period), "first_day, last_day, billing", str(error))
        if not found:
            self._held.append(replace(published, receivables=(), remainders=()))
            self._carried_micro |= remainders_of(published)
        return found[0] if found else None


def _claimable(published: PublishedPeriod, settled: Sequence[SettledTrade]) -> list[TermsTrade]:
    """What the period's receivables may hold; of what was settled before it, nothing is looked at again."""
    first = bisect_left(settled, published.first_cycle, key=_cycle)
    last = bisect_right(settled, published.last_cycle, key=_cycle)
    trades = (terms_trade(each.record, each.delivery) for each in islice(settled, first, last))
    return [trade for trade in trades if trade is not None]
