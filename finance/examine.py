"""Billing periods examined one after another by whoever trusts nobody: the checker before it signs, and the audit.

Of a published period nothing is believed but its salts: its trades are those of the cycles that were examined before,
its remainders those of the periods before.
"""

from collections.abc import Iterable, Mapping

from finance.claim import TermsTrade, terms_trade
from finance.published import PublishedPeriod, carried_after, verify_period, verify_succession
from settlement import hexjson, receivable_acts
from settlement.checker import PeriodVerdict
from settlement.contradiction import Contradiction, differs
from settlement.examine_cycle import CycleExaminer, SettledTrade
from settlement.intents import Domain


class PeriodExaminer:
    """Examines periods in their order, from the first; one that held is taken up, and the next is measured by it."""

    def __init__(self) -> None:
        self._held: list[PublishedPeriod] = []

    def __call__(self, payload: bytes, cycles: CycleExaminer, domain: Domain) -> PeriodVerdict:
        """The verdict on the JSON of ``GET /v1/periods/{n}``; ``domain`` is that of Receivables.

        Raises msgspec.DecodeError on JSON that is no period.
        """
        published = hexjson.load(payload, PublishedPeriod)
        digest = receivable_acts.issue_period_digest(domain, published.period, published.root, published.count)
        return PeriodVerdict(self.examine(published, cycles.settled, cycles.days), digest)

    def examine(
        self, published: PublishedPeriod, settled: Iterable[SettledTrade], cycle_days: Mapping[int, str]
    ) -> Contradiction | None:
        """The first contradiction in the next period, or None: then it is taken up.

        ``settled`` and ``cycle_days`` are those of all cycles examined so far.
        """
        periods = [*self._held, published]
        if published.billing != periods[0].billing:
            return differs(
                "periods", published.period, "billing", stated=published.billing, computed=periods[0].billing
            )
        try:
            found = verify_succession(periods, cycle_days) or verify_period(
                published, _claimable(published, settled), carried_after(self._held)
            )
        except ValueError as error:
            return Contradiction("periods", str(published.period), "first_day, last_day, billing", str(error))
        if not found:
            self._held.append(published)
        return found[0] if found else None


def _claimable(published: PublishedPeriod, settled: Iterable[SettledTrade]) -> list[TermsTrade]:
    cycles = range(published.first_cycle, published.last_cycle + 1)
    trades = (terms_trade(each.record, each.delivery) for each in settled if each.cycle in cycles)
    return [trade for trade in trades if trade is not None]
