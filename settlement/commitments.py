"""Commitments: journal head and trade root go to the chain every minute or ten thousand trades.

Nothing goes when nothing happened. The row that says so and the call that carries it are written in one transaction;
the writer sends the call exactly once.
"""

from typing import Any

from sqlalchemy import Connection, Row

from settlement import acts, merkle, outbox, store
from settlement.hexjson import Hex
from settlement.intents import Domain
from settlement.officer import Officer
from settlement.rules import SettlementRules
from settlement.trade_leaf import Commitment

GENESIS_COMMITMENT = bytes(32)


def commit_due(
    connection: Connection,
    now_s: int,
    *,
    rules: SettlementRules,
    domain: Domain,
    operator: Officer,
    at_once: bool = False,
) -> int | None:
    """Commit what the journal holds beyond the last commitment, when it is time to.

    It is time when the oldest uncommitted batch has waited ``rules.commit_interval_s`` or ``rules.commit_trades``
    trades wait; ``at_once`` does not wait. ``domain`` is that of Clearing. Returns the new commitment's index, or None.
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
    leaves = [trade.leaf for trade in store.trades_between(connection, first_trade, last_trade)]
    commitment = acts.Commitment(
        number=last.commitment + 1 if last else 1,
        previous=of_row(last).rolling_hash() if last else GENESIS_COMMITMENT,
        journal_head=end.head,
        trade_root=merkle.root(leaves),
        trade_count=len(leaves),
    )
    call = acts.commit(commitment, [operator.approve(acts.commit_digest(domain, commitment))])
    row = {
        "commitment": commitment.number,
        "previous": commitment.previous,
        "journal_batch": end.batch,
        "journal_head": commitment.journal_head,
        "first_trade": first_trade,
        "last_trade": last_trade,
        "trade_root": commitment.trade_root,
        "outbox_id": outbox.put(connection, call),
    }
    store.add_commitment(connection, row)
    return commitment.number


def of_row(row: Row[Any]) -> acts.Commitment:
    """A row of ``commitments`` as the contract took it."""
    count = row.last_trade - row.first_trade + 1
    return acts.Commitment(row.commitment, row.previous, row.journal_head, row.trade_root, count)


def for_proof(commitment: acts.Commitment) -> Commitment:
    """A commitment as a proof shows it."""
    previous, journal_head, trade_root = (Hex(root) for root in commitment[1:4])
    return Commitment(commitment.number, previous, journal_head, trade_root, commitment.trade_count)
