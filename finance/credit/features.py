"""What a member really did here, as ten whole numbers, and the volume that caps its limit.

Shares are parts per million, ``-1`` says that there is nothing to tell from. Everything is as of an instant: payments
up to it, trades of the cycles applied up to a named one. *Months* are windows of 30 days that end with that cycle.

=======================  ==============================================================================================
feature                  what it is
=======================  ==============================================================================================
paid_on_time_ppm         of what fell due in the last year, the share by face that was settled within the grace days
days_late_worst          the longest that one of those was paid late, in days after its due day; if open, until now
ladder_stage             the worst stage of the default ladder in the last year: 1 margin call, 2 suspended, 3 case
delivered_ppm            of the energy it sold, what its meters delivered
imbalance_ppm            energy by which its meters were off its trades, of the energy it traded; at most 10 million
tenure_days              since the first slot that it traded and that was settled
months_active            of the last twelve months, those with trades
volume_trend_ppm         value traded in the last three months by that of the three before; at most 10 million
volume_volatility_ppm    mean absolute deviation of a month's value by its mean, over the whole months of its tenure
concentration_ppm        the share of its largest counterparty in the value it traded in the last year
=======================  ==============================================================================================

``bought_monthly_fen`` is the mean value it bought a month in the last three: who owes, owes for what it buys.
Pure, in numpy, for all members at once; ``tests/finance/credit/oracle.py`` says the same slowly.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from finance.credit.feature_names import NAMES, PPM, UNKNOWN

Whole = npt.NDArray[np.int64]

MONTH_S = 30 * 86_400
MONTHS = 12
LARGEST_PPM = 10 * PPM


class Table(NamedTuple):
    """Features of many members: ``values[row, place in NAMES]`` of ``members[row]``, which ascend."""

    members: Whole
    values: Whole
    bought_monthly_fen: Whole


class Deeds(NamedTuple):
    """What the history says of ``members`` (ascending), before any ratio is taken; a row for each.

    ``bought_fen`` and ``sold_fen`` by month, the latest first: shape (members, 12). ``first_slot_s`` is UNKNOWN of
    whoever has no settled trade. ``due_fen`` fell due in the last year, of that ``on_time_fen`` was paid in time.
    """

    members: Whole
    bought_fen: Whole
    sold_fen: Whole
    traded_lots: Whole
    sold_lots: Whole
    delivered_lots: Whole
    deviated_lots: Whole
    first_slot_s: Whole
    largest_fen: Whole
    due_fen: Whole
    on_time_fen: Whole
    days_late: Whole
    ladder_stage: Whole


def features_of(deeds: Deeds, until_s: int) -> Table:
    """The features as of the end ``until_s`` of the last cycle that counts."""
    traded_fen = deeds.bought_fen + deeds.sold_fen
    year_fen = traded_fen.sum(axis=1)
    tenure_days = np.where(deeds.first_slot_s < 0, UNKNOWN, (until_s - deeds.first_slot_s) // 86_400)
    columns = {
        "paid_on_time_ppm": _share_ppm_floor(deeds.on_time_fen, deeds.due_fen),
        "days_late_worst": np.where(deeds.due_fen > 0, deeds.days_late, UNKNOWN),
        "ladder_stage": deeds.ladder_stage,
        "delivered_ppm": _share_ppm_floor(deeds.delivered_lots, deeds.sold_lots),
        "imbalance_ppm": _share_ppm_floor(deeds.deviated_lots, deeds.traded_lots),
        "tenure_days": tenure_days,
        "months_active": (traded_fen > 0).sum(axis=1),
        "volume_trend_ppm": _share_ppm_floor(traded_fen[:, :3].sum(axis=1), traded_fen[:, 3:6].sum(axis=1)),
        "volume_volatility_ppm": _volatility_ppm_floor(traded_fen, tenure_days),
        "concentration_ppm": _share_ppm_floor(deeds.largest_fen, year_fen),
    }
    values = np.stack([columns[name] for name in NAMES], axis=1).astype(np.int64)
    return Table(deeds.members, values, deeds.bought_fen[:, :3].sum(axis=1) // 3)


def _share_ppm_floor(part: Whole, whole: Whole) -> Whole:
    """UNKNOWN where the whole is nothing; at most LARGEST_PPM. Exact up to nine million million of either."""
    known = whole > 0
    shares = np.minimum(part * PPM // np.where(known, whole, 1), LARGEST_PPM)
    return np.where(known, shares, UNKNOWN)


def _volatility_ppm_floor(by_month_fen: Whole, tenure_days: Whole) -> Whole:
    """By whole yuan, so that sixty-four bits are enough; UNKNOWN below three whole months of tenure."""
    yuan = by_month_fen // 100
    months = np.minimum(tenure_days // 30, MONTHS)
    counts = np.arange(MONTHS)[None, :] < months[:, None]
    total = np.where(counts, yuan, 0).sum(axis=1)
    deviations = np.where(counts, np.abs(months[:, None] * yuan - total[:, None]), 0).sum(axis=1)
    known = (months >= 3) & (total > 0)
    return np.where(known, deviations * PPM // np.where(known, months * total, 1), UNKNOWN)
