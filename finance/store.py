"""The queries of finance about receivables and the offers on them.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
Queries about billing periods are in ``period_store.py``. Receivables of a period that is not issued yet are in state
``drafted``: nobody is shown them.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from data.tables import (
    cash,
    chain_events,
    fapiao,
    offers,
    outbox,
    receivable_history,
    receivable_parts,
    receivable_trades,
    receivables,
    trades,
)
from finance.listing import DRAFTED, Viewer
from finance.receivable import FALLS_DUE, FALLS_OVERDUE, GRACE_DAYS, State
from settlement.store import chunks

# ------------------------------------------------------------------------------------------- one receivable


def receivable(connection: Connection, receivable_id: bytes) -> Row[Any] | None:
    """One issued receivable, with the state and refusal of its last act in the outbox."""
    query = with_act().where(receivables.c.receivable_id == receivable_id, receivables.c.state != DRAFTED)
    return connection.execute(query).first()


def receivables_by_id(connection: Connection, receivable_ids: Sequence[bytes]) -> dict[bytes, Row[Any]]:
    """Those of some receivables that are issued, by id."""
    found = {}
    for chunk in chunks(receivable_ids):
        query = with_act().where(receivables.c.receivable_id.in_(chunk), receivables.c.state != DRAFTED)
        found.update({row.receivable_id: row for row in connection.execute(query)})
    return found


def with_act() -> Select[Any]:
    """Receivables, each with kind, state and refusal of its last act in the outbox, and with its tax invoice."""
    act = (outbox.c.state.label("act_state"), outbox.c.refusal.label("act_refusal"), outbox.c.call.label("act_call"))
    invoice = (fapiao.c.number.label("fapiao_number"), fapiao.c.state.label("fapiao_state"))
    is_its = and_(fapiao.c.receivable_id == receivables.c.receivable_id, fapiao.c.state != "replaced")
    both = receivables.outerjoin(outbox, outbox.c.outbox_id == receivables.c.act_outbox).outerjoin(fapiao, is_its)
    return select(receivables, *act, *invoice).select_from(both)


def set_receivable(connection: Connection, receivable_id: bytes, **values: Any) -> None:
    """Change columns of a receivable."""
    connection.execute(update(receivables).where(receivables.c.receivable_id == receivable_id).values(**values))


def add_change(connection: Connection, row: dict[str, Any], now_s: int) -> None:
    """Append to a receivable's history, and move it to the end of the lists that are read by latest change."""
    change = last_change(connection) + 1
    empty = {"part": None, "block": None, "log_index": None}
    connection.execute(insert(receivable_history), {"change": change, **empty, **row})
    set_receivable(connection, row["receivable_id"], change=change, changed_s=now_s)
    own = receivable_parts.c.receivable_id == row["receivable_id"]
    connection.execute(update(receivable_parts).where(own).values(change=change))


def change_of(connection: Connection, receivable_id: bytes) -> int:
    """The number of a receivable's latest change."""
    return connection.scalar(select(receivables.c.change).where(receivables.c.receivable_id == receivable_id)) or 0


def last_change(connection: Connection) -> int:
    """The number of the latest change, also when the chain gave it up since: no number is ever given twice."""
    numbers = (receivable_history.c.change, receivables.c.change)
    return max(connection.scalar(select(func.max(number))) or 0 for number in numbers)


def is_mirrored(connection: Connection, receivable_id: bytes, block: int, log_index: int) -> bool:
    """Whether a chain event on a receivable was carried out: a change of its place or a later one is recorded."""
    own = receivable_history.c.receivable_id == receivable_id
    later = receivable_history.c.block > block
    same = (receivable_history.c.block == block) & (receivable_history.c.log_index >= log_index)
    return connection.scalar(select(exists().where(own, later | same))) or False


def drop_changes(connection: Connection, from_block: int) -> dict[bytes, str]:
    """Forget the changes that the chain made from a block on; the state of each receivable before its first.

    What only parts of it lost is set back to the state that it has.
    """
    lost = receivable_history.c.block >= from_block
    query = select(receivable_history.c.receivable_id, receivable_history.c.before, receivable_history.c.part)
    rows = connection.execute(query.where(lost).order_by(receivable_history.c.change.desc())).all()
    found = {row.receivable_id: "" for row in rows} | {
        row.receivable_id: row.before for row in rows if row.part is None
    }
    connection.execute(delete(receivable_history).where(lost))
    for receivable_id, state in found.items():
        if not state:
            is_it = receivables.c.receivable_id == receivable_id
            found[receivable_id] = connection.scalar(select(receivables.c.state).where(is_it)) or ""
    return found


def history(connection: Connection, receivable_id: bytes) -> Sequence[Row[Any]]:
    """Every change of a receivable in order, each with the transaction that made it (null: the calendar)."""
    same_event = and_(
        chain_events.c.block == receivable_history.c.block, chain_events.c.log_index == receivable_history.c.log_index
    )
    query = (
        select(receivable_history, chain_events.c.transaction_hash)
        .outerjoin(chain_events, same_event)
        .where(receivable_history.c.receivable_id == receivable_id)
        .order_by(receivable_history.c.change)
    )
    return connection.execute(query).all()


def next_ruling(connection: Connection) -> int:
    """The number that the regulator's next ruling carries, by what is mirrored: freezes, and disputes it ended."""
    rulings = chain_events.c.event == "FrozenChanged"
    frozen = connection.scalar(select(func.count()).where(chain_events.c.contract == "Receivables", rulings)) or 0
    ended = (receivable_history.c.before == State.DISPUTED) & (receivable_history.c.after != State.DISPUTED)
    theirs = receivable_history.c.actor.not_in((receivables.c.creditor, receivables.c.debtor))
    query = select(func.count()).select_from(receivable_history.join(receivables)).where(ended, theirs)
    by_chain = receivable_history.c.block.is_not(None)
    return frozen + (connection.scalar(query.where(by_chain)) or 0)


def receivable_of_trade(connection: Connection, trade_id: int) -> Row[Any] | None:
    """The receivable that claims a trade."""
    claiming = select(receivable_trades.c.receivable_id).where(receivable_trades.c.trade_id == trade_id)
    found = connection.scalar(claiming.limit(1))
    return None if found is None else receivable(connection, found)


def claimed_trades(connection: Connection, receivable_id: bytes) -> Sequence[Row[Any]]:
    """The trades that a receivable claims, with slot and price, by trade id."""
    query: Select[Any] = (
        select(
            receivable_trades.c.trade_id,
            receivable_trades.c.delivered_lots,
            receivable_trades.c.amount_micro,
            trades.c.slot_s,
            trades.c.seller_price_ticks,
        )
        .join(trades, trades.c.trade_id == receivable_trades.c.trade_id)
        .where(receivable_trades.c.receivable_id == receivable_id)
        .order_by(receivable_trades.c.trade_id)
    )
    return connection.execute(query).all()


def free_cash_micro(connection: Connection, member: int) -> int:
    """What a member holds in Cash outside its escrow, as last mirrored."""
    return connection.scalar(select(cash.c.free_micro).where(cash.c.member_id == member)) or 0


# ------------------------------------------------------------------------------------------ many receivables


def to_be_marked(connection: Connection, today: date, *, asked_before_s: int) -> list[bytes]:
    """The receivables on the chain whose state does not show what day it is, and that it was not asked for lately."""
    grace_over = (today - timedelta(days=GRACE_DAYS)).isoformat()
    is_due = receivables.c.state.in_(FALLS_DUE) & (receivables.c.due_day <= today.isoformat())
    is_overdue = receivables.c.state.in_(FALLS_OVERDUE) & (receivables.c.due_day < grace_over)
    asked = receivables.c.marked_s <= asked_before_s
    query = select(receivables.c.receivable_id).where(receivables.c.on_chain, asked, is_due | is_overdue)
    return list(connection.scalars(query.order_by(receivables.c.number)))


def set_marked(connection: Connection, receivable_ids: Sequence[bytes], now_s: int) -> None:
    """The chain was asked for them now."""
    for chunk in chunks(receivable_ids):
        own = receivables.c.receivable_id.in_(chunk)
        connection.execute(update(receivables).where(own).values(marked_s=now_s))


# ------------------------------------------------------------------------------------------- all there is


def all_receivables(connection: Connection) -> Sequence[Row[Any]]:
    """Every receivable, drafted ones too, by number."""
    return connection.execute(select(receivables).order_by(receivables.c.number)).all()


def all_changes(connection: Connection) -> Sequence[Row[Any]]:
    """Every change that the chain made, in order."""
    query = select(receivable_history).where(receivable_history.c.block.is_not(None))
    return connection.execute(query.order_by(receivable_history.c.change)).all()


def history_rows(connection: Connection) -> Sequence[Row[Any]]:
    """The whole history in order, the calendar's changes too."""
    return connection.execute(select(receivable_history).order_by(receivable_history.c.change)).all()


def all_acts(connection: Connection) -> Sequence[Row[Any]]:
    """Every receivable with kind and data of the call that it waits for, by number."""
    call = (outbox.c.kind.label("act_kind"), outbox.c.call.label("act_call"))
    query = select(receivables, *call).outerjoin(outbox, outbox.c.outbox_id == receivables.c.act_outbox)
    return connection.execute(query.order_by(receivables.c.number)).all()


def all_offers(connection: Connection) -> Sequence[Row[Any]]:
    """Every offer, by id."""
    return connection.execute(select(offers).order_by(offers.c.offer_id)).all()


# -------------------------------------------------------------------------------------------------- offers


def add_offer(connection: Connection, row: dict[str, Any]) -> int:
    """Insert an offer; returns its id."""
    offer_id = (connection.scalar(select(func.max(offers.c.offer_id))) or 0) + 1
    connection.execute(insert(offers), {"offer_id": offer_id, **row})
    return offer_id


def offer(connection: Connection, offer_id: int) -> Row[Any] | None:
    """One offer."""
    return connection.execute(select(offers).where(offers.c.offer_id == offer_id)).first()


def offer_by_nonce(connection: Connection, bank: int, nonce: int) -> Row[Any] | None:
    """The offer that a bank signed with a nonce."""
    return connection.execute(select(offers).where(offers.c.bank == bank, offers.c.nonce == nonce)).first()


def open_offers_of(connection: Connection, bank: int, receivable_id: bytes, now_s: int) -> int:
    """How many offers of a bank on a receivable could still be accepted."""
    alive = (offers.c.state == "open") & (offers.c.expires_s >= now_s)
    query = select(func.count()).where(offers.c.bank == bank, offers.c.receivable_id == receivable_id, alive)
    return connection.scalar(query) or 0


def list_offers(
    connection: Connection,
    viewer: Viewer,
    *,
    receivable_id: bytes | None,
    state: str | None,
    now_s: int,
    after: int,
    limit: int,
) -> Sequence[Row[Any]]:
    """The offers that a bank made, or that a creditor got; an overseer's are all. By offer id."""
    query = select(offers).join(receivables, receivables.c.receivable_id == offers.c.receivable_id)
    query = query.where(offers.c.offer_id > after)
    if not viewer.is_overseer:
        query = query.where((offers.c.bank == viewer.member) | (receivables.c.creditor == viewer.member))
    if receivable_id is not None:
        query = query.where(offers.c.receivable_id == receivable_id)
    if state is not None:
        query = query.where(_offer_is(state, now_s))
    return connection.execute(query.order_by(offers.c.offer_id).limit(limit)).all()


def _offer_is(state: str, now_s: int) -> ColumnElement[bool]:
    expired = offers.c.expires_s < now_s
    return {
        "open": (offers.c.state == "open") & ~expired,
        "accepted": offers.c.state == "accepted",
        "lapsed": (offers.c.state == "lapsed") | ((offers.c.state == "open") & expired),
    }[state]


def accept_offer(connection: Connection, receivable_id: bytes, bank: int, advance_fen: int, proceeds_fen: int) -> None:
    """Mark the oldest open offer with these figures as accepted."""
    same = and_(
        offers.c.receivable_id == receivable_id,
        offers.c.bank == bank,
        offers.c.advance_fen == advance_fen,
        offers.c.proceeds_fen == proceeds_fen,
        offers.c.state == "open",
    )
    oldest = select(func.min(offers.c.offer_id)).where(same).scalar_subquery()
    connection.execute(update(offers).where(offers.c.offer_id == oldest).values(state="accepted"))


def lapse_offers(connection: Connection, receivable_id: bytes) -> None:
    """No open offer on a receivable can be accepted any more."""
    still_open = (offers.c.receivable_id == receivable_id) & (offers.c.state == "open")
    connection.execute(update(offers).where(still_open).values(state="lapsed"))


def open_offers_again(connection: Connection, receivable_id: bytes) -> None:
    """The offers on a receivable that is for sale again: what ended them has not happened."""
    ended = (offers.c.receivable_id == receivable_id) & offers.c.state.in_(("accepted", "lapsed"))
    connection.execute(update(offers).where(ended).values(state="open"))
