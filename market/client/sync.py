"""The same client for programs without asyncio: each method waits for its twin, which runs on a loop in a thread.

One thread serves a ``SyncClient`` and all its streams; any number of threads may use them.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec

from market.client.events import Event
from market.client.member import Client, SecondFactor
from market.client.stream import Stream

P = ParamSpec("P")
T = TypeVar("T")


class _Loop:
    """A loop that runs in a thread of its own until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="jinsha-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it; interrupted, it is cancelled."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _of_client(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[SyncClient, P], T]":
    def wait(self: "SyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.loop.run(method(self.client, *args, **kwargs))

    update_wrapper(wait, method)
    return wait


def _of_stream(
    method: Callable[Concatenate[Stream, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[SyncStream, P], T]":
    def wait(self: "SyncStream", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.loop.run(method(self.stream, *args, **kwargs))

    update_wrapper(wait, method)
    return wait


class SyncClient:
    """``Client``, method for method; to be closed, or used with ``with``."""

    def __init__(
        self,
        server: str,
        member: int | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
        *,
        patience_s: float = 30.0,
        api_key: str | None = None,
        second_factor: SecondFactor | None = None,
    ) -> None:
        self.loop = _Loop()
        self.client = self.loop.run(_new(server, member, key))
        self.client.patience_s, self.client.api_key = patience_s, api_key
        self.client.second_factor = second_factor

    request = _of_client(Client.request)
    ask = _of_client(Client.ask)
    get = _of_client(Client.get)
    post = _of_client(Client.post)
    items = _of_client(Client.items)
    page = _of_client(Client.page)
    events = _of_client(Client.events)
    facts = _of_client(Client.facts)
    register = _of_client(Client.register)
    log_in = _of_client(Client.log_in)
    step_up = _of_client(Client.step_up)
    new_api_key = _of_client(Client.new_api_key)
    change_key = _of_client(Client.change_key)
    challenge = _of_client(Client.challenge)
    prove_cancelled = _of_client(Client.prove_cancelled)
    prove_overlap = _of_client(Client.prove_overlap)
    place = _of_client(Client.place)
    place_batch = _of_client(Client.place_batch)
    reduce = _of_client(Client.reduce)
    cancel = _of_client(Client.cancel)
    cancel_all = _of_client(Client.cancel_all)
    orders = _of_client(Client.orders)

    def stream(self) -> "SyncStream":
        """A stream, to be opened with ``with``."""
        return SyncStream(self.loop, self.client.stream())

    def sign(self, digest: bytes) -> str:
        """This member's signature over a digest, as hex."""
        return self.client.sign(digest)

    def whoami(self) -> int:
        """The member's id."""
        return self.client.whoami()

    def close(self) -> None:
        """Streams have to be closed before."""
        self.loop.run(self.client.http.close())
        self.loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SyncStream:
    """``Stream``, method for method."""

    def __init__(self, loop: _Loop, stream: Stream) -> None:
        self.loop, self.stream = loop, stream

    book = _of_stream(Stream.book)
    leave_book = _of_stream(Stream.leave_book)
    trades = _of_stream(Stream.trades)
    mine = _of_stream(Stream.mine)
    place = _of_stream(Stream.place)
    place_batch = _of_stream(Stream.place_batch)
    reduce = _of_stream(Stream.reduce)
    cancel = _of_stream(Stream.cancel)
    cancel_all = _of_stream(Stream.cancel_all)
    cancel_on_disconnect = _of_stream(Stream.cancel_on_disconnect)
    close = _of_stream(Stream.close)

    def __enter__(self) -> Self:
        self.loop.run(self.stream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            return self.loop.run(self.stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None


async def _new(server: str, member: int | None, key: ec.EllipticCurvePrivateKey | None) -> Client:
    """Its connections belong to the loop that this runs on."""
    return Client(aiohttp.ClientSession(), server, member, key)
