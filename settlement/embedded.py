"""The embedded chain, started as a process of its own, so that contract work never stalls orders.

The process is ``settlement/embedded_node.py``: it brings the Ethereum specification with it, which the one who starts
it need not load.
"""

import json
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from settlement.chain import ChainUnavailableError

CHAIN_ID = 6_658_873
"""A chain id for markets that run their own chain; the genesis salt keeps their intents apart."""

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20

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
    command = [sys.executable, "-m", "settlement.embedded_node", "--with-parent"]
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
