"""The engine that markets run on, and the types of its face.

``Engine(rules).apply(commands) -> events``: the same commands give the same events on every machine. The compiled
engine is the market's; ``ReferenceEngine`` is the oracle that it is tested against, lot for lot.
"""

from matching.book import Depth, OpenOrder, Quote
from matching.fast import FastEngine
from matching.grid import GridError
from matching.reference import ReferenceEngine

__all__ = ["Depth", "Engine", "GridError", "OpenOrder", "Quote", "ReferenceEngine"]

Engine = FastEngine
"""The auction: commands in, events out. No clock, no SQL, no threads, no randomness."""
