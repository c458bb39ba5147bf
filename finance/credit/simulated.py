"""Communities of made-up members whose probability of default is known, for fitting and judging scorecards.

A member has latent traits that nobody sees: *liquidity*, *discipline*, *steadiness* of its business and *skill* at
forecasting. Its probability of default within the next ninety days is a known logistic function of them, of a bad
year of its community, and of a shock of its own; whether it defaults is drawn from it. What a card sees are ten
features that the traits cause through counts and noise: how many of a few debts were paid in time, the longest of their
delays, how many months it traded. No feature is a trait, no trait is one feature, and some say nothing of default at
all. Floats are statistics here; what comes out are the whole numbers of ``features.py``. The same seed gives the same
communities.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from finance.credit.feature_names import NAMES, PPM, UNKNOWN
from finance.credit.features import LARGEST_PPM, Table, Whole

Floats = npt.NDArray[np.float64]


class Communities(NamedTuple):
    """``table`` is what cards see, a row for each member; ``probability`` and ``defaulted`` are the truth.

    ``community`` is the number of each member's, from 0.
    """

    table: Table
    community: Whole
    probability: Floats
    defaulted: npt.NDArray[np.bool_]


class _Traits(NamedTuple):
    liquidity: Floats
    discipline: Floats
    steadiness: Floats
    skill: Floats


def communities(members: int, seed: int, *, count: int = 10) -> Communities:
    """So many members in ``count`` communities of about the same size."""
    rng = np.random.default_rng(seed)
    community = rng.integers(0, count, members)
    traits = _Traits(*rng.standard_normal((4, members)))
    mixed = 0.4 * traits.liquidity + 0.6 * traits.discipline  # people who plan have both
    traits = traits._replace(discipline=mixed)
    bad_year = 0.35 * rng.standard_normal(count)[community]
    risk = -4.5 - 1.0 * traits.liquidity - 0.9 * traits.discipline - 0.45 * traits.steadiness - 0.15 * traits.skill
    risk += 0.5 * np.maximum(0.0, -traits.liquidity) ** 2 + bad_year + 0.5 * rng.standard_normal(members)
    probability = 1.0 / (1.0 + np.exp(-risk))
    defaulted = rng.random(members) < probability
    ids = np.arange(100, 100 + members, dtype=np.int64)
    bought_fen = np.round(np.exp(10.0 + 0.8 * rng.standard_normal(members))).astype(np.int64)
    return Communities(Table(ids, _seen(rng, traits), bought_fen), community.astype(np.int64), probability, defaulted)


def _seen(rng: np.random.Generator, traits: _Traits) -> Whole:
    members = len(traits.skill)
    tenure_days = rng.integers(0, 900, members)
    months = np.minimum(12, tenure_days // 30 + 1)
    active = rng.binomial(months, _chance(1.6 + 0.8 * traits.steadiness))
    columns = {
        **_payments(rng, traits, tenure_days),
        "ladder_stage": _stages(rng, traits),
        **_energy(rng, traits),
        "tenure_days": tenure_days,
        "months_active": np.maximum(1, active),
        **_volumes(rng, traits, tenure_days),
        "concentration_ppm": _ppm(rng.beta(2.0, np.exp(0.8 + 0.25 * traits.steadiness))),
    }
    return np.stack([columns[name] for name in NAMES], axis=1).astype(np.int64)


def _payments(rng: np.random.Generator, traits: _Traits, tenure_days: Whole) -> dict[str, Whole]:
    """A few debts: each is in time or late by some days; whoever is new or buys prepaid has none."""
    debts = rng.poisson(np.minimum(tenure_days, 360) / 60.0)
    late = rng.binomial(debts, _chance(-2.6 - 0.9 * traits.discipline - 0.7 * traits.liquidity))
    in_time = np.where(debts > 0, (debts - late) * PPM // np.maximum(debts, 1), UNKNOWN)
    # the longest of so many exponential delays: minus log(1 - u^(1/n)) of the mean
    mean_days = np.exp(1.6 - 0.5 * traits.liquidity)
    longest = -mean_days * np.log1p(-(rng.random(len(debts)) ** (1.0 / np.maximum(late, 1))))
    worst = np.where(late > 0, 4 + np.floor(longest), rng.integers(0, 4, len(debts)))
    return {"paid_on_time_ppm": in_time, "days_late_worst": np.where(debts > 0, worst, UNKNOWN).astype(np.int64)}


def _stages(rng: np.random.Generator, traits: _Traits) -> Whole:
    """Each step of the ladder follows the one before for whoever can not pay."""
    stage = (rng.random(len(traits.skill)) < _chance(-3.4 - 1.1 * traits.liquidity)).astype(np.int64)
    for _ in range(2):
        goes_on = rng.random(len(stage)) < _chance(-1.2 - 0.6 * traits.liquidity)
        stage += (stage > 0) & goes_on
    return stage


def _energy(rng: np.random.Generator, traits: _Traits) -> dict[str, Whole]:
    """Half of the members sell; forecasts miss, sunny and dry spells come whoever one is."""
    members = len(traits.skill)
    delivered = rng.beta(np.exp(3.2 + 0.4 * traits.skill), 1.0)
    off = np.exp(-1.9 - 0.35 * traits.skill - 0.1 * traits.steadiness + 0.5 * rng.standard_normal(members))
    sells = rng.random(members) < 0.5
    return {"delivered_ppm": np.where(sells, _ppm(delivered), UNKNOWN), "imbalance_ppm": _ppm(off)}


def _volumes(rng: np.random.Generator, traits: _Traits, tenure_days: Whole) -> dict[str, Whole]:
    members = len(traits.skill)
    trend = np.exp(0.12 * traits.steadiness + 0.35 * rng.standard_normal(members))
    volatility = np.exp(-1.2 - 0.4 * traits.steadiness + 0.35 * rng.standard_normal(members))
    return {
        "volume_trend_ppm": np.where(tenure_days >= 120, _ppm(trend), UNKNOWN),
        "volume_volatility_ppm": np.where(tenure_days >= 90, _ppm(volatility), UNKNOWN),
    }


def _chance(log_odds: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-log_odds))


def _ppm(share: Floats) -> Whole:
    return np.minimum(np.floor(share * PPM), LARGEST_PPM).astype(np.int64)
