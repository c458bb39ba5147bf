"""What the steps of an audit share: what they read from, what they have learnt so far, how they report."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import Connection

from matching.order import Rules
from settlement.chain import ChainEvent, ReadableChain
from settlement.chain_file import FileChain
from settlement.contradiction import Contradiction
from settlement.deploy import Genesis
from settlement.examine_cycle import CycleExaminer
from settlement.examine_orders import SignatureCheck
from settlement.intents import Domain
from settlement.journal_replay import JournalReplay
from settlement.keys import KeyHistory
from settlement.published import PublishedMeter
from settlement.rules import SettlementRules
from settlement.signatures import PublicKey

SAMPLE = 1_000
"""Signatures that are verified a second time, unless all are."""

Tick = Callable[[int], None]
"""Told how many more were examined."""

Examine = Callable[[Tick], Iterator[Contradiction]]


class AuditTerms(NamedTuple):
    """What the market made public when it began: its rules, its genesis, and who holds which role or witnesses."""

    engine_rules: Rules
    rules: SettlementRules
    genesis: Genesis
    operator: int
    checker: int
    reading_signers: frozenset[int]
    witnesses: Mapping[str, PublicKey] = MappingProxyType({})


class Sampler:
    """An even sample of what passes by, all of it when ``size`` is None. Source: Vitter, Algorithm R."""

    def __init__(self, size: int | None, seed: int) -> None:
        self._size, self._random = size, random.Random(seed)
        self._seen = 0
        self.kept: list[SignatureCheck] = []

    def pass_by(self, checks: Iterable[SignatureCheck]) -> None:
        for check in checks:
            self._seen += 1
            if self._size is None or len(self.kept) < self._size:
                self.kept.append(check)
            elif (place := self._random.randrange(self._seen)) < self._size:
                self.kept[place] = check


@dataclass
class Scene:
    """``events`` are all of the chain's; ``file`` is the chain's file where it is an embedded one.

    ``committed`` and ``proposed`` are what the chain had before the database was read: so much must be in it.
    """

    connection: Connection
    chain: ReadableChain
    file: FileChain | None
    terms: AuditTerms
    sampler: Sampler
    committed: int
    proposed: int
    events: Sequence[ChainEvent]
    keys: KeyHistory
    meters: dict[int, PublishedMeter]
    replay: JournalReplay
    examiner: CycleExaminer
    by_event: dict[tuple[str, str], list[ChainEvent]] = field(default_factory=dict, init=False)
    witnessed_s: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for event in self.events:
            self.by_event.setdefault((event.contract, event.event), []).append(event)

    @property
    def clearing(self) -> Domain:
        return self.chain.domain("Clearing")

    def of(self, contract: str, event: str) -> list[ChainEvent]:
        """The chain's events of one kind, in order."""
        return self.by_event.get((contract, event), [])


class Step(NamedTuple):
    """One part of the audit: ``unit`` says what ``total`` counts; ``examine`` yields what contradicts."""

    title: str
    unit: str
    total: int
    examine: Callable[[Scene, Tick], Iterator[Contradiction]]
