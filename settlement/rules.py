"""What a market fixes about settlement: prices of deviations, whose accounts they go to, windows, cadence."""

from datetime import date

import msgspec

from settlement import calendar


class SettlementRules(msgspec.Struct, frozen=True):
    """Prices in ticks, durations in seconds; ``grid_company`` is the member that residuals are handed to.

    Shortfall price >= retail price >= feed-in price >= 0, so that missing on purpose never pays.
    Source: ``docs/settlement_and_chain.md``, "Delivery" and "Settlement cycles".
    """

    time_zone: str
    slot_minutes: int
    retail_ticks: int
    feed_in_ticks: int
    shortfall_ticks: int
    grid_company: int
    reading_deadline_s: int
    correction_window_s: int
    late_s: int = 90 * 86_400
    commit_interval_s: int = 60
    commit_trades: int = 10_000

    def __post_init__(self) -> None:
        if not self.shortfall_ticks >= self.retail_ticks >= self.feed_in_ticks >= 0:
            raise ValueError(
                f"shortfall {self.shortfall_ticks}, retail {self.retail_ticks} and feed-in {self.feed_in_ticks} ticks "
                "must not rise in this order, nor the last be negative, or missing on purpose would pay"
            )
        if self.reading_deadline_s < 0 or self.correction_window_s < 0 or self.late_s < 0:
            raise ValueError("the reading deadline, the correction window and that of late readings are not negative")
        if self.slot_minutes <= 0 or 24 * 60 % self.slot_minutes:
            raise ValueError(f"a day is no whole number of slots of {self.slot_minutes} minutes")

    @property
    def window_s(self) -> int:
        """Seconds after the end of a local day until its readings are final."""
        return self.reading_deadline_s + self.correction_window_s

    def cut_s(self, day: date) -> int:
        """When the readings of a local day are final: those received before count in its cycle, later ones are late."""
        return calendar.bounds(day, self.time_zone)[1] + self.window_s
