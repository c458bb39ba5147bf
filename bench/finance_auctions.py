"""What an auction of 20 bids costs on the embedded chain: gas and time of each step, and how many close in a second.

    python -m bench.finance_auctions [--auctions 10]

Every bid is committed with its bond, revealed, awarded, and the winner's money exchanged for the claim; the node runs
in its own process, as in the market. An auction *closes* with what comes after its bidding: reveals, award, settlement.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from settlement import acts, merkle, part_acts, receivable_acts, sale_acts, signatures
from settlement.acts import Admission, Approval, Mint, Role
from settlement.chain import Call
from settlement.deploy import Genesis, deploy
from settlement.embedded import start_embedded
from settlement.part_acts import TradeClaim
from settlement.receivable_acts import Receivable
from settlement.rpc import RpcChain
from settlement.sale_acts import MOST_BIDS, Opening

YUAN, FEN, DAY_S, HOUR_S, LATE_S = 1_000_000, 10_000, 86_400, 3_600, 10**10
SELLER, FACTORY, FIRST_BANK = 100, 101, 200
BANKS = range(FIRST_BANK, FIRST_BANK + MOST_BIDS)
FACE, ADVANCE, BOND, MINIMUM = 100 * YUAN, 80 * YUAN, YUAN, 60 * YUAN
ACCOUNT, WORD, SALT = b"\6" * 32, b"\4" * 32, b"\x0a" * 32
AUCTIONS = 10
CALLS_AT_ONCE = 100


def key(member: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(10**9 + member, ec.SECP256R1())


def sign(member: int, digest: bytes) -> bytes:
    return signatures.sign(key(member), digest)


def approve(member: int, digest: bytes) -> list[Approval]:
    return [Approval(member, sign(member, digest))]


@dataclass
class Taken:
    """How long calls of one kind took, and their gas."""

    seconds: float = 0.0
    gas: list[int] = field(default_factory=list)


@dataclass
class Hall:
    """A chain with a seller, a debtor and twenty banks."""

    chain: RpcChain
    nonces: Iterator[int] = field(default_factory=lambda: count(1))
    taken: dict[str, Taken] = field(default_factory=dict)

    def do(self, name: str, wanted: Sequence[Call]) -> None:
        raw, taken = self.chain.sign(wanted), self.taken.setdefault(name, Taken())
        began = time.perf_counter()
        for at in range(0, len(raw), CALLS_AT_ONCE):
            receipts = self.chain.send(raw[at : at + CALLS_AT_ONCE])
            assert all(receipt.succeeded for receipt in receipts), [receipt.refusal for receipt in receipts]
            taken.gas += [receipt.gas for receipt in receipts]
        taken.seconds += time.perf_counter() - began

    def once(self) -> dict[str, int]:
        return {"nonce": next(self.nonces), "deadline_s": LATE_S}

    def fill(self) -> None:
        """Everyone is admitted, the banks have money."""
        roles = {SELLER: 0, FACTORY: 0} | dict.fromkeys(BANKS, int(Role.BANK))
        admissions = [Admission(member, signatures.public_key(key(member)), role) for member, role in roles.items()]
        digest = acts.admit_many_digest(self.chain.domain("Members"), admissions, 0)
        mints = [Mint(bank, 10**6 * YUAN, bank.to_bytes(32, "big"), False) for bank in BANKS]
        minted = approve(4, acts.mint_many_digest(self.chain.domain("Cash"), mints))
        self.do("fill", [acts.admit_many(admissions, 0, approve(1, digest)), acts.mint_many(mints, minted)])

    def list_many(self, number: int) -> list[bytes]:
        """So many receivables of the seller, acknowledged and listed."""
        domain, today = self.chain.domain("Receivables"), self.chain.head().timestamp_s // DAY_S
        trades = [TradeClaim(at, FACE, WORD) for at in range(1, number + 1)]
        owed = [
            Receivable(at, SELLER, FACTORY, FACE, 60, today, today + 60, trade.claim_leaf, WORD)
            for at, trade in enumerate(trades, start=1)
        ]
        ids = [receivable_acts.receivable_id(each) for each in owed]
        for period, each in enumerate(owed, start=1):
            root = merkle.root([ids[period - 1]])
            digest = receivable_acts.issue_period_digest(domain, period, root, 1)
            issuing = receivable_acts.issue_period(period, root, 1, approve(1, digest), approve(2, digest))
            self.do("fill", [issuing, receivable_acts.materialise(each, [])])
        once = self.once()
        digest = receivable_acts.acknowledge_many_digest(domain, FACTORY, ids, ACCOUNT, **once)
        agreed = receivable_acts.acknowledge_many(FACTORY, ids, ACCOUNT, sign(FACTORY, digest), **once)
        claims = [part_acts.claim_trades(the_id, 0, [trade], []) for the_id, trade in zip(ids, trades, strict=True)]
        self.do("fill", [agreed, *claims, *map(self._listing, ids)])
        return ids

    def _listing(self, the_id: bytes) -> Call:
        once = self.once()
        digest = receivable_acts.set_listed_digest(self.chain.domain("Receivables"), the_id, SELLER, True, **once)
        return receivable_acts.set_listed(the_id, True, sign(SELLER, digest), **once)

    # --------------------------------------------------------------------------------------------- one auction

    def auction(self, number: int, the_id: bytes) -> None:
        """From the opening to the claim in the winner's hands."""
        domain, closes_s = self.chain.domain("Sales"), self.chain.head().timestamp_s + HOUR_S
        terms = (800_000, ADVANCE, MINIMUM, BOND, 0, 60_000, 360, True)
        opening = Opening(the_id, SELLER, *terms, closes_s, next(self.nonces), LATE_S)
        signed = sign(SELLER, sale_acts.open_auction_digest(domain, opening))
        self.do("open", [sale_acts.open_auction(opening, signed)])
        proceeds = {bank: MINIMUM + (bank * 7_919) % 1_000 * FEN for bank in BANKS}
        self.do("commit", [self._bid(number, bank, proceeds[bank]) for bank in BANKS])
        self.chain.advance_to(closes_s)
        self.do("reveal", [sale_acts.reveal_bid(number, bank, proceeds[bank], SALT) for bank in BANKS])
        self.chain.advance_to(closes_s + HOUR_S)
        self.do("award", [sale_acts.award(number)])
        winner, once = max(BANKS, key=lambda bank: proceeds[bank]), self.once()
        registration = number.to_bytes(32, "big")
        digest = sale_acts.settle_auction_digest(domain, number, winner, registration, **once)
        self.do("settle", [sale_acts.settle_auction(number, registration, sign(winner, digest), **once)])

    def _bid(self, number: int, bank: int, micro: int) -> Call:
        once, bid = self.once(), sale_acts.bid_hash(number, bank, micro, SALT)
        digest = sale_acts.commit_bid_digest(self.chain.domain("Sales"), number, bank, bid, **once)
        return sale_acts.commit_bid(number, bank, bid, sign(bank, digest), **once)


STEPS = ("open", "commit", "reveal", "award", "settle")
CLOSING = ("reveal", "award", "settle")


def run(auctions: int = AUCTIONS) -> list[tuple[str, str]]:
    """Rows of a table: what was measured, and the figure with its unit."""
    institutions = [
        Admission(member, signatures.public_key(key(member)), role)
        for member, role in zip(range(1, 8), Role, strict=False)
    ]
    with tempfile.TemporaryDirectory() as folder, start_embedded(Path(folder) / "chain.db", clock="manual") as node:
        genesis = Genesis(b"\5" * 32, institutions, 0, 7 * DAY_S, collection=ACCOUNT)
        hall = Hall(deploy(node.url, genesis, b"\7" * 32))
        hall.fill()
        for number, the_id in enumerate(hall.list_many(auctions), start=1):
            hall.auction(number, the_id)
    return list(_rows(hall.taken, auctions))


def _rows(taken: dict[str, Taken], auctions: int) -> Iterator[tuple[str, str]]:
    for name in STEPS:
        step = taken[name]
        each_ms, gas = 1_000 * step.seconds / len(step.gas), sum(step.gas) / len(step.gas)
        yield f"auctions: {name}", f"{each_ms:.1f} ms, {gas:,.0f} gas each"
    closing_s, all_s = (sum(taken[name].seconds for name in names) / auctions for names in (CLOSING, STEPS))
    yield f"auctions of {MOST_BIDS} bids, whole", f"{1_000 * all_s:.0f} ms and {_gas(taken, auctions):,.0f} gas each"
    yield f"auctions of {MOST_BIDS} bids closed", f"{1 / closing_s:.2f} a second"


def _gas(taken: dict[str, Taken], auctions: int) -> float:
    return sum(sum(taken[name].gas) for name in STEPS) / auctions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--auctions", type=int, default=AUCTIONS)
    for name, figure in run(parser.parse_args().auctions):
        print(f"{name:40} {figure}")


if __name__ == "__main__":
    main()
