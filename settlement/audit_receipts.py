"""Receipts that members hold, against the journal: an acknowledged order that was taken out, or put off, is proven.

A receipt is the operator's signature over the last sequence of a batch and the journal's head after it. The head binds
every command up to there, in their order. Whoever shows another journal, with an order left out or another put before
it, can not show that head.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from settlement.audit_scene import Scene, Step, Tick
from settlement.contradiction import Contradiction
from settlement.hexjson import Hex
from settlement.intents import RECEIPT
from settlement.signatures import is_signed


class Receipt(msgspec.Struct, frozen=True):
    """As every answer that changed the market carries it."""

    sequence: int
    journal_head: Hex
    signature: Hex


def steps(receipts: Sequence[Receipt]) -> list[Step]:
    """One step, when there are any."""
    examine = partial(_receipts, receipts)
    return [Step("receipts that were shown", "receipts", len(receipts), examine)] if receipts else []


def _receipts(receipts: Sequence[Receipt], scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    batches = {sequence: batch for batch, sequence in scene.replay.last_sequences.items()}
    for receipt in receipts:
        key = f"sequence {receipt.sequence}"
        digest = RECEIPT.digest(
            scene.clearing, {"sequence": receipt.sequence, "journalHead": bytes(receipt.journal_head)}
        )
        keys = scene.keys.all_of(scene.terms.operator)
        if not any(is_signed(each, digest, receipt.signature) for each in keys):
            yield Contradiction("receipt", key, "signature", "is not the operator's: this receipt proves nothing")
        elif scene.replay.heads.get(batches.get(receipt.sequence, 0)) != receipt.journal_head:
            yield Contradiction("journal", key, "head", "the operator acknowledged another journal than it shows")
        tick(1)
