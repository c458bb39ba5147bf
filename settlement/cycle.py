"""A settlement cycle's way: drafted and signed by the operator (``drafting.py``), computed again and signed by the
checker, proposed, open to dispute, applied part by part.

=============  ==========================================================================================
drafted        the operator has computed and signed it; it waits for the checker
refused        the checker found a contradiction and said which; it may still sign later
signed         both signatures are there, the proposal is on its way to the chain
proposed       the chain has it; the dispute window runs
disputed       somebody asked for a signed order; nothing is applied before it was shown
applying       the window is over, the parts are on their way
applied        the chain has moved the money
=============  ==========================================================================================

A cycle in which a trade was struck is void, and with it every later one (``void_cycles``): they leave this table and
are drafted again, in their next round, without the trade.

The callables here are called by whoever keeps the time; each does what is due and says what it did.
"""

from typing import Any

from sqlalchemy import Connection, Row

from settlement import acts, cycle_store, outbox, signatures, store
from settlement.acts import Approval
from settlement.cycle_outcome import CycleTotals, deltas_of
from settlement.intents import Domain
from settlement.signatures import PublicKey


def proposal_of(number: int, start_s: int, end_s: int, totals: CycleTotals) -> acts.Proposal:
    """The proposal of a cycle that comes to this."""
    roots = (totals.trades_root, totals.readings_root, totals.statements_root)
    return acts.Proposal(number, start_s, end_s, *roots, totals.proposal_parts(number))


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
    outbox_id = outbox.put(connection, acts.propose(proposal, *approvals))
    signed = {"state": "signed", "checker_signature": signature, "refusal": None, "outbox_id": outbox_id}
    cycle_store.set_cycle(connection, number, **signed)
    return None


def propose_again(connection: Connection, operator: int, bond_micro: int) -> list[int]:
    """Send proposals again that the contract refused for want of the operator's bond, once it is there.

    Returns the cycles' numbers; what is refused for another reason stays as it is.
    """
    again = []
    for row in cycle_store.cycles_in(connection, "signed"):
        if row.outbox_id is None or outbox.refusal_of(connection, row.outbox_id) != "bond_missing":
            continue
        if store.balances(connection).get(operator, {}).get("escrow_micro", 0) >= bond_micro:
            sent = outbox.put(connection, outbox.call_of(connection, row.outbox_id))
            cycle_store.set_cycle(connection, row.cycle, outbox_id=sent)
            again.append(row.cycle)
    return again


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
    return proposal_of(row.cycle, row.start_s, row.end_s, cycle_store.totals_of(row))


# -------------------------------------------------------------------------------------------------- applying


def apply_due(connection: Connection, now_s: int) -> list[int]:
    """Put the parts of every cycle whose dispute window is over into the outbox; returns the cycles' numbers."""
    due = [row for row in cycle_store.cycles_in(connection, "proposed") if row.disputable_until_s <= now_s]
    for row in due:
        for index, part in enumerate(cycle_store.parts_from_json(row.parts)):
            outbox.put(connection, acts.apply_part(row.cycle, index, deltas_of(part)))
        cycle_store.set_cycle(connection, row.cycle, state="applying")
    return [row.cycle for row in due]
