"""The queries about auctions and their bids.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, exists, func, insert, or_, select, update

from data.tables import auction_bids, auctions, outbox
from finance.auction import Auction, AuctionState, Bid, Bond
from finance.listing import Viewer
from settlement.sale_acts import REVEAL_S

_SAID = tuple(column.name for column in auctions.c if not column.name.startswith("act_"))
"""What the chain says of an auction; the rest is what the market has on its way."""


# ---------------------------------------------------------------------------------------- as the chain says it


def auction_of(connection: Connection, number: int) -> Auction | None:
    """An auction with its bids, those on their way left out."""
    row = connection.execute(select(auctions).where(auctions.c.auction == number)).first()
    return None if row is None else _auction(row, bids_of(connection, number))


def _auction(row: Row[Any], bids: Iterable[Row[Any]]) -> Auction:
    columns = {name: getattr(row, name) for name in _SAID}
    placed = tuple(
        Bid(each.bank, each.bid, each.place, each.proceeds_fen, each.bond) for each in bids if each.place is not None
    )
    return Auction(**columns, bids=placed)


def all_auctions(connection: Connection) -> dict[int, Auction]:
    """Every auction, by number."""
    bids: dict[int, list[Row[Any]]] = {}
    for row in connection.execute(select(auction_bids).order_by(auction_bids.c.auction, auction_bids.c.place)):
        bids.setdefault(row.auction, []).append(row)
    rows = connection.execute(select(auctions).order_by(auctions.c.auction)).all()
    return {row.auction: _auction(row, bids.get(row.auction, [])) for row in rows}


def keep(connection: Connection, auction: Auction) -> None:
    """Make the rows of an auction what the chain says; what was on its way for it has arrived."""
    columns = asdict(auction)
    columns.pop("bids")
    is_known = connection.scalar(select(exists().where(auctions.c.auction == auction.auction)))
    if is_known:
        arrived = {"act_outbox": None, "act_s": None}
        mine = auctions.c.auction == auction.auction
        connection.execute(update(auctions).where(mine).values(**columns, **arrived))
    else:
        connection.execute(insert(auctions), columns)
    for bid in auction.bids:
        _keep_bid(connection, auction.auction, bid)


def _keep_bid(connection: Connection, number: int, bid: Bid) -> None:
    mine = _bid_is(number, bid.bank)
    kept = connection.execute(select(auction_bids).where(mine)).first()
    if kept is None:
        connection.execute(insert(auction_bids), {"auction": number, "act_outbox": None, **asdict(bid)})
    elif (kept.bid, kept.place, kept.proceeds_fen, kept.bond) != (bid.bid, bid.place, bid.proceeds_fen, bid.bond):
        connection.execute(update(auction_bids).where(mine).values(**asdict(bid), act_outbox=None))


def forget(connection: Connection, number: int) -> None:
    """The chain has given up the block in which an auction was opened."""
    connection.execute(delete(auction_bids).where(auction_bids.c.auction == number))
    connection.execute(delete(auctions).where(auctions.c.auction == number))


def forget_bids(connection: Connection, number: int) -> None:
    """Forget the bids of an auction, before those that the chain still knows are kept again."""
    connection.execute(delete(auction_bids).where(auction_bids.c.auction == number))


# ----------------------------------------------------------------------------------------------- on their way


def note_act(connection: Connection, number: int, outbox_id: int, now_s: int) -> None:
    """An act on an auction is on its way to the chain."""
    mine = auctions.c.auction == number
    connection.execute(update(auctions).where(mine).values(act_outbox=outbox_id, act_s=now_s))


def put_bid(connection: Connection, number: int, bank: int, bid: bytes, outbox_id: int) -> None:
    """A commitment is on its way; one that the contract refused makes room for it."""
    connection.execute(delete(auction_bids).where(_bid_is(number, bank)))
    row = {"auction": number, "bank": bank, "bid": bid, "bond": Bond.SENT, "act_outbox": outbox_id}
    connection.execute(insert(auction_bids), row)


def note_reveal(connection: Connection, number: int, bank: int, outbox_id: int) -> None:
    """A reveal is on its way."""
    connection.execute(update(auction_bids).where(_bid_is(number, bank)).values(act_outbox=outbox_id))


def due(connection: Connection, now_s: int, again_after_s: int) -> Sequence[Row[Any]]:
    """The auctions whose time has come and for which nothing is on its way; what failed is due again after a while."""
    can_be_awarded = (auctions.c.state == AuctionState.OPEN) & (auctions.c.closes_s + REVEAL_S <= now_s)
    can_lapse = (auctions.c.state == AuctionState.AWARDED) & (auctions.c.pay_by_s < now_s)
    is_refused = (outbox.c.state == "reverted") & (auctions.c.act_s + again_after_s <= now_s)
    is_free = or_(auctions.c.act_outbox.is_(None), is_refused)
    query = _with_act().where(or_(can_be_awarded, can_lapse), is_free)
    return connection.execute(query.order_by(auctions.c.auction)).all()


# ---------------------------------------------------------------------------------------------------- reading


def auction_row(connection: Connection, number: int) -> Row[Any] | None:
    """One auction with state and refusal of its last act, and how many bids it has."""
    return connection.execute(_with_act().where(auctions.c.auction == number)).first()


def auction_on(connection: Connection, receivable_id: bytes) -> Row[Any] | None:
    """The auction that runs on a receivable."""
    runs = auctions.c.state.in_((AuctionState.OPEN, AuctionState.AWARDED))
    return connection.execute(_with_act().where(auctions.c.receivable_id == receivable_id, runs)).first()


def _with_act() -> Select[Any]:
    act = (outbox.c.state.label("act_state"), outbox.c.refusal.label("act_refusal"), outbox.c.call.label("act_call"))
    placed = and_(auction_bids.c.auction == auctions.c.auction, auction_bids.c.place.is_not(None))
    count = select(func.count()).where(placed).scalar_subquery().label("bids")
    return select(auctions, *act, count).outerjoin(outbox, outbox.c.outbox_id == auctions.c.act_outbox)


def bids_of(connection: Connection, number: int) -> Sequence[Row[Any]]:
    """The bids of an auction in the order of the chain, those on their way last; with what became of their last act."""
    query = _bids().where(auction_bids.c.auction == number)
    order = (auction_bids.c.place.is_(None), auction_bids.c.place, auction_bids.c.bank)
    return connection.execute(query.order_by(*order)).all()


def bid_of(connection: Connection, number: int, bank: int) -> Row[Any] | None:
    """A bank's bid."""
    return connection.execute(_bids().where(_bid_is(number, bank))).first()


def own_bids(connection: Connection, bank: int, numbers: Sequence[int]) -> dict[int, Row[Any]]:
    """A bank's own bids in some auctions, by auction."""
    query = _bids().where(auction_bids.c.bank == bank, auction_bids.c.auction.in_(numbers))
    return {row.auction: row for row in connection.execute(query)}


def _bids() -> Select[Any]:
    act = (outbox.c.state.label("act_state"), outbox.c.refusal.label("act_refusal"), outbox.c.call.label("act_call"))
    return select(auction_bids, *act).outerjoin(outbox, outbox.c.outbox_id == auction_bids.c.act_outbox)


def _bid_is(number: int, bank: int) -> ColumnElement[bool]:
    return (auction_bids.c.auction == number) & (auction_bids.c.bank == bank)


def is_seen(viewer: Viewer) -> ColumnElement[bool]:
    """Which are shown: a seller's own, to banks those that run and those that they bid in, to overseers all."""
    own = auctions.c.seller == viewer.member
    if viewer.is_overseer:
        return auctions.c.auction.is_not(None)
    if not viewer.is_bank:
        return own
    runs = auctions.c.state.in_((AuctionState.OPEN, AuctionState.AWARDED))
    took_part = exists().where(auction_bids.c.auction == auctions.c.auction, auction_bids.c.bank == viewer.member)
    return own | runs | took_part


def list_auctions(
    connection: Connection,
    viewer: Viewer,
    *,
    receivable_id: bytes | None,
    state: str | None,
    after: int,
    limit: int,
) -> Sequence[Row[Any]]:
    """The auctions that a viewer may see, by number."""
    query = _with_act().where(is_seen(viewer), auctions.c.auction > after)
    if receivable_id is not None:
        query = query.where(auctions.c.receivable_id == receivable_id)
    if state is not None:
        query = query.where(auctions.c.state == state)
    return connection.execute(query.order_by(auctions.c.auction).limit(limit)).all()


def seen(connection: Connection, viewer: Viewer, number: int) -> Row[Any] | None:
    """One auction, if the viewer may see it."""
    return connection.execute(_with_act().where(auctions.c.auction == number, is_seen(viewer))).first()


def acts(connection: Connection) -> Sequence[Row[Any]]:
    """Every auction with kind and data of the call that is on its way for it, by number."""
    call = (outbox.c.kind.label("act_kind"), outbox.c.call.label("act_call"), outbox.c.state.label("act_state"))
    query = select(auctions, *call).outerjoin(outbox, outbox.c.outbox_id == auctions.c.act_outbox)
    return connection.execute(query.order_by(auctions.c.auction)).all()


def bid_acts(connection: Connection) -> Sequence[Row[Any]]:
    """Every bid with kind and data of the call that is on its way for it."""
    call = (outbox.c.kind.label("act_kind"), outbox.c.call.label("act_call"), outbox.c.state.label("act_state"))
    query = select(auction_bids, *call).outerjoin(outbox, outbox.c.outbox_id == auction_bids.c.act_outbox)
    return connection.execute(query.order_by(auction_bids.c.auction, auction_bids.c.bank)).all()
