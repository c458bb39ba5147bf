"""The writer: takes calls out of the outbox and brings each to the chain exactly once.

A round has three steps, each complete before the next: what waits is signed and kept, what was kept and not handed over
yet is handed over, and of all that is on its way it is asked what became of it. Many transactions are on their way at
once, for a network needs seconds for a block; their numbers keep them in order.

Wherever a crash falls, the next round begins with what was signed and sends the very same bytes again; a transaction
that is on the chain already only has its receipt. Should another writer work on the same outbox, whoever keeps a
signature first sends it; the other finds that the call does not wait any more, and sends what is kept.
"""

import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from data.database import reading
from settlement import outbox
from settlement.chain import Chain, ChainUnavailableError, StaleTransactionError
from settlement.keccak import keccak
from settlement.outbox import Entry
from settlement.rpc import number_of

CALLS_IN_FLIGHT = 200
CALLS_IN_BATCH = 25
"""One batch is one block on the embedded chain: some seconds at most."""

POLL_S = 0.25
RETRY_S = 2.0
SEND_AGAIN_S = 30.0
"""A network may forget what it was given; after so long without a receipt it is handed over once more."""

STUCK_S = 120.0
"""After so long in which nothing became final the chain counts as away."""


class _OtherWriterError(Exception):
    """Somebody else has signed some of the same calls."""


class Writer:
    """Brings calls to one chain, in one thread."""

    def __init__(self, database: Engine, chain: Chain) -> None:
        self._database = database
        self._chain = chain
        self._handed: dict[bytes, float] = {}  # transaction hash -> when
        self._moved = time.monotonic()  # when something ended, or nothing was on its way

    def step(self) -> int:
        """One round; returns how many calls ended.

        Raises ChainUnavailableError (nothing is lost: call again) and ChainRefusedError (the node will not have it).
        """
        with reading(self._database) as connection:
            entries = outbox.unfinished(connection, CALLS_IN_FLIGHT)
            ended = outbox.newest_ended(connection)
        if not entries:
            self._moved = time.monotonic()
            return 0
        signed = self._signed(entries, ended)
        try:
            self._hand_over(signed)
        except StaleTransactionError as error:
            # their numbers went to others, so these never will be accepted; the next round signs them anew
            with self._database.begin() as connection:
                outbox.forget_signed(connection, [each for each, raw in signed if keccak(raw) in error.hashes])
            return 0
        return self._record(signed)

    def drain(self) -> int:
        """Rounds until nothing waits; how many calls ended. Raises as ``step``."""
        ended, pause_s = 0, 0.01
        while self.waiting():
            if now_ended := self.step():
                ended, pause_s = ended + now_ended, 0.01
            else:
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, POLL_S)
        return ended

    def waiting(self) -> int:
        """How many calls have not ended."""
        with reading(self._database) as connection:
            return outbox.count_unfinished(connection)

    def run(
        self, stop: threading.Event, wake: threading.Event, on_outage: Callable[[ChainUnavailableError], None]
    ) -> None:
        """Rounds until ``stop``; ``wake`` ends a pause early. Meant for a thread of its own.

        While the chain does not answer it is asked again and ``on_outage`` hears of it; anything else raises.
        """
        while not stop.is_set():
            try:
                ended = self.step()
            except ChainUnavailableError as error:
                on_outage(error)
                stop.wait(RETRY_S)
                continue
            if not ended:
                wake.wait(POLL_S)
                wake.clear()

    def _signed(self, entries: Sequence[Entry], ended: bytes | None) -> list[tuple[int, bytes]]:
        """What is on its way: what was signed before, and what waited, signed now and kept.

        Numbers go on after what ``ended`` too: a chain that has gone back must have that again before it has more.
        """
        before = [(entry.outbox_id, entry.raw) for entry in entries if entry.raw is not None]
        waiting = [entry for entry in entries if entry.raw is None]
        if not waiting:
            return before
        numbered = [each for _, each in before] + ([] if ended is None else [ended])
        raw = self._chain.sign([entry.call for entry in waiting], numbered)
        fresh = [(entry.outbox_id, each) for entry, each in zip(waiting, raw, strict=True)]
        try:
            with self._database.begin() as connection:
                if not outbox.keep_signed(connection, fresh):
                    raise _OtherWriterError
        except _OtherWriterError:
            return before
        return before + fresh

    def _hand_over(self, signed: Sequence[tuple[int, bytes]]) -> None:
        """What was not handed over of late, in the order of its numbers."""
        now = time.monotonic()
        fresh = [raw for _, raw in signed if now - self._handed.get(keccak(raw), -SEND_AGAIN_S) >= SEND_AGAIN_S]
        fresh.sort(key=number_of)
        for at in range(0, len(fresh), CALLS_IN_BATCH):
            batch = fresh[at : at + CALLS_IN_BATCH]
            self._chain.submit(batch)
            self._handed |= {keccak(raw): now for raw in batch}

    def _record(self, signed: Sequence[tuple[int, bytes]]) -> int:
        """Keep what became of calls. Raises ChainUnavailableError when nothing has become of any for long."""
        hashes = [keccak(raw) for _, raw in signed]
        found = zip(signed, self._chain.receipts(hashes), strict=True)
        ended = [(outbox_id, receipt) for (outbox_id, _), receipt in found if receipt is not None]
        if ended:
            with self._database.begin() as connection:
                outbox.finish(connection, ended)
            for _, receipt in ended:
                self._handed.pop(receipt.transaction_hash, None)
            self._moved = time.monotonic()
        elif signed and time.monotonic() - self._moved > STUCK_S:
            self._moved = time.monotonic()
            raise ChainUnavailableError(f"of {len(signed)} transactions none became final in {STUCK_S:.0f} s")
        return len(ended)
