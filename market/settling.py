"""Settlement's steps in the order in which the scheduler takes them, one function each.

Each is called in the settlement thread with the market's time and says whether it did something. What it reads from
the chain it reads before its transaction begins, so that no order waits for another process.
"""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from data.database import reading
from finance import mirror as finance_mirror
from finance import periods
from finance.period import Billing
from market import member_store, withdrawing
from market.context import Context
from market.scheduler import Step
from settlement import commitments, cycle, mirror, store
from settlement.chain import ChainEvent
from settlement.writer import Writer


def steps_of(context: Context, on_frozen: Callable[[int, bool], None]) -> list[tuple[str, Step]]:
    """All steps, by name. ``on_frozen(member, is_frozen)`` hears of what the regulator did; it must be thread-safe."""
    writer = Writer(context.database, context.chain)
    return [
        ("advance", partial(_advance, context)),
        ("commit", partial(_commit, context)),
        ("draft", partial(_draft, context)),
        ("apply", partial(_apply, context)),
        ("bill", partial(_bill, context)),
        ("withdraw", partial(_withdraw, context)),
        ("send", lambda _: writer.drain() > 0),
        ("mirror", partial(_mirror, context, on_frozen)),
        ("due", partial(_mark_due, context)),
    ]


def _advance(context: Context, now_s: int) -> bool:
    """A chain with a manual clock follows the market's."""
    if context.clock.is_manual:
        context.chain.advance_to(now_s)
    return False


def _commit(context: Context, now_s: int) -> bool:
    with context.database.begin() as connection:
        number = commitments.commit_due(
            connection,
            now_s,
            rules=context.config.settlement_rules,
            domain=context.chain.domain("Clearing"),
            operator=context.operator,
        )
    return number is not None


def _draft(context: Context, now_s: int) -> bool:
    number = cycle.draft_due(
        context.database,
        now_s,
        rules=context.config.settlement_rules,
        domain=context.chain.domain("Clearing"),
        operator=context.operator,
    )
    return number is not None


def _apply(context: Context, now_s: int) -> bool:
    with context.database.begin() as connection:
        return bool(cycle.apply_due(connection, now_s))


def _bill(context: Context, now_s: int) -> bool:
    number = periods.close_due(
        context.database,
        now_s,
        time_zone=context.config.market.time_zone,
        billing=Billing(context.config.market.billing_period),
        domain=context.chain.domain("Receivables"),
        operator=context.operator,
    )
    return number is not None


def _withdraw(context: Context, now_s: int) -> bool:
    return withdrawing.withdraw_due(context.database, now_s)


def _mirror(context: Context, on_frozen: Callable[[int, bool], None], now_s: int) -> bool:
    with reading(context.database) as connection:
        block = store.last_mirrored_block(connection) + 1
    events = context.chain.events(block)
    if not events:
        return False
    frozen = [(event.arguments["member"], event.arguments["frozen"]) for event in events if event.event == "Frozen"]
    with context.database.begin() as connection:
        _follow(connection, events, now_s)
        withdrawing.follow(connection, events, context.chain.chain_id)
        for member, is_frozen in frozen:
            member_store.set_frozen(connection, int(member), bool(is_frozen))
    for member, is_frozen in frozen:
        on_frozen(int(member), bool(is_frozen))
    return True


def _follow(connection: Connection, events: list[ChainEvent], now_s: int) -> None:
    mirror.follow(connection, events)
    finance_mirror.follow(connection, events, now_s)


def _mark_due(context: Context, now_s: int) -> bool:
    with context.database.begin() as connection:
        return finance_mirror.mark_due(connection, now_s, context.config.market.time_zone) > 0
