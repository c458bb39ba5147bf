"""What each operation of a stream does: orders go the way of all orders, subscriptions go to the feeds."""

from functools import partial

from market import entry, wire
from market.context import Context
from market.identity import Member
from market.problems import not_found, refuse
from market.scopes import Scope
from market.stream import Answer, Connection
from market.stream_messages import (
    AllMine,
    AllTrades,
    Amend,
    AnyOp,
    Book,
    Cancel,
    CancelAll,
    CancelOnDisconnect,
    LogIn,
    Mine,
    Ping,
    Place,
    PlaceBatch,
    Resync,
    Subscribe,
    Trades,
    Unsubscribe,
)


async def carry_out(context: Context, connection: Connection, op: AnyOp, answer: Answer) -> None:
    """All operations but ``log_in``, which changes the connection itself. Raises ProblemError, and outages."""
    match op:
        case Subscribe(to=to):
            await _subscribe(context, connection, to, answer)
        case Unsubscribe(to=to):
            _unsubscribe(context, connection, to)
            answer({})
        case Resync(to=to):
            await _resync(context, connection, to, answer)
        case CancelOnDisconnect(enabled=enabled):
            _member(connection, "trade")
            connection.cancels_on_disconnect = enabled
            answer({"enabled": enabled})
        case Ping():
            answer({})
        case LogIn():
            raise AssertionError("the connections' keeper logs in")
        case _:
            answer(await _enter(context, _member(connection, "trade"), op))


async def _enter(
    context: Context, member: Member, op: Place | PlaceBatch | Amend | Cancel | CancelAll
) -> dict[str, object]:
    match op:
        case Place(order=order):
            return await entry.place_one(context, member, order)
        case PlaceBatch(batch=batch):
            return await entry.place_many(context, member, batch)
        case Amend(client_order_id=client_order_id, amendment=amendment):
            return await entry.amend_one(context, member, client_order_id, amendment)
        case Cancel(client_order_id=client_order_id):
            return await entry.cancel_one(context, member, client_order_id)
        case CancelAll(slot=slot):
            slot_s = None if slot is None else wire.instant_s(slot, "slot")
            return await entry.cancel_many(context, member, slot_s)


def _member(connection: Connection, scope: Scope) -> Member:
    """Who is logged in, with a token for this. Raises ProblemError."""
    if connection.access is None:
        raise refuse(401, "not_logged_in", "send log_in with a token, or upgrade with Authorization: Bearer <token>")
    return connection.access.allow(scope=scope)


# ------------------------------------------------------------------------------------------------ subscriptions


def _key(context: Context, to: Book) -> tuple[int, str]:
    slot_s = wire.instant_s(to.slot, "to.slot")
    if slot_s % context.timing.slot_s:
        raise not_found("slot")
    return slot_s, to.meter


async def _subscribe(context: Context, connection: Connection, to: Book | Trades | Mine, answer: Answer) -> None:
    feed, most = context.feed, context.config.streams.subscriptions
    match to:
        case Book():
            key = _key(context, to)
            join, leave = partial(feed.books.join, key, connection, answer), partial(feed.books.leave, key, connection)
            await connection.subscribe(key, most, join, leave)
        case Trades(after=after):
            join, leave = partial(feed.trades.join, connection, after, answer), partial(feed.trades.leave, connection)
            await connection.subscribe(AllTrades(), most, join, leave)
        case Mine(run=run, after=after):
            member_id = _member(connection, "read").member_id
            since = None if run is None or after is None else (run, after)
            join = partial(feed.mine.join, member_id, connection, since, answer)
            await connection.subscribe(AllMine(), most, join, partial(feed.mine.leave, member_id, connection))


def _unsubscribe(context: Context, connection: Connection, to: Book | AllTrades | AllMine) -> None:
    connection.unsubscribe(_key(context, to) if isinstance(to, Book) else to)


async def _resync(context: Context, connection: Connection, to: Book | AllMine, answer: Answer) -> None:
    match to:
        case Book():
            key = _key(context, to)
            connection.check_subscribed(key)
            context.feed.books.resync(key, connection, answer)
        case AllMine():
            member_id = _member(connection, "read").member_id
            await connection.renew(to, partial(context.feed.mine.resync, member_id, connection, answer))
