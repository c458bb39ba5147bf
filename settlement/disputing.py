"""What the operator does about disputes: it answers with the signed order, or it stands there without one.

An answer is checked here as the contract will check it, before it goes into the outbox. What can not be answered stays
in ``challenges.problem``, for a person to look at while there is time; when the time is over the market says against
itself what anyone could say: it sends ``uphold``.
"""

import json
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from matching.order import Side
from settlement import cycle_store, dispute_acts, dispute_store, merkle, outbox, proofs, reading_store, store
from settlement.chain import ChainEvent
from settlement.disputable import Disputable
from settlement.dispute_acts import Opening, open_trade
from settlement.hexjson import Hex
from settlement.intents import Domain
from settlement.key_changes import history_back_to
from settlement.trade_leaf import (
    ProofDomain,
    evidence_problems,
    json_path,
    order_problems,
)


class Handled(NamedTuple):
    """One challenge, and why there is no answer to it; empty when one is on its way."""

    number: int
    trade_id: int
    problem: str


def is_something_due(connection: Connection) -> bool:
    """Whether a challenge is open, or a proposal was refused: then the steps below have something to look at."""
    if dispute_store.open_challenges(connection):
        return True
    signed = (row.outbox_id for row in cycle_store.cycles_in(connection, "signed"))
    return any(number is not None and outbox.refusal_of(connection, number) for number in signed)


def answer_due(connection: Connection, domain: Domain) -> list[Handled]:
    """Answer every open challenge to which nothing was done yet; ``domain`` is that of Clearing.

    An answer that the contract refused is a problem too.
    """
    handled = []
    for row in dispute_store.open_challenges(connection):
        if row.problem is not None:
            continue
        if row.answer_outbox is None:
            handled.append(_answer(connection, row, domain))
        elif refusal := outbox.refusal_of(connection, row.answer_outbox):
            handled.append(_give_up(connection, row, f"the chain refused the answer: {refusal}"))
    return handled


def uphold_due(connection: Connection, now_s: int) -> list[int]:
    """Say that challenges were not answered in time, once for each; returns their numbers."""
    due = [row for row in dispute_store.open_challenges(connection) if row.due_s < now_s and row.uphold_outbox is None]
    for row in due:
        sent = outbox.put(connection, dispute_acts.uphold(row.name))
        dispute_store.set_challenge(connection, row.number, uphold_outbox=sent)
    return [row.number for row in due]


def _answer(connection: Connection, row: Row[Any], domain: Domain) -> Handled:
    opening = opening_of(connection, row.trade_id, Side(row.side))
    if opening is None or opening.leaf != row.leaf:
        return _give_up(connection, row, "there is no such trade here")
    buy_order, sell_order = store.orders_of_trade(connection, row.trade_id)
    evidence = proofs.order_evidence(connection, buy_order if row.side == Side.BUY else sell_order)
    problems = order_problems(evidence.intent, row.side, opening.common, opening.half, domain)
    problems += evidence_problems(evidence, domain)
    if problems:
        return _give_up(connection, row, "; ".join(problems))
    history = history_back_to(key_changes(connection, opening.half.member), opening.half.member, opening.half.placed_s)
    sent = outbox.put(connection, dispute_acts.answer(opening, evidence, history))
    dispute_store.set_challenge(connection, row.number, answer_outbox=sent)
    return Handled(row.number, row.trade_id, "")


def key_changes(connection: Connection, member: int) -> list[ChainEvent]:
    """What the mirrored chain says of a member's keys, in order."""
    found = []
    for row in store.key_event_rows(connection, member):
        arguments: dict[str, int | bytes | bool] = {
            name: int(value, 0) for name, value in json.loads(row.arguments).items()
        }
        found.append(
            ChainEvent(row.block, row.log_index, row.block_s, row.transaction_hash, row.contract, row.event, arguments)
        )
    return found


def _give_up(connection: Connection, row: Row[Any], problem: str) -> Handled:
    dispute_store.set_challenge(connection, row.number, problem=problem)
    return Handled(row.number, row.trade_id, problem)


def opening_of(connection: Connection, trade_id: int, side: Side) -> Opening | None:
    """A trade opened for one side, without a path; None when there is no such trade."""
    found = store.trades_between(connection, trade_id, trade_id)
    return open_trade(found[0].record, side, []) if found else None


def disputable(
    connection: Connection, trade_id: int, member: int, now_s: int, *, domain: Domain, bond_micro: int
) -> Disputable | str:
    """What a side of a trade can challenge it with; ``domain`` is that of Disputes.

    Or why not: ``not_found`` when the member has no such trade, ``not_disputable`` outside of its cycle's window.
    """
    found = store.trades_between(connection, trade_id, trade_id)
    if not found or member not in (found[0].record.buy.member, found[0].record.sell.member):
        return "not_found"
    side = Side.BUY if found[0].record.buy.member == member else Side.SELL
    row = cycle_store.cycle_of_slot(connection, found[0].record.common.slot_s)
    if row is None or row.state not in ("proposed", "disputed") or row.disputable_until_s <= now_s:
        return "not_disputable"
    opening = opening_in(connection, row, trade_id, side)
    if opening is None:
        return "not_disputable"
    return Disputable(
        domain=ProofDomain(domain.chain_id, Hex(domain.contract), Hex(domain.salt)),
        cycle=row.cycle,
        disputable_until_s=row.disputable_until_s,
        bond_micro=bond_micro,
        challenge=Hex(opening.name),
        leaf=Hex(opening.leaf),
        common=opening.common,
        common_salt=Hex(opening.common_salt),
        side=side,
        half=opening.half,
        half_salt=Hex(opening.half_salt),
        other_half=Hex(opening.other_half),
        path=json_path(opening.path),
    )


def opening_in(connection: Connection, cycle: Row[Any], trade_id: int, side: Side) -> Opening | None:
    """A trade opened for one side under the root of its cycle, whose row this is; None when it is not in it.

    The leaves stand in the order of ``cycle_outcome.Computation``. All of the day are computed: seconds for a million.
    """
    opening, leaves, place = opening_of(connection, trade_id, side), list[bytes](), None
    for slot_s in reading_store.busy_slots(connection, cycle.start_s, cycle.end_s):
        for trade in store.trades_of_slots(connection, slot_s, slot_s + 1):
            if trade.slot_trade.trade_id == trade_id:
                place = len(leaves)
            leaves.append(trade.leaf)
    if opening is None or place is None:
        return None
    return opening._replace(path=merkle.path(leaves, place))
