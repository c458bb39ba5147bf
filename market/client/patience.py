"""Waiting before something is tried again: longer each time, never in step with others, and not for ever."""

import asyncio
import secrets

from market.client.errors import UnreachableError

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0


class Patience:
    """For one thing that is tried until it works; ``what`` names it. After ``patience_s`` there is no more of it."""

    def __init__(self, patience_s: float, what: str) -> None:
        self._what = what
        self._give_up = asyncio.get_running_loop().time() + patience_s
        self._pause_s = FIRST_PAUSE_S

    async def pause(self, reason: str, asked_s: float = 0.0) -> None:
        """Wait, because of this; ``asked_s`` is what the other side asked for. Raises UnreachableError."""
        wait_s = max(self._pause_s * (1 + secrets.randbelow(1000) / 1000), min(asked_s, LONGEST_PAUSE_S))
        if asyncio.get_running_loop().time() + wait_s > self._give_up:
            raise UnreachableError(f"{self._what}: {reason}")
        await asyncio.sleep(wait_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
