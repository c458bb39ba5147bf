"""The engine that markets run on, and the types of its face.

``Engine(rules).apply(commands) -> events``: the same commands give the same events on every machine.
"""

from matching.book import Depth, OpenOrder, Quote
from matching.grid import GridError
from matching.reference import ReferenceEngine

__all__ = ["Depth", "Engine", "GridError", "OpenOrder", "Quote"]

Engine = ReferenceEngine
