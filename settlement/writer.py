"""The writer: takes calls out of the outbox and brings each to the chain exactly once.

A round keeps the signed transactions in the outbox, sends them, and records what became of them: three steps, each
complete before the next. Wherever a crash falls, the next round begins with what was signed and sends the very same
bytes again; a transaction that is on the chain already only returns its receipt.
"""

import threading
from collections.abc import Callable

from sqlalchemy import Engine

from data.database import reading
from settlement import outbox
from settlement.chain import Chain, ChainUnavailableError, Receipt, StaleTransactionError
from settlement.keccak import keccak
from settlement.outbox import Entry

CALLS_IN_ROUND = 25
"""One round is one block on the embedded chain: some seconds at most."""

POLL_S = 0.25
RETRY_S = 2.0


class Writer:
    """Brings calls to one chain. There must be one per outbox, in one thread."""

    def __init__(self, database: Engine, chain: Chain) -> None:
        self._database = database
        self._chain = chain

    def step(self) -> int:
        """One round: the oldest calls, in order; returns how many ended, 0 when none wait.

        Raises ChainUnavailableError (nothing is lost: call again) and ChainRefusedError (the node will not have it).
        """
        with reading(self._database) as connection:
            entries = outbox.unfinished(connection, CALLS_IN_ROUND)
        if not entries:
            return 0
        signed = self._signed(entries)
        try:
            receipts = self._chain.send([raw for _, raw in signed])
        except StaleTransactionError as error:
            # their numbers went to others, so these never will be accepted; the next round signs them anew
            with self._database.begin() as connection:
                outbox.forget_signed(connection, [each for each, raw in signed if keccak(raw) in error.hashes])
            return 0
        self._record([(outbox_id, receipt) for (outbox_id, _), receipt in zip(signed, receipts, strict=True)])
        return len(signed)

    def drain(self) -> int:
        """Rounds until nothing waits; how many calls ended. Raises as ``step``."""
        ended = 0
        while self.waiting():
            ended += self.step()
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

    def _signed(self, entries: list[Entry]) -> list[tuple[int, bytes]]:
        """What to send now: what was signed already, by itself; otherwise all of them, signed and kept."""
        before = [(entry.outbox_id, entry.raw) for entry in entries if entry.raw is not None]
        if before:
            return before
        raw = self._chain.sign([entry.call for entry in entries])
        signed = [(entry.outbox_id, each) for entry, each in zip(entries, raw, strict=True)]
        with self._database.begin() as connection:
            outbox.keep_signed(connection, signed)
        return signed

    def _record(self, receipts: list[tuple[int, Receipt]]) -> None:
        with self._database.begin() as connection:
            outbox.finish(connection, receipts)
