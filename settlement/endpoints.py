"""Several nodes of one network behind one way to ask: whoever is dead, behind, or of another chain is not asked.

Each node is looked at before it is first used, after it was away, and every few seconds: chain id, genesis block,
height. One with another chain id or genesis is refused for good; one whose newest block is more than ``lag_blocks``
behind the highest is asked only when no other answers. Every request may safely arrive at two nodes: transactions are
numbered.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from settlement.chain import ChainError, ChainRefusedError, ChainUnavailableError
from settlement.compile import silent
from settlement.jsonrpc import Failure, HttpPost, JsonRpc, Request

LOOK_EVERY_S = 5.0
LAG_BLOCKS = 5
LOOK_TIMEOUT_S = 5.0


class WrongChainError(ChainError):
    """A node of another network than the market's."""


class Identity(NamedTuple):
    """Which chain it is; ``genesis`` is the hash of block 0."""

    chain_id: int
    genesis: bytes


class _Endpoint:
    """A node, and how it was when it was last looked at."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.post = HttpPost(url, timeout_s)
        self._look = JsonRpc(HttpPost(url, min(timeout_s, LOOK_TIMEOUT_S)))
        self.place = self.post.place
        self.height: int | None = None  # None: it did not answer
        self.is_foreign = False

    def look(self) -> Identity:
        """Its chain and, in ``height``, its newest block. Raises ChainUnavailableError."""
        self.height = None
        asked = [Request("eth_chainId", []), Request("eth_getBlockByNumber", ["0x0", False])]
        answers: list[Any] = self._look.batch([*asked, Request("eth_blockNumber", [])])
        if any(isinstance(answer, Failure) or answer is None for answer in answers):
            raise ChainUnavailableError(f"{self.place} does not say which chain it has")
        chain_id, genesis, height = answers
        self.height = int(height, 16)
        return Identity(int(chain_id, 16), bytes.fromhex(genesis["hash"][2:]))


class Endpoints:
    """Posts a body to the first node that is well, in the order given. Threads may share it."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        timeout_s: float,
        identity: Identity | None = None,
        chain_id: int | None = None,
        lag_blocks: int = LAG_BLOCKS,
        say: Callable[[str], None] = silent,
    ) -> None:
        """``identity`` is the market's chain; None: that of the first node which answers, with ``chain_id`` if given.

        ``say`` gets a line when a node is given up, found again or refused. Raises WrongChainError when a node has
        another chain, ChainUnavailableError when none answers.
        """
        assert urls, "a network has a node"
        self._endpoints = [_Endpoint(url, timeout_s) for url in urls]
        self._identity, self._chain_id, self._lag_blocks, self._say = identity, chain_id, lag_blocks, say
        self._lock = threading.Lock()
        self._looked = 0.0
        self._problem = ""  # of the last node that did not answer
        with self._lock:
            self._look()
        foreign = [each.place for each in self._endpoints if each.is_foreign]
        if foreign:
            raise WrongChainError(f"{', '.join(foreign)}: a node of another chain than the market's")
        if self._identity is None:
            raise ChainUnavailableError(f"no node of the network answers: {self._problem}")

    @property
    def identity(self) -> Identity:
        """The chain that all of them have."""
        assert self._identity is not None
        return self._identity

    @property
    def count(self) -> int:
        return len(self._endpoints)

    def __call__(self, body: bytes) -> bytes:
        """The answer of the first node that gives one. Raises ChainUnavailableError with the last one's reason."""
        with self._lock:
            if time.monotonic() - self._looked > LOOK_EVERY_S:
                self._look()
            chosen = self._in_order()
        problem = ChainUnavailableError(f"no node of the network answers: {self._problem}")
        for endpoint in chosen:
            try:
                return endpoint.post(body)
            except ChainUnavailableError as error:
                problem = error
                self._give_up(endpoint, error)
        with self._lock:
            self._looked = 0.0  # look at all of them before the next question
        raise problem

    def _give_up(self, endpoint: _Endpoint, error: ChainUnavailableError) -> None:
        with self._lock:
            if endpoint.height is not None:
                self._say(f"{endpoint.place} is away: {error}")
            endpoint.height = None

    def _in_order(self) -> list[_Endpoint]:
        """Who is well, then who is behind; the order given decides among them."""
        alive = [each for each in self._endpoints if each.height is not None and not each.is_foreign]
        highest = max((each.height or 0 for each in alive), default=0)
        return sorted(alive, key=lambda each: highest - (each.height or 0) > self._lag_blocks)

    def _look(self) -> None:
        self._looked = time.monotonic()
        for endpoint in self._endpoints:
            if not endpoint.is_foreign:
                self._look_at(endpoint)

    def _look_at(self, endpoint: _Endpoint) -> None:
        was_away = endpoint.height is None
        try:
            found = endpoint.look()
        except (ChainUnavailableError, ChainRefusedError, msgspec.DecodeError, ValueError) as error:
            self._problem = str(error)
            if not was_away:
                self._say(f"{endpoint.place} is away: {error}")
            return
        if self._identity is None and self._chain_id in (None, found.chain_id):
            self._identity = found
        if found != self._identity:
            endpoint.is_foreign = True
            self._say(f"{endpoint.place} is refused: it has chain {found.chain_id}, genesis {found.genesis.hex()}")
        elif was_away:
            self._say(f"{endpoint.place} answers, block {endpoint.height}")
