"""A proposed day of trades on the bench, of which any field can be another than the signed order allows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec import structs

from matching.order import Level, Side, Tif
from settlement import acts, calls, dispute_acts, merkle
from settlement.acts import Delta
from settlement.dispute_acts import CancelReceipt, Opening
from settlement.hexjson import Hex
from settlement.intents import OrderIntent
from settlement.jwk import to_jwk
from settlement.key_changes import KeyHistory
from settlement.trade_leaf import Common, Half, OrderEvidence, TradeRecord, batch_digest, json_path, trade_leaf
from tests.settlement.contract_bench import (
    DISPUTE_WINDOW_S,
    OPERATOR,
    START_S,
    YUAN,
    Bench,
    Bonds,
    public,
    sign,
)

ANNA, BORIS, CLARA = 100, 101, 102
BONDS = Bonds(operator_micro=1_000 * YUAN, challenge_micro=10 * YUAN)
PLACED_S, TRADED_S, SLOT_S = START_S + 3_600, START_S + 7_200, START_S + 43_200
NO_KEYS = KeyHistory(bytes(32), [])
DELTAS = [Delta(ANNA, -5 * YUAN), Delta(BORIS, 5 * YUAN)]


def order(**changes: Any) -> OrderIntent:
    """Anna's: up to 100 lots at 4,500 ticks at most."""
    fields: dict[str, Any] = {
        "member": ANNA,
        "client_order_id": "a-1",
        "meter": "A1",
        "side": Side.BUY,
        "slot": SLOT_S,
        "quantity_lots": 100,
        "price_ticks": 4_500,
        "reach": Level.FEEDER,
        "terms_days": 30,
        "tif": Tif.GTC,
        "replaces": "",
        "deadline": SLOT_S,
    }
    return OrderIntent(**{**fields, **changes})


class Signed(NamedTuple):
    """An order with the signature under it: alone, or with others in a batch."""

    intent: OrderIntent
    evidence: OrderEvidence


@dataclass
class Day:
    """Cycle 1 with these trades; ``propose`` puts it onto the chain."""

    bench: Bench
    records: list[TradeRecord] = field(default_factory=list)

    @classmethod
    def begun(cls) -> "Day":
        """Anna, Boris and Clara with 50 yuan each in escrow, the operator with two bonds."""
        bench = Bench(BONDS)
        bench.admit(ANNA, BORIS, CLARA)
        bench.mint(*((member, 50 * YUAN) for member in (ANNA, BORIS, CLARA)), to_escrow=True)
        bench.mint((OPERATOR, 2_000 * YUAN), to_escrow=True)
        return cls(bench)

    def copy(self) -> "Day":
        return Day(self.bench.copy(), list(self.records))

    def sign(self, intent: OrderIntent, *, by: int | None = None, batch: int = 0) -> Signed:
        """``batch`` others are signed with it."""
        by = intent.member if by is None else by
        domain, key = self.bench.domain("Clearing"), to_jwk(public(by))
        digest = intent.digest(domain)
        if not batch:
            return Signed(intent, OrderEvidence(intent, key, Hex(sign(by, digest))))
        leaves = [merkle.leaf(at.to_bytes(2, "big")) for at in range(batch)] + [merkle.leaf(digest)]
        whole = batch_digest(domain, intent.member, merkle.root(leaves), batch + 1, basket=False)
        path = json_path(merkle.path(leaves, batch))
        return Signed(intent, OrderEvidence(intent, key, Hex(sign(by, whole)), batch + 1, False, path))

    def trade(self, signed: OrderIntent, *, common: dict[str, Any] | None = None, **half: Any) -> TradeRecord:
        """A trade of 40 lots under an order, as the operator records it, with a lie in any field of it."""
        number = len(self.records) + 1
        known = Common(number, 10 + number, SLOT_S, 40, 30, Side.SELL, Level.FEEDER, TRADED_S)
        digest = Hex(signed.digest(self.bench.domain("Clearing")))
        own = Half(digest, signed.member, signed.meter, 4_000, PLACED_S, 0)
        own = structs.replace(own, **half)
        other = Half(Hex(bytes([number]) * 32), BORIS, "B1", 3_900, PLACED_S, 0)
        sides = (own, other) if signed.side == Side.BUY else (other, own)
        record = TradeRecord(structs.replace(known, **common or {}), *sides, bytes([number]) * 96)
        self.records.append(record)
        return record

    @property
    def leaves(self) -> list[bytes]:
        return [trade_leaf(record) for record in self.records]

    def opening(self, record: TradeRecord, side: Side = Side.BUY) -> Opening:
        path = merkle.path(self.leaves, self.records.index(record)) if record in self.records else []
        return dispute_acts.open_trade(record, side, path)

    # ------------------------------------------------------------------------------------------- what is done

    def propose(self, cycle: int = 1) -> str:
        """With the trades that are there now; why it was refused, or nothing."""
        shown = self.bench.proposal(cycle, [DELTAS])
        proposal = shown._replace(trades_root=merkle.root(self.leaves))
        self.bench.now_s = max(self.bench.now_s, proposal.end_s)
        return self.bench.try_(self.bench.propose(proposal))

    def apply(self, cycle: int = 1) -> str:
        return self.bench.try_(acts.apply_part(cycle, 0, DELTAS))

    def challenge(self, opening: Opening, *, by: int | None = None, cycle: int = 1, **changes: int) -> str:
        once = {**self.bench.once(), **changes}
        member = opening.half.member
        digest = dispute_acts.challenge_digest(self.bench.domain("Disputes"), member, cycle, opening.leaf, **once)
        signature = sign(by or member, digest)
        return self.bench.try_(dispute_acts.challenge(cycle, opening, signature, **once))

    def answer(self, opening: Opening, signed: Signed, history: KeyHistory = NO_KEYS) -> str:
        return self.bench.try_(dispute_acts.answer(opening._replace(path=[]), signed.evidence, history))

    def uphold(self, opening: Opening) -> str:
        return self.bench.try_(dispute_acts.uphold(opening.name))

    def cancel_receipt(self, intent: OrderIntent, limit_lots: int, sequence: int, by: int = OPERATOR) -> CancelReceipt:
        digest = intent.digest(self.bench.domain("Clearing"))
        said = dispute_acts.cancel_receipt_digest(self.bench.domain("Clearing"), digest, limit_lots, sequence)
        return CancelReceipt(digest, limit_lots, sequence, by, PLACED_S + 60, sign(by, said))

    # --------------------------------------------------------------------------------------------- what is seen

    def escrows(self, *members: int) -> list[int]:
        """In yuan."""
        return [self.bench.escrow_of(member) // YUAN for member in members]

    @property
    def locked(self) -> int:
        """In yuan."""
        return int(self.bench.view(calls.total_bonds())) // YUAN

    def after_window(self) -> None:
        self.bench.now_s += DISPUTE_WINDOW_S

    def money_micro(self, accounts: Sequence[int] = (0, OPERATOR, ANNA, BORIS, CLARA)) -> int:
        """All that Clearing holds for somebody, bonds and what is held back included."""
        escrows = sum(self.bench.escrow_of(account) for account in accounts)
        return escrows + int(self.bench.view(calls.total_bonds()))


def gas_of_a_dispute(day: Day) -> dict[str, int]:
    """Of a challenge, an answer and an unanswered one, in a day of a million trades and a batch of 1,001 orders."""
    signed = day.sign(order(), batch=1_000)
    record = day.trade(order())
    path = [(bool(level % 2), bytes([level]) * 32) for level in range(20)]
    proposal = day.bench.proposal(1, [DELTAS])
    proposal = proposal._replace(trades_root=merkle.climb(trade_leaf(record), path))
    day.bench.now_s = proposal.end_s
    day.bench.do(day.bench.propose(proposal))
    opening = day.opening(record)._replace(path=path)
    assert day.challenge(opening) == ""
    gas = {"challenge": day.bench.gas}
    unanswered = day.copy()
    assert day.answer(opening, signed) == ""
    gas["answer"] = day.bench.gas
    unanswered.bench.now_s += dispute_acts.ANSWER_S + 1
    assert unanswered.uphold(opening) == ""
    return {**gas, "uphold": unanswered.bench.gas}
