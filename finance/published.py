"""A billing period as it is published for the checker and the auditor, and the recomputation that they run on it.

``verify_period`` starts from what the verifier itself derived: the deliveries of the period's cycles, and what the
period before carried on. It drafts the period anew with the published salts; whatever differs is named.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import chain, pairwise

import msgspec
from msgspec.structs import replace

from finance.claim import Claim, TermsTrade
from finance.period import Billing, Bundle, Draft, Pair, bundle, draft
from settlement.contradiction import Contradiction, differs
from settlement.hexjson import Hex


class PublishedTrade(msgspec.Struct, frozen=True):
    """What a receivable claims of one trade."""

    trade_id: int
    delivered_lots: int
    amount_micro: int


class PublishedReceivable(msgspec.Struct, frozen=True):
    """One receivable of a period; days are ISO dates."""

    receivable_id: Hex
    creditor: int
    debtor: int
    face_fen: int
    terms_days: int
    issue_day: str
    due_day: str
    trades_root: Hex
    salt: Hex
    trades: tuple[PublishedTrade, ...]


class PublishedRemainder(msgspec.Struct, frozen=True):
    """What a pair that traded in the period carries on to the next one."""

    creditor: int
    debtor: int
    terms_days: int
    amount_micro: int


class PublishedPeriod(msgspec.Struct, frozen=True):
    """``first_day`` to ``last_day`` and the cycles that settled them, both ends included.

    A large period comes in pages, each with some of its receivables and remainders; ``next`` is what to ask on from.
    """

    period: int
    billing: str
    first_day: str
    last_day: str
    first_cycle: int
    last_cycle: int
    root: Hex
    count: int
    receivables: tuple[PublishedReceivable, ...]
    remainders: tuple[PublishedRemainder, ...]
    state: str
    operator_signature: Hex
    checker_signature: Hex | None = None
    next: str | None = None


def joined(pages: Sequence[PublishedPeriod]) -> PublishedPeriod:
    """The pages of a period, at least one, as one."""
    receivables = chain.from_iterable(page.receivables for page in pages)
    remainders = chain.from_iterable(page.remainders for page in pages)
    return replace(pages[0], receivables=tuple(receivables), remainders=tuple(remainders), next=None)


def publish_receivable(receivable_id: bytes, claim: Claim, trades: Iterable[PublishedTrade]) -> PublishedReceivable:
    """A receivable as it is published, under the id that it is kept by."""
    return PublishedReceivable(
        Hex(receivable_id),
        claim.creditor,
        claim.debtor,
        claim.face_fen,
        claim.terms_days,
        claim.issue_day.isoformat(),
        claim.due_day.isoformat(),
        Hex(claim.trades_root),
        Hex(claim.salt),
        tuple(trades),
    )


def publish_trade(trade: TermsTrade) -> PublishedTrade:
    return PublishedTrade(trade.trade_id, trade.delivered_lots, trade.amount_micro)


def verify_period(
    published: PublishedPeriod, trades: Iterable[TermsTrade], carried_micro: Mapping[Pair, int]
) -> list[Contradiction]:
    """Where the period is not what its trades come to; empty when it is.

    ``trades`` are those of the period's cycles, as the verifier computed their deliveries (``claim.terms_trade``);
    ``carried_micro`` what every pair carries after the periods before (``remainders_of`` each, in their order).
    """
    salts = {_pair(each): bytes(each.salt) for each in published.receivables}
    bundles = bundle(trades, carried_micro)
    missing = [each.pair for each in bundles if each.face_fen and each.pair not in salts]
    if missing:
        return [_of(published, "receivables", f"there is none of {_name(pair)}") for pair in missing]
    expected = draft(published.period, date.fromisoformat(published.last_day), bundles, salts)
    return _differences(published, expected, bundles)


def verify_succession(periods: Iterable[PublishedPeriod], cycle_days: Mapping[int, str]) -> list[Contradiction]:
    """Where the periods, in their order from the first, do not take in every cycle once, each in the period of its day.

    ``cycle_days`` holds the local day of every cycle of these periods. A time without any cycle may have no period.
    """
    periods = list(periods)
    found = []
    for number, (before, after) in enumerate(pairwise([None, *periods]), start=1):
        first_cycle = 1 if before is None else before.last_cycle + 1
        assert after is not None
        if after.period != number:
            found.append(differs("periods", after.period, "period", stated=after.period, computed=number))
        if after.first_cycle != first_cycle:
            found.append(
                differs("periods", after.period, "first_cycle", stated=after.first_cycle, computed=first_cycle)
            )
    for period in periods:
        days = [cycle_days.get(cycle) for cycle in range(period.first_cycle, period.last_cycle + 1)]
        spans = {None if day is None else _span_of(period.billing, day) for day in days}
        if spans != {(period.first_day, period.last_day)}:
            found.append(_of(period, "first_day", "the period does not hold the cycles of its days, and only those"))
    return found


def _span_of(billing: str, day: str) -> tuple[str, str]:
    length, of_day = Billing(billing), date.fromisoformat(day)
    return length.first_day(of_day).isoformat(), length.last_day(of_day).isoformat()


def _differences(published: PublishedPeriod, expected: Draft, bundles: Iterable[Bundle]) -> list[Contradiction]:
    wanted = {
        Pair(issue.claim.creditor, issue.claim.debtor, issue.claim.terms_days): publish_receivable(
            issue.receivable_id, issue.claim, map(publish_trade, issue.trades)
        )
        for issue in expected.issues
    }
    found = [each for stated in published.receivables for each in _changed_fields(stated, wanted.get(_pair(stated)))]
    if [_pair(each) for each in published.receivables] != list(wanted):
        found.append(_of(published, "receivables", "there is not one for each pair, in order"))
    if remainders_of(published) != {each.pair: each.remainder_micro for each in bundles}:
        found.append(_of(published, "remainders", "what is carried on is not what is left"))
    for column, computed in (("root", expected.root), ("count", len(expected.issues))):
        if getattr(published, column) != computed:
            stated = getattr(published, column)
            found.append(differs("periods", published.period, column, stated=stated, computed=computed))
    return found


def _changed_fields(stated: PublishedReceivable, computed: PublishedReceivable | None) -> list[Contradiction]:
    if computed is None:
        return [Contradiction("receivables", stated.receivable_id.hex(), "receivable_id", "no trades come to it")]
    return [
        differs("receivables", stated.receivable_id.hex(), field, stated=ours, computed=theirs)
        for field in PublishedReceivable.__struct_fields__
        if (ours := getattr(stated, field)) != (theirs := getattr(computed, field))
    ]


def _of(period: PublishedPeriod, column: str, why: str) -> Contradiction:
    return Contradiction("periods", str(period.period), column, why)


def remainders_of(period: PublishedPeriod) -> dict[Pair, int]:
    """What every pair that traded in a period carries on from it, in micro-yuan."""
    return {Pair(each.creditor, each.debtor, each.terms_days): each.amount_micro for each in period.remainders}


def _pair(each: PublishedReceivable) -> Pair:
    return Pair(each.creditor, each.debtor, each.terms_days)


def _name(pair: Pair) -> str:
    return f"creditor {pair.creditor}, debtor {pair.debtor}, {pair.terms_days} days"
