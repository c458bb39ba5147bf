"""SQL of the default ladder: where each member stands by the chain's events, and what was already done about it."""

import json
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, select

from data.tables import chain_events, outbox
from settlement.outbox import DONE, SENT, WAITING
from settlement.store import last_mirrored_block

MARGIN_CALL, SUSPENDED, CASE = 1, 2, 3
"""Stages, as ``Clearing.standing_of`` counts them."""

_STAGE_OF = {"MarginCalled": MARGIN_CALL, "Suspended": SUSPENDED, "CaseOpened": CASE}


class Standing(NamedTuple):
    """A member in arrears: its stage, and when the next step may be taken; None after the last."""

    stage: int
    deadline_s: int | None


class LadderStep(NamedTuple):
    """A member came to a stage (0: it paid, and is off the ladder) at the time of a block."""

    at_s: int
    member: int
    stage: int
    deadline_s: int | None


def steps(connection: Connection) -> Iterator[LadderStep]:
    """Everything that ever happened on the ladder, in the chain's order."""
    query = (
        select(chain_events.c.block_s, chain_events.c.event, chain_events.c.arguments)
        .where(chain_events.c.contract == "Clearing", chain_events.c.event.in_((*_STAGE_OF, "Cured")))
        .order_by(chain_events.c.block, chain_events.c.log_index)
    )
    for block_s, event, said in connection.execute(query):
        arguments = json.loads(said)
        deadline = arguments.get("deadline_s")
        stage = _STAGE_OF.get(event, 0)
        yield LadderStep(block_s, int(arguments["account"]), stage, None if deadline is None else int(deadline))


def standings(connection: Connection) -> dict[int, Standing]:
    """Every member that is on the ladder."""
    found: dict[int, Standing] = {}
    for step in steps(connection):
        if step.stage:
            found[step.member] = Standing(step.stage, step.deadline_s)
        else:
            found.pop(step.member, None)
    return found


def escalating(connection: Connection) -> set[bytes]:
    """The calls that are on their way to the chain, or of whose events the mirror has not heard yet."""
    query = select(outbox.c.call).where(
        outbox.c.kind == "Clearing.escalate",
        outbox.c.state.in_((WAITING, SENT))
        | ((outbox.c.state == DONE) & (outbox.c.block > last_mirrored_block(connection))),
    )
    return {bytes(each) for each in connection.scalars(query)}
