"""The gateways of a market, as its server keeps them: started on one port, started again when one ends, stopped."""

import asyncio
import logging
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec
from aiohttp import web
from msgspec.structs import replace

from market import desk
from market.connections import Runner
from market.context import Context
from market.gateway import Orders, shared_socket
from market.logs import log

INSIDE = ""
"""The address that requests on a Unix socket come from."""

START_S = 60
AGAIN_S = 1.0


class GatewayError(Exception):
    """A gateway does not come up."""


class Gateways:
    """``address`` is where all of them listen."""

    def __init__(self, orders: Orders, count: int) -> None:
        self._told = msgspec.json.encode(orders) + b"\n"
        self.address = (orders.host, orders.port)
        self._count = count
        self._running: list[asyncio.subprocess.Process] = []
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start them all. Raises GatewayError when one does not come up."""
        self._running = list(await asyncio.gather(*[self._one() for _ in range(self._count)]))
        self._keepers = [asyncio.get_running_loop().create_task(self._keep(place)) for place in range(self._count)]

    async def _one(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "market.gateway"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the server; it stops them
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(self._told)
        line = b""
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_S)
        finally:
            if not line:  # nobody would know of it any more
                with suppress(ProcessLookupError):
                    process.kill()
        if not line:
            raise GatewayError(f"a gateway did not start on {self.address[0]}:{self.address[1]}; its log says why")
        return process

    async def _keep(self, place: int) -> None:
        """Start one again whenever it has ended by itself."""
        while True:
            code = await self._running[place].wait()
            log(logging.ERROR, "gateway_ended", code=code)
            try:
                self._running[place] = await self._one()
            except (GatewayError, OSError, TimeoutError):
                await asyncio.sleep(AGAIN_S)

    async def stop(self) -> None:
        """No new connections; what has begun is answered."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for process in self._running:
            if process.returncode is None:
                process.terminate()
        await asyncio.gather(*[process.wait() for process in self._running])


@asynccontextmanager
async def before(context: Context, count: int) -> AsyncIterator[tuple[str, int]]:
    """Serve this context behind so many gateways while inside; the value is where they listen."""
    settings = context.config.server
    inner = replace(settings, trusted_proxies=(*settings.trusted_proxies, INSIDE))
    context.config = replace(context.config, server=inner)
    async with AsyncExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="jinsha-")))
        reserved = held.enter_context(shared_socket(settings.host, settings.port))
        runner = Runner(context, shutdown_timeout=settings.stop_s / 3)
        await runner.setup()
        held.push_async_callback(runner.cleanup)
        await web.UnixSite(runner, folder / "market.sock").start()
        await held.enter_async_context(desk.opened(context, folder / "desk.sock"))
        domain = context.chain.domain("Clearing")
        orders = Orders(
            settings.host,
            reserved.getsockname()[1],
            str(folder / "desk.sock"),
            str(folder / "market.sock"),
            settings,
            domain.chain_id,
            domain.contract.hex(),
            domain.salt.hex(),
        )
        gateways = Gateways(orders, count)
        held.push_async_callback(gateways.stop)
        await gateways.start()
        log(logging.INFO, "gateways_started", count=count)
        yield gateways.address
