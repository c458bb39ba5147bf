"""A node in this process, the client over it, and one life of a market's money that every kind of chain must live."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from settlement import acts, calls, hexjson, merkle, part_acts, receivable_acts, sale_acts
from settlement.acts import Admission, Commitment, Delta, Mint, Role
from settlement.chain import Call, Chain, ChainEvent
from settlement.chain_store import ChainStore
from settlement.deploy import deploy_over
from settlement.jsonrpc import JsonRpc
from settlement.node import Node
from settlement.node_methods import answer
from settlement.part_acts import TradeClaim
from settlement.receivable_acts import Receivable
from settlement.rpc import RpcChain
from tests.settlement.contract_bench import (
    CHAIN_ID,
    CHECKER,
    CUSTODIAN,
    DISPUTE_WINDOW_S,
    LATE_S,
    OPERATOR,
    START_S,
    YUAN,
    genesis,
    public,
    sign,
)
from verifier.chain import Block, Known, read_event
from verifier.report import Report

RELAYER_KEY = b"\7" * 32
ANNA, BORIS, BANK = 100, 101, 102
DAY_S = 86_400


@contextmanager
def node_on(file: Path) -> Iterator[Node]:
    """A node with a manual clock on a chain file."""
    store = ChainStore(file, CHAIN_ID, START_S)
    try:
        yield Node(store, CHAIN_ID, None)
    finally:
        store.close()


def rpc_to(node: Node) -> JsonRpc:
    return JsonRpc(lambda body: answer(node, body))


def chain_on(node: Node) -> RpcChain:
    """The deployed contracts on a node in this process."""
    return deploy_over(rpc_to(node), genesis(), RELAYER_KEY)


def commitments(count: int) -> list[Commitment]:
    """The first commitments of a market, each on the one before."""
    made: list[Commitment] = []
    for number in range(1, count + 1):
        previous = made[-1].rolling_hash() if made else bytes(32)
        made.append(Commitment(number, previous, bytes([number]) * 32, b"\2" * 32, number))
    return made


def commit_calls(chain: Chain, count: int) -> list[Call]:
    """Calls for them, approved by the operator."""
    domain = chain.domain("Clearing")
    return [
        acts.commit(each, [acts.Approval(OPERATOR, sign(OPERATOR, acts.commit_digest(domain, each)))])
        for each in commitments(count)
    ]


def live_one_life(chain: Chain) -> None:
    """Admission, money, commitments, a settled day, a receivable sold and repaid; and what is refused on the way."""
    life = _Life(chain)
    life.admit()
    life.mint()
    life.commit()
    life.settle()
    life.sell_and_repay()
    names = [event.event for event in chain.events(0)]
    for name in ("Admitted", "Minted", "Entered", "Committed", "Proposed", "Settled", "CycleApplied", "Financed"):
        assert name in names
    blocks = [(event.block, event.log_index) for event in chain.events(0)]
    assert blocks == sorted(set(blocks))
    assert chain.events(chain.head().number + 1) == []
    for event in chain.events(0):
        assert_proven(chain, event)


def assert_proven(chain: Chain, event: ChainEvent) -> None:
    """The chain can show this event to whoever has the hash of its block, as the verifier reads it."""
    shown = msgspec.json.decode(hexjson.dumps(chain.event_proof(event.block, event.log_index)))
    (header,) = chain.headers(event.block, event.block)
    report = Report()
    found = read_event(shown, "event", report, Known([Block(event.block, header.hash)]))
    assert report.holds and found is not None
    assert (found.block, found.block_s, found.address) == (event.block, event.block_s, chain.addresses[event.contract])


class _Life:
    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.start_s = chain.head().timestamp_s

    def do(self, *wanted: Call) -> list[str]:
        """Send calls together; what each was refused for."""
        return [receipt.refusal for receipt in self.chain.send(self.chain.sign(wanted))]

    def approve(self, member: int, digest: bytes) -> list[acts.Approval]:
        return [acts.Approval(member, sign(member, digest))]

    def ask(self, question: Call) -> object:
        return self.chain.view(question)[0]

    def admit(self) -> None:
        admissions = [Admission(ANNA, public(ANNA), 0), Admission(BORIS, public(BORIS), 0)]
        admissions.append(Admission(BANK, public(BANK), Role.BANK))
        digest = acts.admit_many_digest(self.chain.domain("Members"), admissions, 0)
        forged = acts.admit_many(admissions, 0, self.approve(CHECKER, digest))
        admitting = acts.admit_many(admissions, 0, self.approve(OPERATOR, digest))
        assert self.do(forged, admitting, admitting) == ["approvals_missing", "", "index_out_of_order"]
        assert self.ask(calls.key_of(ANNA)) == tuple(public(ANNA))

    def mint(self) -> None:
        mints = [Mint(ANNA, 50 * YUAN, b"\1" * 32, True), Mint(ANNA, 120 * YUAN, b"\2" * 32, False)]
        mints.append(Mint(BANK, 100 * YUAN, b"\3" * 32, False))
        digest = acts.mint_many_digest(self.chain.domain("Cash"), mints)
        minting = acts.mint_many(mints, self.approve(CUSTODIAN, digest))
        assert self.do(minting, minting) == ["", "reference_used"]
        assert (self.ask(calls.escrow_of(ANNA)), self.ask(calls.balance_of(ANNA))) == (50 * YUAN, 120 * YUAN)

    def commit(self) -> None:
        first, second = commit_calls(self.chain, 2)
        assert self.do(second, first, second) == ["commit_out_of_order", "", ""]
        assert self.ask(calls.latest_commitment()) == commitments(2)[-1].rolling_hash()

    def settle(self) -> None:
        deltas = [Delta(ANNA, -20 * YUAN), Delta(BORIS, 20 * YUAN)]
        root, end_s = b"\1" * 32, self.start_s + DAY_S
        proposal = acts.Proposal(1, self.start_s, end_s, root, root, root, [acts.part(1, 0, deltas)])
        digest = acts.propose_digest(self.chain.domain("Clearing"), proposal)
        proposing = acts.propose(proposal, self.approve(OPERATOR, digest), self.approve(CHECKER, digest))
        applying = acts.apply_part(1, 0, deltas)
        assert self.do(proposing) == ["cycle_not_over"]
        self.chain.advance_to(end_s)
        assert self.do(proposing, applying) == ["", "dispute_window_open"]
        self.chain.advance_to(self.chain.head().timestamp_s + DISPUTE_WINDOW_S)
        assert self.do(applying, applying) == ["", "cycle_out_of_order"]
        assert (self.ask(calls.escrow_of(ANNA)), self.ask(calls.escrow_of(BORIS))) == (30 * YUAN, 20 * YUAN)

    def sell_and_repay(self) -> None:
        domain = self.chain.domain("Receivables")
        trade = TradeClaim(1, 100 * YUAN, b"\4" * 32)
        owed = Receivable(1, BORIS, ANNA, 100 * YUAN, 60, 30_000, 30_060, trade.claim_leaf, b"\5" * 32)
        leaves = [receivable_acts.receivable_id(owed), merkle.leaf(b"another")]
        root, the_id = merkle.root(leaves), leaves[0]
        digest = receivable_acts.issue_period_digest(domain, 1, root, 2)
        issuing = receivable_acts.issue_period(
            1, root, 2, self.approve(OPERATOR, digest), self.approve(CHECKER, digest)
        )
        once, account = {"nonce": 2**200 + 7, "deadline_s": LATE_S}, genesis().collection
        agreed = sign(ANNA, receivable_acts.acknowledge_many_digest(domain, ANNA, [the_id], account, **once))
        listed = sign(BORIS, receivable_acts.set_listed_digest(domain, the_id, BORIS, True, **once))
        offer = sale_acts.Offer(the_id, BANK, 800_000, 80 * YUAN, 78 * YUAN, 0, 0, 360, False, b"\6" * 32, 1, LATE_S)
        sales = self.chain.domain("Sales")
        signed = sign(BANK, sale_acts.offer_digest(sales, offer))
        accepted = sign(BORIS, sale_acts.acceptance_digest(sales, offer, BORIS, nonce=9, deadline_s=LATE_S))
        financing = sale_acts.finance(offer, signed, accepted, seller_nonce=9, seller_deadline_s=LATE_S)
        repay = {"nonce": 3, "deadline_s": LATE_S}
        paid = sign(ANNA, receivable_acts.repay_digest(domain, the_id, ANNA, 100 * YUAN, **repay))
        assert self.do(
            issuing,
            receivable_acts.materialise(owed, merkle.path(leaves, 0)),
            financing,
            receivable_acts.acknowledge_many(ANNA, [the_id], account, agreed, **once),
            *part_acts.claim_all_trades(the_id, [trade]),
            receivable_acts.set_listed(the_id, True, listed, **once),
            financing,
            receivable_acts.repay(the_id, 100 * YUAN, paid, **repay),
        ) == ["", "", "not_listed", "", "", "", "", ""]
        balances = [self.ask(calls.balance_of(member)) for member in (ANNA, BORIS, BANK)]
        assert balances == [20 * YUAN, 98 * YUAN, 102 * YUAN]
