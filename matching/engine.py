"""The engine that markets run on, and the types of its face.

``Engine(rules).apply(commands) -> events``: the same commands give the same events on every machine. Markets run on the
reference matcher; the compiled engine of ``fast.py`` has the same face and is held equal to it by tests, and takes its
place here once it has passed longer trials (``docs/decisions/0011-numba-for-the-auction.md``).
"""

from matching.book import Depth, OpenOrder, Quote
from matching.grid import GridError
from matching.reference import ReferenceEngine

__all__ = ["Depth", "Engine", "GridError", "OpenOrder", "Quote", "ReferenceEngine"]

Engine = ReferenceEngine
"""The auction: commands in, events out. No clock, no SQL, no threads, no randomness."""
