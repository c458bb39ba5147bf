"""Settlement's steps in the order in which the scheduler takes them, one function each.

Each is called in the settlement thread with the market's time and says whether it did something. What it reads from
the chain it reads before its transaction begins, so that no order waits for another process.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import monotonic

from sqlalchemy import Connection

from data.database import reading
from finance import auction_store, auctions, feed_store, marking, periods, sales_mirror, telling
from finance import mirror as finance_mirror
from finance import reorganisation as finance_reorganisation
from finance.credit import scoring
from finance.period import Billing
from market import key_recovery, member_store, withdrawing
from market.context import Context
from market.key_recovery import OnKey
from market.logs import log
from market.scheduler import Step
from settlement import (
    commitments,
    cycle,
    disputing,
    drafting,
    ladder,
    ladder_store,
    mirror,
    mirror_store,
    reorganisation,
    store,
)
from settlement.chain import ChainEvent
from settlement.writer import Writer

DRAFT_S = 0.5
"""So long a draft is carried on before the other steps have their turn."""


def steps_of(
    context: Context, on_frozen: Callable[[int, bool], None], on_key: OnKey = lambda *_: None
) -> list[tuple[str, Step]]:
    """All steps, by name. ``on_frozen(member, is_frozen)`` hears of what the regulator did, ``on_key`` of keys that are
    others on the chain; they must be thread-safe, and may hear of the same again."""
    writer = Writer(context.database, context.chain)
    return [
        ("advance", partial(_advance, context)),
        ("reorganise", partial(_reorganise, context, on_frozen)),
        ("commit", partial(_commit, context)),
        ("draft", _Drafting(context).step),
        ("apply", partial(_apply, context)),
        ("dispute", partial(_dispute, context)),
        ("bill", partial(_bill, context)),
        ("withdraw", partial(_withdraw, context)),
        ("auctions", partial(_end_auctions, context)),
        ("send", lambda _: writer.step() > 0),
        ("mirror", partial(_mirror, context, on_frozen)),
        ("keys", partial(_look_at_keys, context, on_key)),
        ("ladder", partial(_escalate, context)),
        ("due", partial(_mark_due, context)),
        ("tell", partial(_tell, context)),
        ("score", partial(_score, context)),
    ]


def _advance(context: Context, now_s: int) -> bool:
    """A chain with a manual clock follows the market's."""
    if context.clock.is_manual:
        context.chain.advance_to(now_s)
    return False


def _reorganise(context: Context, on_frozen: Callable[[int, bool], None], now_s: int) -> bool:
    """Undo what came from blocks that the chain has given up, and send again what was in them."""
    first = reorganisation.first_lost_block(context.database, context.chain)
    if first is None:
        return False
    with context.database.begin() as connection:
        lost = mirror_store.mirrored_events(connection, first)
        sent_again = reorganisation.unroll(connection, first)
        left = mirror_store.mirrored_events(connection)
        finance_reorganisation.unroll(connection, first, lost, now_s, context.config.market.time_zone)
        feed_store.set_back(connection, first)
        sales_mirror.unroll(connection, lost)
        withdrawing.unroll(connection, lost, left, context.chain.chain_id)
        frozen = {member: False for member, _ in _frozen_in(lost)}
        frozen |= {member: is_frozen for member, is_frozen in _frozen_in(left) if member in frozen}
        for member, is_frozen in frozen.items():
            member_store.set_frozen(connection, member, is_frozen)
    for member, is_frozen in frozen.items():
        on_frozen(member, is_frozen)
    log(logging.WARNING, "chain_gave_up_blocks", first=first, events=len(lost), sent_again=sent_again)
    return True


def _frozen_in(events: Iterable[ChainEvent]) -> list[tuple[int, bool]]:
    """What the regulator did, in order."""
    return [
        (int(event.arguments["member"]), bool(event.arguments["frozen"])) for event in events if event.event == "Frozen"
    ]


def _commit(context: Context, now_s: int) -> bool:
    """The leaves are read and hashed before the transaction that orders wait for."""
    with reading(context.database) as connection:
        prepared = commitments.prepare(
            connection,
            now_s,
            rules=context.config.settlement_rules,
            domain=context.chain.domain("Clearing"),
            operator=context.operator,
        )
    if prepared is None:
        return False
    with context.database.begin() as connection:
        commitments.keep(connection, prepared)
    return True


class _Drafting:
    """Drafts what is due, half a second at a time, so that a large day does not hold up the other steps."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._steps: Iterator[int | None] | None = None

    def step(self, now_s: int) -> bool:
        """Go on with a draft, or begin the next; whether there was something to do."""
        if self._steps is None:
            self._steps = drafting.steps(
                self._context.database,
                now_s,
                rules=self._context.config.settlement_rules,
                domain=self._context.chain.domain("Clearing"),
                operator=self._context.operator,
            )
        steps, self._steps = self._steps, None  # what raises is begun again
        until_s, has_worked = monotonic() + DRAFT_S, False
        for _ in steps:
            has_worked = True
            if monotonic() > until_s:
                self._steps = steps
                break
        return has_worked


def _apply(context: Context, now_s: int) -> bool:
    with context.database.begin() as connection:
        return bool(cycle.apply_due(connection, now_s))


def _dispute(context: Context, now_s: int) -> bool:
    """Answer challenges, say which were not answered in time, and propose again what waited for the operator's bond."""
    operator, bond_micro = context.operator.member, context.config.operator_bond_micro
    with reading(context.database) as connection:
        if not disputing.is_something_due(connection):
            return False
    with context.database.begin() as connection:
        handled = disputing.answer_due(connection, context.chain.domain("Clearing"))
        upheld = disputing.uphold_due(connection, now_s)
        again = cycle.propose_again(connection, operator, bond_micro)
    for each in handled:
        if each.problem:
            log(logging.CRITICAL, "challenge_without_answer", trade=each.trade_id, why=each.problem)
    return bool(handled or upheld or again)


def _bill(context: Context, now_s: int) -> bool:
    number = periods.close_due(
        context.database,
        now_s,
        rules=context.config.settlement_rules,
        billing=Billing(context.config.market.billing_period),
        domain=context.chain.domain("Receivables"),
        operator=context.operator,
    )
    return number is not None


def _withdraw(context: Context, now_s: int) -> bool:
    return withdrawing.withdraw_due(context.database, now_s)


def _end_auctions(context: Context, now_s: int) -> bool:
    """Award those whose bids are revealed, lapse those whose winner did not pay."""
    with reading(context.database) as connection:  # hardly ever is one due
        if not auction_store.due(connection, now_s, auctions.AGAIN_AFTER_S):
            return False
    with context.database.begin() as connection:
        return auctions.take_due(connection, now_s) > 0


def _mirror(context: Context, on_frozen: Callable[[int, bool], None], now_s: int) -> bool:
    with reading(context.database) as connection:
        block = store.last_mirrored_block(connection) + 1
    events = context.chain.events(block)
    if not events:
        return False
    frozen = _frozen_in(events)
    with context.database.begin() as connection:
        _follow(connection, events, now_s, context.config.market.time_zone)
        withdrawing.follow(connection, events, context.chain.chain_id)
        for member, is_frozen in frozen:
            member_store.set_frozen(connection, member, is_frozen)
    for member, is_frozen in frozen:
        on_frozen(member, is_frozen)
    return True


def _follow(connection: Connection, events: list[ChainEvent], now_s: int, time_zone: str) -> None:
    mirror.follow(connection, events)
    finance_mirror.follow(connection, events, now_s, time_zone)
    sales_mirror.follow(connection, events)


def _look_at_keys(context: Context, on_key: OnKey, now_s: int) -> bool:
    return key_recovery.look(context.database, now_s, on_key)


def _escalate(context: Context, now_s: int) -> bool:
    with reading(context.database) as connection:  # hardly ever is anybody in arrears
        if not ladder_store.standings(connection):
            return False
    with context.database.begin() as connection:
        return bool(ladder.escalate_due(connection, now_s))


def _score(context: Context, now_s: int) -> bool:
    return scoring.score_due(context.database, context.config.scorecard, now_s, context.config.market.time_zone)


def _mark_due(context: Context, now_s: int) -> bool:
    with context.database.begin() as connection:
        return marking.mark_due(connection, now_s, context.config.market.time_zone) > 0


def _tell(context: Context, now_s: int) -> bool:
    """Append to the feed what is new, and let webhooks hear."""
    if not telling.tell_due(context.database, now_s):
        return False
    context.hear()
    return True
