"""A receiver of webhooks in this process, and a process that delivers to it and can be killed.

python -m tests.market.receiving DATABASE_URL
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from data.database import open_database
from market.vault import Vault
from market.webhooks import Deliveries, Terms
from tests.market.world import SECRET

VAULT = Vault(SECRET)


@dataclass
class Receiver:
    """``answers`` are the statuses to give next, 200 when there are none; ``heard`` what came, in order."""

    url: str = ""
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    on_event: Callable[[int], Awaitable[None]] | None = None

    @property
    def numbers(self) -> list[int]:
        return [int(headers["Jinsha-Event"]) for headers, _ in self.heard]

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.heard.append((dict(request.headers), body))
        if self.on_event is not None:
            await self.on_event(self.numbers[-1])
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": self.url} if status == 302 else None)

    async def has_heard(self, count: int) -> None:
        """Until so many deliveries have come; fails after a minute."""
        async with asyncio.timeout(60):
            while len(self.heard) < count:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """One that listens on this machine."""
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.handle)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/hook"))
        yield made


@asynccontextmanager
async def running(deliveries: Deliveries) -> AsyncIterator[None]:
    """Deliveries at work."""
    task = asyncio.get_running_loop().create_task(deliveries.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def deliveries_on(database: Any, **more: Any) -> Deliveries:
    """For members that hear in their own name alone."""
    return Deliveries(database, VAULT, lambda member: [member], Terms(inside=True, timeout_s=30.0), **more)


async def _deliver(url: str) -> None:
    async with running(deliveries_on(open_database(url))):
        await asyncio.Event().wait()


@asynccontextmanager
async def child(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that delivers."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.market.receiving", url)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(_deliver(sys.argv[1]))
