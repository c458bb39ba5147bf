"""Commitments: journal head and trade root go to the chain every minute or ten thousand trades.

Nothing goes when nothing happened. The row that says so and the call that carries it are written in one transaction;
the writer sends the call exactly once.
"""

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from settlement import acts, merkle, outbox, store
from settlement.chain import Call
from settlement.hexjson import Hex
from settlement.intents import Domain
from settlement.officer import Officer
from settlement.rules import SettlementRules
from settlement.trade_leaf import Commitment

GENESIS_COMMITMENT = bytes(32)


class Prepared(NamedTuple):
    """A commitment that is due: its row without the outbox's number, and the call that carries it."""

    row: dict[str, Any]
    call: Call


def commit_due(
    connection: Connection,
    now_s: int,
    *,
    rules: SettlementRules,
    domain: Domain,
    operator: Officer,
    at_once: bool = False,
) -> int | None:
    """Commit what the journal holds beyond the last commitment, when it is time to; its number, or None."""
    prepared = prepare(connection, now_s, rules=rules, domain=domain, operator=operator, at_once=at_once)
    return None if prepared is None else keep(connection, prepared)


def prepare(
    connection: Connection,
    now_s: int,
    *,
    rules: SettlementRules,
    domain: Domain,
    operator: Officer,
    at_once: bool = False,
) -> Prepared | None:
    """The commitment that is due, or None. Only reads: ten thousand leaves take a while, and nobody need wait for it.

    It is time when the oldest uncommitted batch has waited ``rules.commit_interval_s`` or ``rules.commit_trades``
    trades wait; ``at_once`` does not wait. Where more wait, only as many are taken, up to the end of their batch.
    ``domain`` is that of Clearing.
    """
    last = store.last_commitment(connection)
    end = store.journal_after(connection, last.journal_batch if last else 0)
    if end is None:
        return None
    first_trade = (last.last_trade if last else 0) + 1
    last_trade = store.last_trade_upto(connection, end.batch)
    waited = now_s - end.oldest_recorded_s >= rules.commit_interval_s
    if not (at_once or waited or last_trade - first_trade + 1 >= rules.commit_trades):
        return None
    batch, head = end.batch, end.head
    if last_trade - first_trade + 1 > rules.commit_trades:
        batch, head = store.batch_of_trade(connection, first_trade + rules.commit_trades - 1)
        last_trade = store.last_trade_upto(connection, batch)
    leaves = store.leaves_between(connection, first_trade, last_trade)
    commitment = acts.Commitment(
        number=last.commitment + 1 if last else 1,
        previous=of_row(last).rolling_hash() if last else GENESIS_COMMITMENT,
        journal_head=head,
        trade_root=merkle.root(leaves),
        trade_count=len(leaves),
    )
    row = {
        "commitment": commitment.number,
        "previous": commitment.previous,
        "journal_batch": batch,
        "journal_head": commitment.journal_head,
        "first_trade": first_trade,
        "last_trade": last_trade,
        "trade_root": commitment.trade_root,
    }
    return Prepared(row, acts.commit(commitment, [operator.approve(acts.commit_digest(domain, commitment))]))


def keep(connection: Connection, prepared: Prepared) -> int:
    """Write a prepared commitment and put its call into the outbox; its number. One at a time may be under way."""
    outbox_id = outbox.put(connection, prepared.call)
    store.add_commitment(connection, prepared.row | {"outbox_id": outbox_id})
    number: int = prepared.row["commitment"]
    return number


def of_row(row: Row[Any]) -> acts.Commitment:
    """A row of ``commitments`` as the contract took it."""
    count = row.last_trade - row.first_trade + 1
    return acts.Commitment(row.commitment, row.previous, row.journal_head, row.trade_root, count)


def for_proof(commitment: acts.Commitment) -> Commitment:
    """A commitment as a proof shows it."""
    previous, journal_head, trade_root = (Hex(root) for root in commitment[1:4])
    return Commitment(commitment.number, previous, journal_head, trade_root, commitment.trade_count)
