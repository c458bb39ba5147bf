"""The embedded chain's process, as the server keeps it: started, revived when it ends by itself, stopped."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from market.clock import ManualClock, WallClock
from market.config import Config
from market.logs import log
from settlement.chain import ChainUnavailableError
from settlement.embedded import EmbeddedNode, start_embedded

WATCH_S = 1.0
ADDRESS = "chain.url"
"""In the market's folder while its node runs: where a checker on this machine asks it (``jinsha checker --chain``)."""


@contextmanager
def embedded(folder: Path, terms: Config, clock: WallClock | ManualClock) -> Iterator["ChainProcess"]:
    log(logging.INFO, "starting_chain")
    node = ChainProcess(folder / "chain.db", terms.chain.chain_id, clock)
    address = folder / ADDRESS
    address.write_text(node.url, "ascii")
    try:
        yield node
    finally:
        log(logging.INFO, "stopping_chain")
        address.unlink(missing_ok=True)
        node.stop()


class ChainProcess:
    """The embedded chain's process, started again on the same port should it end by itself."""

    def __init__(self, file: Path, chain_id: int, clock: WallClock | ManualClock) -> None:
        self._file, self._chain_id, self._clock = file, chain_id, clock
        self._running = self._start(0)
        self.url = self._running.url

    def _start(self, port: int) -> EmbeddedNode:
        return start_embedded(
            self._file,
            chain_id=self._chain_id,
            clock="manual" if self._clock.is_manual else "wall",
            genesis_s=self._clock.now_s(),
            port=port,
        )

    def revive(self) -> None:
        """Start it again if it has ended. Blocks. Raises ChainUnavailableError."""
        code = self._running.process.poll()
        if code is not None:
            log(logging.ERROR, "chain_ended", code=code)
            self._running = self._start(int(self.url.rsplit(":", 1)[1]))
            log(logging.INFO, "chain_started_again")

    def stop(self) -> None:
        self._running.stop()


async def keep(node: ChainProcess | None) -> None:
    """Bring the embedded chain back whenever its process ends."""
    while True:
        await asyncio.sleep(WATCH_S)
        if node is not None:
            try:
                await asyncio.get_running_loop().run_in_executor(None, node.revive)
            except ChainUnavailableError as error:
                log(logging.ERROR, "chain_does_not_start", error=str(error))
