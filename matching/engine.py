"""The engine that markets run on, and the types of its face.

``Engine(rules).apply(commands) -> events``: the same commands give the same events on every machine. It is the compiled
engine of ``fast.py``; ``reference.py`` is the same rulebook written to be read, and tests hold the two equal
(``docs/decisions/0011-numba-for-the-auction.md``).
"""

from matching.book import Depth, OpenOrder, Quote
from matching.fast import EngineLimitError, FastEngine
from matching.grid import GridError

__all__ = ["Depth", "Engine", "EngineLimitError", "GridError", "OpenOrder", "Quote"]

Engine = FastEngine
"""The auction: commands in, events out. No clock, no SQL, no threads, no randomness."""
