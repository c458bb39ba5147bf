"""Closing a billing period: drafted by the operator, computed again and signed by the checker, issued on the chain.

=============  ======================================================================================
drafted        receivables are computed and their root is signed by the operator; nobody may see them
refused        the checker found a contradiction and said which; it may still sign later
signed         both signatures are there, the root is on its way to the chain
issued         the chain has the root: the receivables exist. A period without any is issued at once
=============  ======================================================================================

A period is one calendar month (or, in the demo, one day) of the market's time zone. Days without a cycle have nothing
to bill: a time without any has no period.
"""

import secrets
from collections.abc import Sequence
from datetime import date
from itertools import chain, islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row

from data.database import reading
from finance import period_store
from finance.listing_store import set_sources
from finance.period import Billing, Draft, Pair, bundle, draft
from finance.published import PublishedPeriod, PublishedRemainder, joined, publish_receivable
from finance.rows import claim_of
from settlement import calendar, cycle_store, outbox, receivable_acts, signatures
from settlement.acts import Approval
from settlement.hexjson import Hex
from settlement.intents import Domain
from settlement.officer import Officer
from settlement.rules import SettlementRules
from settlement.signatures import PublicKey

WRITTEN_AT_ONCE = 2_000
"""Receivables, or remainders, of one transaction: who else has to write waits some tenths of a second, not minutes."""

PUBLISHED_AT_ONCE = 2_000
"""Receivables, and remainders, of one page for the checker: about a megabyte, made in some tenths of a second."""

FROM_THE_FIRST = "0.0.0.0"
"""How many receivables the pages before had, and the last pair whose remainder they had: creditor, debtor, terms."""


def close_due(
    database: Engine, now_s: int, *, rules: SettlementRules, billing: Billing, domain: Domain, operator: Officer
) -> int | None:
    """Draft the next billing period when it is over and all its cycles are applied; call again until it returns None.

    ``domain`` is that of Receivables. Returns the period's number, or None. Computing holds no lock, and a large period
    is written in many short transactions, the one that makes it exist at the end: after a crash it is there whole, or
    what there is of it is deleted and it is drafted when this is called again.
    """
    with reading(database) as connection:
        span = _next_span(connection, now_s, rules, billing)
        if span is None:
            return None
        drafted, row = _draft(connection, span, billing)
    if drafted.issues:
        digest = receivable_acts.issue_period_digest(domain, drafted.period, drafted.root, len(drafted.issues))
        row |= {"state": "drafted", "operator_signature": operator.approve(digest).signature}
    else:
        row |= {"state": "issued", "operator_signature": b""}
    _write(database, drafted, now_s)
    with database.begin() as connection:
        period_store.add_period(connection, row)
    return drafted.period


def _write(database: Engine, drafted: Draft, now_s: int) -> None:
    with database.begin() as connection:
        period_store.drop_unfinished(connection, drafted.period)
    for start in range(0, len(drafted.issues), WRITTEN_AT_ONCE):
        with database.begin() as connection:
            issues = drafted.issues[start : start + WRITTEN_AT_ONCE]
            set_sources(connection, period_store.add_receivables(connection, issues, now_s))
    left = iter(drafted.remainders_micro.items())
    while some := list(islice(left, WRITTEN_AT_ONCE)):
        with database.begin() as connection:
            period_store.add_remainders(connection, drafted.period, some)


class _Span(NamedTuple):
    """The next period: its number, its days, and the cycles that settled them, at least one."""

    number: int
    first_day: date
    last_day: date
    cycles: Sequence[Row[Any]]


def _next_span(connection: Connection, now_s: int, rules: SettlementRules, billing: Billing) -> _Span | None:
    """None when no period is ready."""
    last = period_store.last_period(connection)
    if last is not None and last.state in ("drafted", "refused"):
        return None
    ahead = period_store.cycles_after(connection, last.last_cycle if last else 0)
    if not ahead:
        return None
    first_day = billing.first_day(date.fromisoformat(ahead[0].day))
    last_day = billing.last_day(first_day)
    _, end_s = calendar.bounds(last_day, rules.time_zone)
    if now_s < end_s or cycle_store.unsettled_before(connection, end_s, rules):
        return None
    within = [row for row in ahead if row.day <= last_day.isoformat()]
    return _Span((last.period if last else 0) + 1, first_day, last_day, within)


def _draft(connection: Connection, span: _Span, billing: Billing) -> tuple[Draft, dict[str, Any]]:
    by_cycle = [period_store.terms_trades(connection, row.start_s, row.end_s) for row in span.cycles]
    bundles = bundle(chain.from_iterable(by_cycle), period_store.carried(connection, span.number))
    salts = {each.pair: secrets.token_bytes(32) for each in bundles if each.face_fen}
    drafted = draft(span.number, span.last_day, bundles, salts)
    row = {
        "period": span.number,
        "billing": billing.value,
        "first_day": span.first_day.isoformat(),
        "last_day": span.last_day.isoformat(),
        "first_cycle": span.cycles[0].cycle,
        "last_cycle": span.cycles[-1].cycle,
        "root": drafted.root,
        "count": len(drafted.issues),
    }
    return drafted, row


# ---------------------------------------------------------------------------------------- the checker's word


def published_period(
    connection: Connection, number: int, after: str = FROM_THE_FIRST, limit: int = PUBLISHED_AT_ONCE
) -> PublishedPeriod | None:
    """A page of a period with all that its checker needs; None when there is no such period.

    ``after`` is what the page before says as ``next``. Raises ValueError when it is nothing that a page says.
    """
    row = period_store.period(connection, number)
    if row is None:
        return None
    done, *pair = (int(part) for part in after.split("."))
    numbers = period_store.numbers_of(connection, number)[done : done + limit]
    trades = period_store.trades_of(connection, numbers)
    left = period_store.remainders_of(connection, number, Pair(*pair), limit)
    is_last = len(numbers) < limit and len(left) < limit
    return PublishedPeriod(
        period=row.period,
        billing=row.billing,
        first_day=row.first_day,
        last_day=row.last_day,
        first_cycle=row.first_cycle,
        last_cycle=row.last_cycle,
        root=Hex(row.root),
        count=period_store.count_of(row),
        receivables=tuple(
            publish_receivable(each.receivable_id, claim_of(each), trades[each.receivable_id])
            for each in period_store.receivables_of(connection, numbers)
        ),
        remainders=tuple(PublishedRemainder(*of, amount_micro) for of, amount_micro in left.items()),
        state=row.state,
        operator_signature=Hex(row.operator_signature),
        checker_signature=None if row.checker_signature is None else Hex(row.checker_signature),
        next=None if is_last else ".".join(map(str, (done + len(numbers), *list(left or [Pair(*pair)])[-1]))),
    )


def whole_period(connection: Connection, number: int) -> PublishedPeriod | None:
    """All pages of a period together."""
    pages = [published_period(connection, number)]
    while pages[-1] is not None and pages[-1].next is not None:
        pages.append(published_period(connection, number, pages[-1].next))
    return joined([page for page in pages if page is not None]) if pages[0] is not None else None


def accept_signature(
    connection: Connection,
    number: int,
    signature: bytes,
    *,
    checker: int,
    key: PublicKey,
    operator: int,
    domain: Domain,
) -> str | None:
    """Take the checker's signature over a drafted period and put its root into the outbox.

    The same signature again is fine. Returns why it is not taken: ``unknown_period``, ``already_signed``,
    ``bad_signature``; None when it is.
    """
    row = period_store.period(connection, number)
    if row is None:
        return "unknown_period"
    if row.state not in ("drafted", "refused"):
        return None if row.checker_signature == signature else "already_signed"
    count = period_store.count_of(row)
    if not signatures.is_signed(key, receivable_acts.issue_period_digest(domain, number, row.root, count), signature):
        return "bad_signature"
    approvals = [Approval(operator, row.operator_signature)], [Approval(checker, signature)]
    outbox.put(connection, receivable_acts.issue_period(number, row.root, count, *approvals))
    period_store.set_period(connection, number, state="signed", checker_signature=signature, refusal=None)
    return None


def refuse(connection: Connection, number: int, reason: str) -> str | None:
    """Record that the checker refuses a drafted period, and why. Returns ``unknown_period`` or ``already_signed``."""
    row = period_store.period(connection, number)
    if row is None:
        return "unknown_period"
    if row.state not in ("drafted", "refused"):
        return "already_signed"
    period_store.set_period(connection, number, state="refused", refusal=reason)
    return None


def credit_used_micro(connection: Connection, member: int) -> int:
    """What a member owes for energy bought on terms, in micro-yuan: all it bought, less all it paid."""
    return period_store.bought_on_terms_micro(connection, member) - period_store.paid_on_terms_micro(connection, member)
