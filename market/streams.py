"""All WebSocket connections of a server: who may have one, until when, and what happens to orders when one is lost."""

import asyncio
import logging
from collections import Counter

import msgspec
from aiohttp import web

from market import entry
from market.context import Context
from market.feed_reader import RUN, message
from market.identity import Access, token_of
from market.logs import log
from market.problems import NotRecordedError, Problem, ProblemError, StoppedError, refuse
from market.stream import Answer, Connection, Ending
from market.stream_messages import AnyOp, LogIn
from market.stream_ops import carry_out

PUBLIC = 0
"""Who has not logged in counts as one, who may have up to half of all connections."""

EXPIRY_CHECK_S = 1.0
CANCEL_TRIES = 100
CANCEL_PAUSE_S = 0.1


class StreamKeeper:
    """See the module. Belongs to the loop."""

    def __init__(self, context: Context) -> None:
        self._context, self._limits = context, context.config.streams
        self._connections: set[Connection] = set()
        self._of_member: Counter[int] = Counter()
        self._checking: asyncio.TimerHandle | None = None
        self._is_stopping = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        context.directory.on_change.append(self._changed)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """A connection from its upgrade to its end. Raises ProblemError when there is none to be had."""
        token = token_of(request)
        access = self._access(token, request.remote) if token is not None else None
        self._check_room(access)
        connection = Connection(self._limits, self._context.metrics, self._admit, self._carry_out)
        connection.token, connection.address, connection.access = token or "", request.remote, access
        self._add(connection)
        limits = msgspec.structs.asdict(self._limits)
        connection.send(message("welcome", run=RUN, member=_id_of(access) or None, limits=limits))
        try:
            return await connection.run(request)
        finally:
            if connection.cancels_on_disconnect and connection.access is not None:
                await self._cancel_orders(connection.access)
            self._remove(connection)

    async def stop(self) -> None:
        """Close all of them, once what is under way is answered."""
        self._is_stopping = True
        for connection in self._connections:
            connection.end(Ending.SERVER_STOPPING)
        await self._is_empty.wait()

    # --------------------------------------------------------------------------------------------- who and how many

    def _access(self, token: str, address: str | None) -> Access:
        access = self._context.directory.find(token, address)
        if access is None:
            raise refuse(401, "not_logged_in", "the token is not in force; POST /v1/sessions gives one")
        return access

    def _check_room(self, access: Access | None) -> None:
        limits, member_id = self._limits, _id_of(access)
        if self._is_stopping:
            raise ProblemError(Problem(503, "stopping", "the server is stopping", retry_after_s=1))
        most = limits.connections_per_member if member_id != PUBLIC else limits.connections // 2
        if self._of_member[member_id] >= most:
            raise ProblemError(Problem(429, "too_many_streams", f"up to {most} at once", retry_after_s=5))
        if len(self._connections) >= limits.connections:
            raise ProblemError(Problem(503, "too_many_streams", "no more streams are served now", retry_after_s=5))

    def _add(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._is_empty.clear()
        self._of_member[_id_of(connection.access)] += 1
        self._context.metrics.streams.inc()
        self._check_later()

    def _remove(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._is_empty.set()
        self._count_off(connection)
        self._context.metrics.streams.dec()

    def _count_off(self, connection: Connection) -> None:
        member_id = _id_of(connection.access)
        self._of_member[member_id] -= 1
        if not self._of_member[member_id]:
            del self._of_member[member_id]

    def _admit(self, connection: Connection) -> None:
        """Members are held back where their orders are. Raises ProblemError ``too_many_messages``."""
        if connection.access is None:
            self._context.rates.stranger(connection.address or "")

    async def _carry_out(self, connection: Connection, op: AnyOp, answer: Answer) -> None:
        if isinstance(op, LogIn):
            self._log_in(connection, op.token)
            answer({"member": _id_of(connection.access)})
        else:
            await carry_out(self._context, connection, op, answer)

    def _log_in(self, connection: Connection, token: str) -> None:
        """Become a member, or go on as the same with a new token. Raises ProblemError."""
        access = self._access(token, connection.address)
        if connection.access is None:
            if self._of_member[access.member.member_id] >= self._limits.connections_per_member:
                raise refuse(429, "too_many_streams", f"up to {self._limits.connections_per_member} at once")
            self._count_off(connection)
            self._of_member[access.member.member_id] += 1
        elif connection.access.member.member_id != access.member.member_id:
            raise refuse(409, "already_logged_in", "this stream is another member's; open one more")
        connection.token, connection.access = token, access

    # ---------------------------------------------------------------------------------------------- until when

    def _changed(self, member_id: int) -> None:
        """Tokens, key, roles or status of a member are not what they were."""
        for connection in self._connections:
            if _id_of(connection.access) == member_id:
                self._renew(connection)

    def _renew(self, connection: Connection) -> None:
        if connection.access is None:
            return
        access = self._context.directory.find(connection.token, connection.address)
        if access is None:
            connection.end(Ending.SESSION_ENDED)
        else:
            connection.access = access

    def _check_later(self) -> None:
        if self._checking is None:
            self._checking = asyncio.get_running_loop().call_later(EXPIRY_CHECK_S, self._check_all)

    def _check_all(self) -> None:
        """Of sessions that run out nobody is told."""
        self._checking = None
        for connection in list(self._connections):
            self._renew(connection)
        if self._connections:
            self._check_later()

    async def _cancel_orders(self, access: Access) -> None:
        """Its member wants no order to stand unwatched: tried until it is done, or there is no market."""
        for _ in range(CANCEL_TRIES):
            try:
                cancelled = await entry.cancel_many(self._context, access.member, None)
            except StoppedError:
                break
            except (ProblemError, NotRecordedError):
                await asyncio.sleep(CANCEL_PAUSE_S)
            else:
                log(logging.INFO, "cancelled_on_disconnect", orders=len(cancelled["orders"]))
                return
        log(logging.ERROR, "not_cancelled_on_disconnect", member=access.member.member_id)


def _id_of(access: Access | None) -> int:
    return PUBLIC if access is None else access.member.member_id


KEEPER = web.AppKey("stream_keeper", StreamKeeper)


def install(app: web.Application, context: Context) -> None:
    """Streams end before the sequencer does."""
    app[KEEPER] = StreamKeeper(context)

    async def stop(_: web.Application) -> None:
        await app[KEEPER].stop()

    app.on_shutdown.append(stop)
