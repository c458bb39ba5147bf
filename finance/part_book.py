"""What owners do with the parts of receivables, and pledgees with what is pledged to them. As ``book.py``."""

from dataclasses import dataclass, field

from sqlalchemy import Connection

from data.units import MICRO_PER_FEN, floor_fen
from finance import parts_store, store
from finance.book import Asked, Word, carry_out, refuse, visible
from finance.life import Live
from finance.outside import Outside
from finance.receivable import Act
from settlement import part_acts
from settlement.intents import Domain
from settlement.part_acts import Pledge, Transfer


@dataclass(frozen=True, slots=True)
class PartBook:
    """``domain`` is that of Receivables, ``outside`` is asked before a pledge. As ``Book``."""

    domain: Domain
    outside: Outside = field(default_factory=Outside)

    def split(
        self, connection: Connection, word: Word, receivable_id: bytes, *, part: int, amount_fen: int, now_s: int
    ) -> None:
        """Cut an amount off a part: it becomes a part of its own."""
        amount_micro = amount_fen * MICRO_PER_FEN
        digest = part_acts.split_part_digest(self.domain, receivable_id, word.member, part, amount_micro, **word.terms)
        call = part_acts.split_part(receivable_id, part, amount_micro, word.signature, **word.terms)
        asked = Asked(Act.SPLIT, receivable_id, digest, call)
        carry_out(connection, word, asked, Live, lambda value, by: value.split(by, part, amount_fen), now_s=now_s)

    def transfer(self, connection: Connection, word: Word, transfer: Transfer, *, now_s: int) -> None:
        """Give a part, or an amount of it, to another; its trades are claimed on the chain before."""
        row = store.receivable(connection, transfer.receivable_id)
        if row is None:
            refuse("not_found", "there is no such receivable")
        to, amount_fen = parts_store.transferee(connection, transfer.to, row.creditor), floor_fen(transfer.amount_micro)
        digest = part_acts.transfer_part_digest(self.domain, word.member, transfer, **word.terms)
        call = part_acts.transfer_part(transfer, word.signature, **word.terms)
        asked = Asked(Act.TRANSFER, transfer.receivable_id, digest, call, needs_trades=True)
        carry_out(
            connection,
            word,
            asked,
            Live,
            lambda value, by: value.transfer(by, transfer.part, amount_fen, to),
            now_s=now_s,
        )

    def merge(
        self, connection: Connection, word: Word, receivable_id: bytes, *, part: int, other: int, now_s: int
    ) -> None:
        """Put one part into another of the same claim."""
        digest = part_acts.merge_parts_digest(self.domain, receivable_id, word.member, part, other, **word.terms)
        call = part_acts.merge_parts(receivable_id, part, other, word.signature, **word.terms)
        asked = Asked(Act.MERGE, receivable_id, digest, call)
        carry_out(connection, word, asked, Live, lambda value, by: value.merge(by, part, other), now_s=now_s)

    def pledge(self, connection: Connection, word: Word, pledge: Pledge, *, now_s: int) -> None:
        """Pledge a part to a bank, under the hash of the registry's number, which is used once."""
        if pledge.registration == bytes(32):
            refuse("registration_missing", "a pledge needs the hash of its registration's number")
        is_bank = parts_store.transferee(connection, pledge.pledgee, 0).is_bank
        digest = part_acts.pledge_part_digest(self.domain, word.member, pledge, **word.terms)
        call = part_acts.pledge_part(pledge, word.signature, **word.terms)
        asked = Asked(Act.PLEDGE, pledge.receivable_id, digest, call, needs_trades=True)
        is_sent = carry_out(
            connection,
            word,
            asked,
            Live,
            lambda value, by: value.pledge(by, pledge.part, pledge.pledgee, is_bank=is_bank),
            now_s=now_s,
        )
        if is_sent:
            (row,) = visible(connection, word.viewer, [pledge.receivable_id])
            barred = self.outside.sale_refusal(connection, row, pledge.pledgee, pledge.registration, now_s)
            if barred is not None:
                refuse(*barred)

    def release(self, connection: Connection, word: Word, receivable_id: bytes, *, part: int, now_s: int) -> None:
        """The pledgee gives the pledge back."""
        digest = part_acts.release_part_digest(self.domain, receivable_id, word.member, part, **word.terms)
        call = part_acts.release_part(receivable_id, part, word.signature, **word.terms)
        asked = Asked(Act.RELEASE, receivable_id, digest, call)
        carry_out(connection, word, asked, Live, lambda value, by: value.release(by, part), now_s=now_s)
