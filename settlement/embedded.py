"""The embedded chain as a process of its own, so that contract work never stalls orders.

``python -m settlement.embedded --file chain.db`` serves JSON-RPC on 127.0.0.1 and says where in its first line on
standard output: ``{"port": 41234}``, or ``{"refused": "why"}``. It stops on SIGTERM and, when it was started by
``start_embedded``, as soon as the one who started it is gone. Ctrl-C in a terminal is for the server, not for it.
"""

import argparse
import asyncio
import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from aiohttp import web

from settlement.chain import ChainUnavailableError
from settlement.chain_store import ChainFileError, ChainStore
from settlement.evm import collect_garbage_rarely
from settlement.node import Node
from settlement.node_methods import answer

CHAIN_ID = 6_658_873
"""A chain id for markets that run their own chain; the genesis salt keeps their intents apart."""

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
_LARGEST_BODY = 64 * 1024 * 1024

Clock = Literal["wall", "manual"]


class EmbeddedNode:
    """A running node; ``url`` is where it answers. Leaving the ``with`` block stops it."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        """Ask it to stop and wait; what it answered is on the disk."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> "EmbeddedNode":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_embedded(
    file: Path, *, chain_id: int = CHAIN_ID, clock: Clock = "wall", genesis_s: int = 0, port: int = 0
) -> EmbeddedNode:
    """Start a node on a chain file, which is begun when it is not there; ``port`` 0 takes any free one.

    ``clock`` says where the time of blocks comes from: the wall clock, or ``Chain.advance_to`` alone. Raises
    ChainUnavailableError when it does not start, with its reason: the file is in use, or is another chain's.
    """
    options = {"--file": file, "--chain-id": chain_id, "--clock": clock, "--genesis-s": genesis_s, "--port": port}
    command = [sys.executable, "-m", "settlement.embedded", "--with-parent"]
    process = subprocess.Popen(
        [*command, *(str(each) for pair in options.items() for each in pair)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in the terminal is the server's to handle; it stops us in its own time
    )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    line = process.stdout.readline() if ready else b""
    said: dict[str, Any] = json.loads(line) if line else {"refused": "it said nothing"}
    node = EmbeddedNode(process, said.get("port", 0))
    if "refused" in said:
        node.stop()
        raise ChainUnavailableError(f"the embedded chain did not start: {said['refused']}")
    return node


# --------------------------------------------------------------------------------------------- the process


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
    parser = argparse.ArgumentParser(prog="python -m settlement.embedded", description="The embedded chain's node.")
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
