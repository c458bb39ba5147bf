"""What a demo day costs on the embedded chain: each act's wall time and gas, through the client, on the disk.

    python bench/bench_chain.py [--members 350] [--commits 100] [--receivables 150] [--workers 2]

The node runs in its own process, as in the market. The last line checks the chain file as the audit does.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console

from settlement import acts, merkle, receivable_acts, sale_acts, signatures
from settlement.acts import Admission, Approval, Commitment, Delta, Mint, Role
from settlement.chain import Call
from settlement.chain_audit import verify_chain_file
from settlement.deploy import Genesis, deploy
from settlement.embedded import start_embedded
from settlement.part_acts import TradeClaim, claim_all_trades
from settlement.receivable_acts import Receivable
from settlement.rpc import RpcChain
from settlement.sale_acts import Offer
from settlement.writer import CALLS_IN_ROUND

YUAN, DAY_S, LATE_S = 1_000_000, 86_400, 10**10
BANK, FIRST_MEMBER = 99, 100
BUYERS = 60
ACCOUNT = bytes(32)


def key(member: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(10**9 + member, ec.SECP256R1())


def sign(member: int, digest: bytes) -> bytes:
    return signatures.sign(key(member), digest)


def approve(member: int, digest: bytes) -> list[Approval]:
    return [Approval(member, sign(member, digest))]


class Day:
    """One market's life on one chain; each step prints what it took."""

    def __init__(self, chain: RpcChain, members: int, console: Console) -> None:
        self.chain = chain
        self.members = [BANK, *range(FIRST_MEMBER, FIRST_MEMBER + members)]
        self.console = console
        self.total_s = 0.0

    def do(self, name: str, wanted: Sequence[Call]) -> None:
        raw = self.chain.sign(wanted)
        began, gas = time.perf_counter(), []
        for at in range(0, len(raw), CALLS_IN_ROUND):
            receipts = self.chain.send(raw[at : at + CALLS_IN_ROUND])
            assert all(receipt.succeeded for receipt in receipts), receipts
            gas += [receipt.gas for receipt in receipts]
        took_s = time.perf_counter() - began
        self.total_s += took_s
        each_ms, mean_gas = 1000 * took_s / len(raw), sum(gas) / len(gas)
        self.console.print(f"{name:28} {len(raw):5} x {each_ms:7.1f} ms = {took_s:6.1f} s, gas {mean_gas:12,.0f}")

    def admit(self) -> None:
        domain, wanted = self.chain.domain("Members"), []
        for index, at in enumerate(range(0, len(self.members), 100)):
            some = [
                Admission(member, signatures.public_key(key(member)), Role.BANK if member == BANK else 0)
                for member in self.members[at : at + 100]
            ]
            wanted.append(acts.admit_many(some, index, approve(1, acts.admit_many_digest(domain, some, index))))
        self.do("admit 100 members", wanted)

    def mint(self, to_escrow: bool) -> None:
        domain, wanted = self.chain.domain("Cash"), []
        for at in range(0, len(self.members), 100):
            some = [
                Mint(member, 10**5 * YUAN, (2 * member + to_escrow).to_bytes(32, "big"), to_escrow)
                for member in self.members[at : at + 100]
            ]
            wanted.append(acts.mint_many(some, approve(4, acts.mint_many_digest(domain, some))))
        self.do("mint 100 to escrow" if to_escrow else "mint 100 to balances", wanted)

    def commit(self, count: int) -> None:
        domain, wanted, previous = self.chain.domain("Clearing"), [], bytes(32)
        for number in range(1, count + 1):
            commitment = Commitment(number, previous, b"\1" * 32, b"\2" * 32, 10)
            previous = commitment.rolling_hash()
            wanted.append(acts.commit(commitment, approve(1, acts.commit_digest(domain, commitment))))
        self.do("commit", wanted)

    def settle(self) -> None:
        members = self.members[1:]
        half = len(members) // 2
        deltas = [Delta(member, -YUAN) for member in members[:half]]
        deltas += [Delta(member, YUAN) for member in members[half : 2 * half]]
        parts = [deltas[:half], deltas[half:]]
        root = b"\3" * 32
        shown = [acts.part(1, index, part) for index, part in enumerate(parts)]
        proposal = acts.Proposal(1, 0, DAY_S, root, root, root, shown)
        digest = acts.propose_digest(self.chain.domain("Clearing"), proposal)
        self.chain.advance_to(2 * DAY_S)
        self.do("propose", [acts.propose(proposal, approve(1, digest), approve(2, digest))])
        self.do(f"apply a part of {half}", [acts.apply_part(1, index, part) for index, part in enumerate(parts)])

    def finance(self, count: int) -> None:
        domain, word = self.chain.domain("Receivables"), b"\4" * 32
        buyers, sellers = self.members[1 : 1 + BUYERS], self.members[1 + BUYERS :]
        pairs = [(sellers[at % len(sellers)], buyers[at % BUYERS]) for at in range(count)]
        trades = [TradeClaim(at, 100 * YUAN, word) for at in range(count)]
        owed = [
            Receivable(1, *pair, 100 * YUAN, 60, 1, 61, trade.claim_leaf, word)
            for pair, trade in zip(pairs, trades, strict=True)
        ]
        ids = [receivable_acts.receivable_id(each) for each in owed]
        root = merkle.root(ids)
        digest = receivable_acts.issue_period_digest(domain, 1, root, count)
        self.do(
            "issue a period", [receivable_acts.issue_period(1, root, count, approve(1, digest), approve(2, digest))]
        )
        proven = [(each, merkle.path(ids, at)) for at, each in enumerate(owed)]
        batches = [receivable_acts.materialise_many(proven[at : at + 20]) for at in range(0, count, 20)]
        self.do("materialise 20", batches)
        self.do("acknowledge (one debtor)", [self._acknowledge(buyer, owed, ids) for buyer in buyers])
        claims = [claim for the_id, each in zip(ids, trades, strict=True) for claim in claim_all_trades(the_id, [each])]
        self.do("claim a trade", claims)
        numbered = list(enumerate(zip(owed, ids, strict=True), 1000))
        self.do("list", [self._list(each.creditor, the_id, nonce) for nonce, (each, the_id) in numbered])
        self.do("finance", [self._finance(each.creditor, the_id, nonce) for nonce, (each, the_id) in numbered])
        self.do("repay", [self._repay(each.debtor, the_id, nonce) for nonce, (each, the_id) in numbered])

    def _acknowledge(self, buyer: int, owed: Sequence[Receivable], ids: Sequence[bytes]) -> Call:
        own = [the_id for each, the_id in zip(owed, ids, strict=True) if each.debtor == buyer]
        once = {"nonce": 1, "deadline_s": LATE_S}
        digest = receivable_acts.acknowledge_many_digest(self.chain.domain("Receivables"), buyer, own, ACCOUNT, **once)
        return receivable_acts.acknowledge_many(buyer, own, ACCOUNT, sign(buyer, digest), **once)

    def _list(self, seller: int, the_id: bytes, nonce: int) -> Call:
        once = {"nonce": nonce, "deadline_s": LATE_S}
        digest = receivable_acts.set_listed_digest(self.chain.domain("Receivables"), the_id, seller, True, **once)
        return receivable_acts.set_listed(the_id, True, sign(seller, digest), **once)

    def _finance(self, seller: int, the_id: bytes, nonce: int) -> Call:
        domain = self.chain.domain("Sales")
        offer = Offer(
            the_id, BANK, 800_000, 80 * YUAN, 78 * YUAN, 0, 0, 360, False, nonce.to_bytes(32, "big"), nonce, LATE_S
        )
        accepted = sale_acts.acceptance_digest(domain, offer, seller, nonce=10**6 + nonce, deadline_s=LATE_S)
        signed = sign(BANK, sale_acts.offer_digest(domain, offer)), sign(seller, accepted)
        return sale_acts.finance(offer, *signed, seller_nonce=10**6 + nonce, seller_deadline_s=LATE_S)

    def _repay(self, buyer: int, the_id: bytes, nonce: int) -> Call:
        once = {"nonce": nonce, "deadline_s": LATE_S}
        digest = receivable_acts.repay_digest(self.chain.domain("Receivables"), the_id, buyer, 100 * YUAN, **once)
        return receivable_acts.repay(the_id, 100 * YUAN, sign(buyer, digest), **once)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=350)
    parser.add_argument("--commits", type=int, default=100)
    parser.add_argument("--receivables", type=int, default=150)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    console = Console()
    institutions = [
        Admission(member, signatures.public_key(key(member)), role)
        for member, role in zip(range(1, 8), Role, strict=False)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chain.db"
        with start_embedded(file, clock="manual") as node:
            began = time.perf_counter()
            chain = deploy(node.url, Genesis(b"\5" * 32, institutions, 0, 7 * DAY_S), b"\7" * 32)
            console.print(f"{'deploy':28} {time.perf_counter() - began:.1f} s")
            day = Day(chain, options.members, console)
            day.admit()
            day.mint(to_escrow=True)
            day.mint(to_escrow=False)
            day.commit(options.commits)
            day.settle()
            day.finance(options.receivables)
            began = time.perf_counter()
            events = chain.events(0)
            took_s = time.perf_counter() - began
            console.print(f"all of it {day.total_s:.1f} s; {len(events):,} events read in {took_s:.2f} s")
        began = time.perf_counter()
        with start_embedded(file, clock="manual") as node:
            console.print(f"node restarted in {time.perf_counter() - began:.1f} s; file {file.stat().st_size:,} bytes")
        began = time.perf_counter()
        blocks = [progress.done for progress in verify_chain_file(file, workers=options.workers)][-1]
        took_s = time.perf_counter() - began
        console.print(f"{blocks} blocks run again by {options.workers} processes in {took_s:.1f} s")


if __name__ == "__main__":
    main()
