"""A settlement cycle's way: drafted and signed by the operator, computed again and signed by the checker, proposed,
open to dispute, applied part by part.

=============  ==========================================================================================
drafted        the operator has computed and signed it; it waits for the checker
refused        the checker found a contradiction and said which; it may still sign later
signed         both signatures are there, the proposal is on its way to the chain
proposed       the chain has it; the dispute window runs
applying       the window is over, the parts are on their way
applied        the chain has moved the money
=============  ==========================================================================================

The callables here are called by whoever keeps the time; each does what is due and says what it did.
"""

import secrets
from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine, Row

from data.database import reading
from settlement import acts, calendar, cycle_store, outbox, signatures, store
from settlement.acts import Approval
from settlement.cycle_outcome import CycleInputs, CycleOutcome, compute, deltas_of
from settlement.intents import Domain
from settlement.officer import Officer
from settlement.rules import SettlementRules
from settlement.signatures import PublicKey


def proposal_of(number: int, start_s: int, end_s: int, outcome: CycleOutcome) -> acts.Proposal:
    """The proposal of a cycle with this outcome."""
    roots = (outcome.trades_root, outcome.readings_root, outcome.statements_root)
    return acts.Proposal(number, start_s, end_s, *roots, outcome.proposal_parts(number))


def draft_due(database: Engine, now_s: int, *, rules: SettlementRules, domain: Domain, operator: Officer) -> int | None:
    """Draft the next cycle when it is ready; call again until it returns None.

    A local day is ready when its reading deadline and correction window have passed, all its trades are committed and
    the checker has signed the cycle before. A day on which nothing happened and nothing falls due has no cycle.
    Computing takes seconds on a large day and holds no lock. Returns the cycle's number, or None.
    """
    with reading(database) as connection:
        inputs = next_inputs(connection, now_s, rules)
    if inputs is None:
        return None
    outcome = compute(inputs, rules)
    proposal = proposal_of(inputs.cycle, inputs.start_s, inputs.end_s, outcome)
    row = {
        "cycle": inputs.cycle,
        "day": inputs.day.isoformat(),
        "start_s": inputs.start_s,
        "end_s": inputs.end_s,
        "state": "drafted",
        "salt": inputs.salt,
        "trades_root": outcome.trades_root,
        "readings_root": outcome.readings_root,
        "statements_root": outcome.statements_root,
        "parts_hash": acts.parts_hash(proposal.parts),
        "operator_signature": operator.approve(acts.propose_digest(domain, proposal)).signature,
    }
    with database.begin() as connection:
        cycle_store.add_cycle(connection, row, outcome)
    return inputs.cycle


def next_inputs(connection: Connection, now_s: int, rules: SettlementRules) -> CycleInputs | None:
    """What the next cycle is computed from; None when none is ready."""
    last = cycle_store.last_cycle(connection)
    if last is not None and last.state in ("drafted", "refused"):
        return None
    after = None if last is None else date.fromisoformat(last.day)
    day = cycle_store.next_day(connection, after, rules.time_zone)
    if day is None:
        return None
    _, end_s = calendar.bounds(day, rules.time_zone)
    if end_s + rules.window_s > now_s:
        return None
    inputs = inputs_of(connection, (last.cycle if last else 0) + 1, after, day, secrets.token_bytes(32), rules=rules)
    committed = store.last_commitment(connection)
    newest_trade = max((trade.trade_id for trade in inputs.trades), default=0)
    return inputs if newest_trade <= (committed.last_trade if committed else 0) else None


def inputs_of(
    connection: Connection, number: int, after: date | None, day: date, salt: bytes, *, rules: SettlementRules
) -> CycleInputs:
    """The inputs of the cycle of a local day; ``after`` is the day of the cycle before, None for the first."""
    start_s, end_s = calendar.bounds(day, rules.time_zone)
    trades = store.trades_of_slots(connection, start_s, end_s)
    return CycleInputs(
        cycle=number,
        day=day,
        start_s=start_s,
        end_s=end_s,
        salt=salt,
        trades=[trade.slot_trade for trade in trades],
        trade_leaves=[trade.leaf for trade in trades],
        readings=store.final_readings(connection, start_s, end_s),
        owners=cycle_store.owners(connection),
        debts=[] if after is None else cycle_store.debts_due(connection, after, day, rules.time_zone),
    )


# ---------------------------------------------------------------------------------------- the checker's word


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
    """Take the checker's signature over a drafted cycle and put its proposal into the outbox.

    The same signature again is fine. Returns why it is not taken: ``unknown_cycle``, ``already_signed``,
    ``bad_signature``; None when it is.
    """
    row = cycle_store.cycle(connection, number)
    if row is None:
        return "unknown_cycle"
    if row.state not in ("drafted", "refused"):
        return None if row.checker_signature == signature else "already_signed"
    proposal = stated_proposal(row)
    if not signatures.is_signed(key, acts.propose_digest(domain, proposal), signature):
        return "bad_signature"
    approvals = [Approval(operator, row.operator_signature)], [Approval(checker, signature)]
    outbox.put(connection, acts.propose(proposal, *approvals))
    cycle_store.set_cycle(connection, number, state="signed", checker_signature=signature, refusal=None)
    return None


def refuse(connection: Connection, number: int, reason: str) -> str | None:
    """Record that the checker refuses a drafted cycle, and why. Returns ``unknown_cycle`` or ``already_signed``."""
    row = cycle_store.cycle(connection, number)
    if row is None:
        return "unknown_cycle"
    if row.state not in ("drafted", "refused"):
        return "already_signed"
    cycle_store.set_cycle(connection, number, state="refused", refusal=reason)
    return None


def stated_proposal(row: Row[Any]) -> acts.Proposal:
    """The proposal that a row of ``cycles`` stands for."""
    parts = [
        acts.part(row.cycle, index, deltas_of(part))
        for index, part in enumerate(cycle_store.parts_from_json(row.parts))
    ]
    roots = (row.trades_root, row.readings_root, row.statements_root)
    return acts.Proposal(row.cycle, row.start_s, row.end_s, *roots, parts)


# -------------------------------------------------------------------------------------------------- applying


def apply_due(connection: Connection, now_s: int) -> list[int]:
    """Put the parts of every cycle whose dispute window is over into the outbox; returns the cycles' numbers."""
    due = [row for row in cycle_store.cycles_in(connection, "proposed") if row.disputable_until_s <= now_s]
    for row in due:
        for index, part in enumerate(cycle_store.parts_from_json(row.parts)):
            outbox.put(connection, acts.apply_part(row.cycle, index, deltas_of(part)))
        cycle_store.set_cycle(connection, row.cycle, state="applying")
    return [row.cycle for row in due]
