"""The process of the embedded chain: ``python -m settlement.embedded_node --file chain.db``.

It serves JSON-RPC on 127.0.0.1 and says where in its first line on standard output: ``{"port": 41234}``, or
``{"refused": "why"}``. It stops on SIGTERM and, when it was started by ``start_embedded`` (``settlement/embedded.py``),
as soon as the one who started it is gone. Ctrl-C in a terminal is for the server, not for it.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web

from settlement.chain_store import ChainFileError, ChainStore
from settlement.embedded import CHAIN_ID
from settlement.evm import collect_garbage_rarely
from settlement.node import Node
from settlement.node_methods import answer

_LARGEST_BODY = 64 * 1024 * 1024


def application(node: Node, on_bug: Callable[[], None]) -> web.Application:
    """The HTTP side of a node: one address that takes JSON-RPC.

    ``on_bug`` is called when a request could not be answered at all: memory and file may then disagree.
    """

    async def handle(request: web.Request) -> web.Response:
        # a page in a browser can send us neither this content type nor this host name without asking first
        if request.content_type != "application/json" or request.url.host not in ("127.0.0.1", "localhost"):
            return web.Response(status=415, text="JSON-RPC as application/json, to 127.0.0.1")
        body = await request.read()
        try:
            return web.Response(body=answer(node, body), content_type="application/json")
        except Exception:
            on_bug()
            raise

    app = web.Application(client_max_size=_LARGEST_BODY)
    app.router.add_post("/", handle)
    return app


async def _serve(node: Node, port: int, with_parent: bool) -> bool:
    """Answer until told to stop; False when a bug stopped it."""
    stopped, failed = asyncio.Event(), asyncio.Event()

    def give_up() -> None:
        failed.set()
        stopped.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    if with_parent:
        # the parent holds the other end: nothing is ever written, so readable means gone
        loop.add_reader(sys.stdin.fileno(), stopped.set)
    runner = web.AppRunner(application(node, give_up), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        _say({"port": runner.addresses[0][1]})
        await stopped.wait()
    finally:
        await runner.cleanup()
    return not failed.is_set()


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _wall_clock_s() -> int:
    return int(time.time())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until it is told to stop: 0; 1 when it could not start, 2 when a bug stopped it."""
    parser = argparse.ArgumentParser(
        prog="python -m settlement.embedded_node", description="The embedded chain's node."
    )
    parser.add_argument("--file", type=Path, required=True, help="the chain's file; begun when it is not there")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--chain-id", type=int, default=CHAIN_ID)
    parser.add_argument("--genesis-s", type=int, default=0, help="time of a new chain's first block")
    parser.add_argument("--clock", choices=("wall", "manual"), default="wall")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input closes")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        store = ChainStore(options.file, options.chain_id, options.genesis_s)
    except ChainFileError as error:
        _say({"refused": str(error)})
        return 1
    collect_garbage_rarely()
    try:
        node = Node(store, options.chain_id, _wall_clock_s if options.clock == "wall" else None)
        return 0 if asyncio.run(_serve(node, options.port, options.with_parent)) else 2
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
