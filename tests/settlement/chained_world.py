"""The small market with a chain of its own: the embedded node in this process, its file, and the real contracts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import insert

from data import tables
from data.database import reading
from settlement import acts, custody_acts, cycle, cycle_store, drafting, mirror, outbox, signatures
from settlement.acts import Admission, Mint, Role
from settlement.audit_scene import AuditTerms
from settlement.chain_store import ChainStore
from settlement.deploy import Genesis, deploy_over
from settlement.jsonrpc import JsonRpc
from settlement.keccak import keccak
from settlement.node import Node
from settlement.node_methods import answer
from settlement.officer import Officer
from settlement.rpc import RpcChain
from settlement.writer import Writer
from tests.databases import url_of
from tests.finance.ledger import COLLECTION
from tests.settlement.settlement_world import (
    CHECKER,
    CUSTODIAN,
    DAY,
    DOMAIN,
    ENGINE_RULES,
    INSTITUTIONS,
    METER_OPERATOR,
    OPERATOR,
    OWNERS,
    RULES,
    World,
    a_day_of_trading,
    after_window,
    checker_approval,
    key_of,
    new_world,
    start_of,
)

DISPUTE_WINDOW_S = 3_600
ROLES = dict(zip(INSTITUTIONS, Role, strict=False))
YUAN = 1_000_000
WITNESS, WITNESS_KEY = "newspaper", 20_000


def genesis() -> Genesis:
    members = [Admission(member, signatures.public_key(key_of(member)), role) for member, role in ROLES.items()]
    return Genesis(DOMAIN.salt, members, DISPUTE_WINDOW_S, horizon_s=86_400, collection=COLLECTION)


def audit_terms() -> AuditTerms:
    witnesses = {WITNESS: signatures.public_key(key_of(WITNESS_KEY))}
    return AuditTerms(ENGINE_RULES, RULES, genesis(), OPERATOR, CHECKER, frozenset({METER_OPERATOR}), witnesses)


@dataclass
class ChainedWorld:
    folder: Path
    world: World
    chain: RpcChain

    @property
    def url(self) -> str:
        return url_of(self.folder)

    @property
    def chain_file(self) -> Path:
        return self.folder / "chain.db"

    def send(self, now_s: int) -> None:
        """What waits goes to the chain at this time, and what came of it into the database."""
        self.chain.advance_to(now_s)
        Writer(self.world.database, self.chain).drain()
        with self.world.database.begin() as connection:
            mirror.pull(connection, self.chain)

    def admit_and_fund(self) -> None:
        """Every owner is admitted and has 200 yuan in escrow, the guarantee fund 1 yuan."""
        admissions = [Admission(member, signatures.public_key(key_of(member)), 0) for member in OWNERS.values()]
        digest = acts.admit_many_digest(self.chain.domain("Members"), admissions, 0)
        mints = [Mint(member, 200 * YUAN, keccak(f"bank-{member}".encode()), True) for member in OWNERS.values()]
        mints.append(Mint(101, 7 * YUAN, keccak(b"bank-cash"), False))
        minting = acts.mint_many_digest(self.chain.domain("Cash"), mints)
        with self.world.database.begin() as connection:
            outbox.put(connection, acts.admit_many(admissions, 0, [self.world.operator.approve(digest)]))
            custodian = Officer(CUSTODIAN, key_of(CUSTODIAN))
            as_of_s, holds_micro = start_of(DAY) - 86_400, 10**6 * YUAN
            attesting = custody_acts.attest_balance_digest(self.chain.domain("Cash"), as_of_s, holds_micro)
            outbox.put(connection, custody_acts.attest_balance(as_of_s, holds_micro, [custodian.approve(attesting)]))
            sent = outbox.put(connection, acts.mint_many(mints, [custodian.approve(minting)]))
            for mint, reference in zip(
                mints, [*(f"bank-{each}" for each in OWNERS.values()), "bank-cash"], strict=True
            ):
                row = {"member_id": mint.member, "amount_micro": mint.amount_micro, "to_escrow": mint.to_escrow}
                connection.execute(insert(tables.deposits), {"reference": reference, "outbox_id": sent, **row})
        self.send(start_of(DAY) - 86_400)

    def draft(self, now_s: int) -> int | None:
        return drafting.draft_due(
            self.world.database, now_s, rules=RULES, domain=self.world.domain, operator=self.world.operator
        )

    def sign(self, number: int) -> None:
        with self.world.database.begin() as connection:
            row = cycle_store.cycle(connection, number)
            assert row is not None
            digest = acts.propose_digest(self.world.domain, cycle.stated_proposal(row))
            refused = cycle.accept_signature(
                connection,
                number,
                checker_approval(digest).signature,
                checker=CHECKER,
                key=signatures.public_key(key_of(CHECKER)),
                operator=OPERATOR,
                domain=self.world.domain,
            )
            assert refused is None

    def settle(self, now_s: int) -> None:
        """The next cycle, from draft to applied."""
        self.world.commit(now_s, at_once=True)
        number = self.draft(now_s)
        assert number is not None
        self.sign(number)
        self.send(now_s)
        with self.world.database.begin() as connection:
            assert cycle.apply_due(connection, now_s + DISPUTE_WINDOW_S) == [number]
        self.send(now_s + DISPUTE_WINDOW_S)
        with reading(self.world.database) as connection:
            applied = cycle_store.cycle(connection, number)
            assert applied is not None
            assert applied.state == "applied"


@contextmanager
def chained_world(folder: Path) -> Iterator[ChainedWorld]:
    """A populated market with its chain, before any trading."""
    store = ChainStore(folder / "chain.db", DOMAIN.chain_id, 0)
    node = Node(store, DOMAIN.chain_id, None)
    chain = deploy_over(JsonRpc(partial(answer, node)), genesis(), b"\7" * 32)
    world = new_world(folder, chain.domain("Clearing"))
    chained = ChainedWorld(folder, world, chain)
    chained.admit_and_fund()
    yield chained
    world.database.dispose()
    store.close()


@contextmanager
def settled_world(folder: Path) -> Iterator[ChainedWorld]:
    """A day of trading, settled; then a second cycle in which a debt of the first falls due."""
    with chained_world(folder) as chained:
        a_day_of_trading(chained.world)
        chained.world.meter(("A1", 10, 0, 2_000))  # above capacity: quarantined
        chained.world.meter(("A1", 10, 0, 255))  # a correction
        chained.settle(after_window(DAY))
        yield chained
