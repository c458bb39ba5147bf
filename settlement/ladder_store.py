"""SQL of the default ladder: where each member stands by the chain's events, and what was already done about it."""

import json
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


def standings(connection: Connection) -> dict[int, Standing]:
    """Every member that is on the ladder."""
    query = (
        select(chain_events.c.event, chain_events.c.arguments)
        .where(chain_events.c.contract == "Clearing", chain_events.c.event.in_((*_STAGE_OF, "Cured")))
        .order_by(chain_events.c.block, chain_events.c.log_index)
    )
    found: dict[int, Standing] = {}
    for event, said in connection.execute(query):
        arguments = json.loads(said)
        account = int(arguments["account"])
        if event == "Cured":
            found.pop(account, None)
        else:
            deadline = arguments.get("deadline_s")
            found[account] = Standing(_STAGE_OF[event], None if deadline is None else int(deadline))
    return found


def escalating(connection: Connection) -> set[bytes]:
    """The calls that are on their way to the chain, or of whose events the mirror has not heard yet."""
    query = select(outbox.c.call).where(
        outbox.c.kind == "Clearing.escalate",
        outbox.c.state.in_((WAITING, SENT))
        | ((outbox.c.state == DONE) & (outbox.c.block > last_mirrored_block(connection))),
    )
    return {bytes(each) for each in connection.scalars(query)}
