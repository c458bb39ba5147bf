"""One market with something in every table: traded, settled, financed, paid out, halted, changed and decided upon.

The audit's mutation test changes it cell by cell. Whoever adds a table adds a row of it here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, Table, insert, update

from data import tables
from finance import auctions, marking, sales_mirror
from finance import mirror as finance_mirror
from finance.calendar import DayCount, days_between
from finance.credit import card, scoring
from finance.credit import store as credit_store
from finance.offer import Quote, terms_of
from market import control_store, decision_store, halt_store, key_store, member_store, withdrawal_store, withdrawing
from market.config import INSTITUTIONS as INSTITUTIONS_BY_NAME
from market.decision_store import Check, Decision
from market.guards import Controls, Halt
from market.key_store import Rotation
from market.serving import GENESIS
from market.store import CLOCK, put_settings
from market.withdrawal_store import Withdrawal
from market.withdrawals import payout_of
from settlement import (
    acts,
    calendar,
    custody_acts,
    mirror,
    outbox,
    reading_leaf,
    reading_store,
    signatures,
    witness_store,
    witnesses,
)
from settlement.acts import Admission, Mint, Role
from settlement.areas import AreaMeter
from settlement.keccak import keccak
from settlement.officer import Officer
from settlement.witnesses import Signer, Statement
from settlement.writer import Writer
from tests.finance.ledger import BANK, TIME_ZONE, Ledger
from tests.settlement.bank_rows import ask
from tests.settlement.chained_world import (
    DISPUTE_WINDOW_S,
    WITNESS,
    WITNESS_KEY,
    YUAN,
    ChainedWorld,
    chained_world,
)
from tests.settlement.outside_rows import tell
from tests.settlement.sale_rows import auction_and_program
from tests.settlement.settlement_world import (
    CUSTODIAN,
    DAY,
    DOMAIN,
    GRID,
    HOUR,
    INSTITUTIONS,
    METER_OPERATOR,
    OPERATOR,
    OWNERS,
    Wish,
    a_day_of_trading,
    after_window,
    key_of,
    start_of,
)

ANN, BO, CY, DI = OWNERS.values()
"""Ann buys, Bo and Cy sell, Di does both; Bo changes his key, Cy takes money out, Di is suspended for a while."""

EVENING_S = start_of(DAY) - 12 * HOUR
SETTLED_S = after_window(DAY) + DISPUTE_WINDOW_S
REGULATOR = 7
METER_KEY = 30_000
BEGUN: dict[str, object] = {
    "institutions": {role: {"name": f"m{member}"} for role, member in INSTITUTIONS_BY_NAME.items()},
    "salt": DOMAIN.salt.hex(),
}
"""What market.toml said when this market began, as far as it matters here."""

FROZEN = GRID
"""Frozen and released again: it has nothing to take out."""


class WholeWorld:
    """A ``ChainedWorld`` with a ``Ledger`` over the same database and chain; ``at_s`` is the market's time."""

    def __init__(self, chained: ChainedWorld) -> None:
        self.chained, self.world, self.chain = chained, chained.world, chained.chain
        self.at_s = EVENING_S
        self.ledger = Ledger(self.world, self.chain, now_s=self.at_s)

    # ------------------------------------------------------------------------------------------------ people

    def decide(self) -> None:
        """Everyone was admitted; Di was suspended and came back; one applicant was refused, one still waits."""
        with self.world.database.begin() as connection:
            member_store.add_fund(connection, self.at_s)
            for member in (*INSTITUTIONS, *OWNERS.values()):
                self._decide(connection, member, "admitted", "seen", Check("identity", "passport at the counter"))
                admitted = update(tables.members).where(tables.members.c.member_id == member)
                connection.execute(admitted.values(admitted_s=self.at_s))
            for member in OWNERS.values():
                neighbour = update(tables.members).where(tables.members.c.member_id == member)
                connection.execute(neighbour.values(roles='["consumer","producer"]'))
            self._decide(connection, DI, "suspended", "a bill from the winter")
            self._decide(connection, DI, "reinstated", "it was paid")
            for member, status in ((108, "refused"), (109, "pending")):
                self._register(connection, member, "household", [], status)
            self._decide(connection, 108, "refused", "lives elsewhere")

    def admit_a_bank(self) -> None:
        admissions = [Admission(BANK, signatures.public_key(key_of(BANK)), Role.BANK)]
        digest = acts.admit_many_digest(self.chain.domain("Members"), admissions, 1)
        mints = [Mint(member, 100 * YUAN, keccak(f"more-{member}".encode()), False) for member in (BANK, ANN, DI)]
        minting = acts.mint_many_digest(self.chain.domain("Cash"), mints)
        custodian = Officer(CUSTODIAN, key_of(CUSTODIAN))
        with self.world.database.begin() as connection:
            self._register(connection, BANK, "bank", ["bank"], "admitted")
            self._decide(connection, BANK, "admitted", "licensed")
            admitted = update(tables.members).where(tables.members.c.member_id == BANK)
            connection.execute(admitted.values(admitted_s=self.at_s))
            outbox.put(connection, acts.admit_many(admissions, 1, [self.world.operator.approve(digest)]))
            sent = outbox.put(connection, acts.mint_many(mints, [custodian.approve(minting)]))
            for mint in mints:
                row = {"member_id": mint.member, "amount_micro": mint.amount_micro, "to_escrow": False}
                connection.execute(
                    insert(tables.deposits), {"reference": f"more-{mint.member}", "outbox_id": sent, **row}
                )
        self.pull()

    def attest(self) -> None:
        """The custodian holds somewhat more than there is."""
        domain, balance_micro = self.chain.domain("Cash"), 2_000 * YUAN
        approval = Officer(CUSTODIAN, key_of(CUSTODIAN)).approve(
            custody_acts.attest_balance_digest(domain, self.at_s, balance_micro)
        )
        with self.world.database.begin() as connection:
            sent = outbox.put(connection, custody_acts.attest_balance(self.at_s, balance_micro, [approval]))
            row = {"as_of_s": self.at_s, "balance_micro": balance_micro, "outbox_id": sent}
            connection.execute(insert(tables.custody_balances), row)
        self.pull()

    def freeze(self, frozen: bool, index: int) -> None:
        digest = acts.freeze_digest(self.chain.domain("Members"), FROZEN, frozen, index)
        approval = Officer(REGULATOR, key_of(REGULATOR)).approve(digest)
        with self.world.database.begin() as connection:
            outbox.put(connection, acts.freeze(FROZEN, frozen, index, [approval]))
            members = update(tables.members).where(tables.members.c.member_id == FROZEN)
            connection.execute(members.values(frozen=frozen))
        self.pull()

    def change_key(self) -> None:
        """Bo's second key."""
        old, new = key_of(BO), key_of(10_000 + BO)
        once = {"nonce": 77, "deadline_s": self.at_s + 86_400}
        digest = acts.rotate_key_digest(self.chain.domain("Members"), BO, signatures.public_key(new), **once)
        rotation = Rotation(
            BO,
            signatures.public_key(old),
            signatures.public_key(new),
            **once,
            signature=signatures.sign(old, digest),
            keeps_api_keys=True,
        )
        with self.world.database.begin() as connection:
            key_store.rotate(connection, rotation, self.world.engine.sequence + 1, self.at_s)
        self.world.changed_keys[BO] = new
        self.pull()

    # ------------------------------------------------------------------------------------------- market rules

    def govern(self) -> None:
        """A halt that stands and one that was lifted; a member with limits of its own."""
        node = self.world.nodes["T2"]
        with self.world.database.begin() as connection:
            halt_store.add(
                connection, Halt(1, node, start_of(DAY, 20), start_of(DAY, 22), self.at_s, OPERATOR, "works")
            )
            lifted = Halt(2, None, None, None, self.at_s, OPERATOR, "storm", self.at_s + 60, REGULATOR, "it is over")
            halt_store.add(connection, lifted)
            control_store.add(connection, Controls(CY, "limits", self.at_s, OPERATOR, "a pilot", 10, 5, 3, 6))
            put_settings(connection, {GENESIS: BEGUN, CLOCK: self.at_s})

    def stop(self) -> None:
        """Di wants no orders of hers any more."""
        with self.world.database.begin() as connection:
            control_store.add(connection, Controls(DI, "kill", self.at_s, DI, "on holiday", stopped="member"))

    def remember_visitors(self) -> None:
        """What lets people in, and what was answered to them."""
        seen = {"created_s": self.at_s, "used_s": self.at_s}
        rows: list[tuple[Table, dict[str, Any]]] = [
            (tables.sessions, {"token_hash": b"\1" * 32, "session_id": "s1", "member_id": ANN, "scopes": '["read"]',
                               "opened_s": self.at_s, "expires_s": self.at_s + 60, "fresh_until_s": 0}),
            (tables.api_keys, {"key_hash": b"\2" * 32, "api_key_id": "k1", "member_id": ANN, "name": "meter reader",
                               "scopes": '["read"]', "networks": "[]", "expires_s": None, **seen}),
            (tables.factors, {"factor_id": "f1", "member_id": ANN, "kind": "totp", "name": "phone",
                              "secret": b"\3" * 48, "counter": 1, **seen}),
            (tables.recovery_codes, {"member_id": ANN, "mark": b"\4" * 32}),
            (tables.idempotency, {"member_id": ANN, "key": "k", "body_hash": b"\5" * 32, "status": 201,
                                  "answer": b"{}"}),
        ]  # fmt: skip
        with self.world.database.begin() as connection:
            for table, row in rows:
                connection.execute(insert(table), row)

    def measure(self) -> None:
        """An area meter from the next day on, and a meter with a key of its own."""
        area = AreaMeter(self.world.nodes["T1"], 1, start_of(DAY, 24), 5_000, 5_000, 200, 50)
        digest = reading_leaf.area_digest(self.world.domain, "T1", area)
        meter, point = self.world.nodes["A1"], signatures.public_key(key_of(METER_KEY))
        registering = reading_leaf.meter_key_digest(self.world.domain, "A1", 1, point)
        row = {
            "node_id": meter,
            "number": 1,
            "from_signature": 1_000,
            "to_signature": None,
            "x": point.x.to_bytes(32, "big"),
            "y": point.y.to_bytes(32, "big"),
            "registered_s": self.at_s,
            "signer": METER_OPERATOR,
            "signature": signatures.sign(key_of(METER_OPERATOR), registering),
            "proof": signatures.sign(key_of(METER_KEY), registering),
        }
        with self.world.database.begin() as connection:
            word = signatures.sign(key_of(GRID), digest)
            reading_store.add_area_meter(connection, area, set_s=self.at_s, signer=GRID, signature=word)
            connection.execute(insert(tables.meter_keys), row)

    # ------------------------------------------------------------------------------------------------- money

    def finance(self) -> None:
        """The period's receivables: one is sold to the bank and partly paid, one is up for auction."""
        ledger = self.ledger
        ledger.now_s = self.at_s
        number = ledger.close()
        assert number is not None
        assert ledger.sign_period(number) is None
        self.pull()
        first, second = ledger.receivables()[:2]
        for row in (first, second):
            ledger.acknowledge(row.debtor, row.receivable_id)
        self.pull()
        for row in (first, second):
            ledger.set_listed(row.creditor, row.receivable_id)
        self.pull()
        offers = [self._offer(row.receivable_id) for row in (first, first, second)]
        ledger.accept(first.creditor, offers[0])
        self.pull()
        ledger.repay(first.debtor, first.receivable_id, 10)
        self.pull()
        with self.world.database.begin() as connection:
            tell(connection, first.receivable_id, first.face_fen, seller=first.creditor, bank=BANK, at_s=self.at_s)
            ask(connection, first.receivable_id, seller=first.creditor, bank=BANK, at_s=self.at_s)
        auction_and_program(ledger, second.receivable_id, self.pull)
        self.at_s = ledger.now_s

    def queue_acts(self) -> None:
        """A debtor pays a little more, an auction's award is due: signed and queued, the chain has not heard of it."""
        self.ledger.now_s = self.at_s
        (partly_paid,) = [row for row in self.ledger.receivables() if row.state == "partly_paid"]
        self.ledger.repay(partly_paid.debtor, partly_paid.receivable_id, 1)
        with self.world.database.begin() as connection:
            assert auctions.take_due(connection, self.at_s) == 1

    def fall_due(self) -> None:
        """Two months later nobody has paid the rest."""
        self.at_s += 60 * 86_400
        with self.world.database.begin() as connection:
            assert marking.mark_due(connection, self.at_s, TIME_ZONE) >= 1
        assert withdrawing.withdraw_due(self.world.database, self.at_s)  # queued: the chain has not heard of them

    def trust(self) -> None:
        """Everyone was scored; the bank let Ann owe something, and then more."""
        for at_s in (self.at_s, self.at_s + 86_400):  # the second finds nothing new
            scoring.score_due(self.world.database, card.read(card.EXPERT), at_s, TIME_ZONE)
        with self.world.database.begin() as connection:
            for yuan in (5, 7):
                credit_store.set_limits(connection, BANK, {ANN: yuan * YUAN}, self.at_s)

    def draft(self) -> None:
        """The next day is being drafted, and nothing of it stands yet."""
        day = DAY + timedelta(days=1)
        _, end_s = calendar.bounds(day, TIME_ZONE)
        with self.world.database.begin() as connection:
            connection.execute(insert(tables.drafts), {"cycle": 2, "day": day.isoformat(), "end_s": end_s})

    def witness(self) -> None:
        """A newspaper has seen the chain grow, and the head as it is."""
        signer = Signer(WITNESS, key_of(WITNESS_KEY), self.world.domain)
        last: Statement | None = None
        head = self.chain.head().number
        with self.world.database.begin() as connection:
            for block in (head - 3, head):
                (header,) = self.chain.headers(block, block)
                last = witnesses.state(signer, header, last, header.timestamp_s + 9)
                row = {name: getattr(last, name) for name in Statement.__struct_fields__}
                witness_store.add(connection, {**row, "received_s": header.timestamp_s + 10})

    def _offer(self, receivable_id: bytes) -> int:
        row, quote = self.ledger.receivable(receivable_id), Quote(900_000, 60_000, DayCount.ACT_360, 1)
        days = days_between(calendar.day_of(self.at_s, TIME_ZONE), date.fromisoformat(row.due_day))
        terms = terms_of(row.face_fen, quote, days)
        return self.ledger.offer(
            BANK, receivable_id, quote, advance_fen=terms.advance_fen, proceeds_fen=terms.proceeds_fen
        )

    def take_money_out(self) -> None:
        """Cy's money goes all the way, Di signed for hers and asks for more, Bo's request has not left the house."""
        self._request(1, CY, 3 * YUAN)
        self._request(2, DI, 2 * YUAN)
        self.step()
        self.at_s += 20 * 86_400  # no cycle for 14 days: exits need no operator
        self.chain.advance_to(self.at_s)
        self.step()
        self._request(3, DI, YUAN)
        self.step()
        self._request(4, BO, YUAN)
        self._sign_payout(1)
        self._sign_payout(2)
        self._pay_out(1)

    def _request(self, number: int, member: int, amount_micro: int) -> None:
        once = {"nonce": 900 + number, "deadline_s": self.at_s + 86_400}
        digest = acts.request_exit_digest(self.chain.domain("Clearing"), member, amount_micro, **once)
        new = Withdrawal(
            number, member, "escrow", amount_micro, once["nonce"], once["deadline_s"],
            signatures.sign(self._key(member), digest), self.at_s, "requested", self.at_s,
        )  # fmt: skip
        with self.world.database.begin() as connection:
            withdrawal_store.add(connection, new)

    def _sign_payout(self, number: int) -> None:
        once = {"nonce": 950 + number, "deadline_s": self.at_s + 86_400}
        with self.world.database.begin() as connection:
            found = withdrawal_store.find(connection, number)
            assert found is not None and found.state == "free"
            digest = acts.burn_digest(self.chain.domain("Cash"), payout_of(self.chain.chain_id, found, **once))
            withdrawal_store.change(
                connection, number, "free", state="signed", changed_s=self.at_s,
                payout_nonce=once["nonce"], payout_deadline_s=once["deadline_s"],
                payout_signature=signatures.sign(self._key(found.member_id), digest),
            )  # fmt: skip

    def _pay_out(self, number: int) -> None:
        with self.world.database.begin() as connection:
            found = withdrawal_store.find(connection, number)
            assert found is not None and found.payout_nonce is not None and found.payout_signature is not None
            assert found.payout_deadline_s is not None
            once = {"nonce": found.payout_nonce, "deadline_s": found.payout_deadline_s}
            payout = payout_of(self.chain.chain_id, found, **once)
            approval = Officer(CUSTODIAN, key_of(CUSTODIAN)).approve(
                acts.burn_digest(self.chain.domain("Cash"), payout)
            )
            withdrawal_store.change(
                connection, number, "signed", state="confirmed", changed_s=self.at_s, bank_reference="out-1",
                outbox_id=outbox.put(connection, acts.burn(payout, found.payout_signature, [approval])),
            )  # fmt: skip
        self.pull()

    # ------------------------------------------------------------------------------------------------- time

    def step(self) -> None:
        """What is due of withdrawals goes to the chain and comes back."""
        withdrawing.withdraw_due(self.world.database, self.at_s)
        self.pull()

    def pull(self) -> None:
        Writer(self.world.database, self.chain).drain()
        with self.world.database.begin() as connection:
            events = mirror.pull(connection, self.chain)
            finance_mirror.follow(connection, events, self.at_s, TIME_ZONE)
            sales_mirror.follow(connection, events)
            withdrawing.follow(connection, events, self.chain.chain_id)

    # ------------------------------------------------------------------------------------------------- rows

    def _key(self, member: int) -> ec.EllipticCurvePrivateKey:
        return self.world.changed_keys.get(member) or key_of(member)

    def _decide(self, connection: Connection, member: int, decision: str, note: str, *checked: Check) -> None:
        decision_store.add(connection, [Decision(member, decision, self.at_s, OPERATOR, note, checked)])

    def _register(self, connection: Connection, member: int, kind: str, roles: list[str], status: str) -> None:
        names = "[" + ",".join(f'"{role}"' for role in roles) + "]"
        row = {"member_id": member, "name": f"m{member}", "kind": kind, "roles": names, "status": status}
        connection.execute(insert(tables.members), {**row, "registered_s": self.at_s, "credit_limit_micro": 0})
        key = signatures.public_key(key_of(member))
        point = {"x": key.x.to_bytes(32, "big"), "y": key.y.to_bytes(32, "big")}
        connection.execute(insert(tables.member_keys), {"member_id": member, "from_sequence": 0, **point})


@contextmanager
def whole_world(folder: Path) -> Iterator[WholeWorld]:
    """All of it, in a folder."""
    with chained_world(folder) as chained:
        whole = WholeWorld(chained)
        whole.decide()
        whole.admit_a_bank()
        whole.govern()
        whole.remember_visitors()
        a_day_of_trading(chained.world)
        chained.world.place(Wish("A2", "sell", 12, 40, 4_000), Wish("B2", "buy", 12, 40, 4_900))  # nobody reads these
        whole.at_s = start_of(DAY, 12)
        whole.change_key()
        whole.stop()
        chained.world.place(Wish("A2", "sell", 22, 10, 4_500), Wish("A2", "sell", 23, 10, 4_500), now_s=whole.at_s)
        chained.world.meter(("A1", 10, 0, 2_000))  # above capacity: quarantined
        chained.world.meter(("A1", 10, 0, 255), ("B1", 11, 150, 0))  # a correction, and one that came late
        chained.settle(after_window(DAY))
        whole.at_s = SETTLED_S
        whole.attest()
        whole.freeze(True, 0)
        whole.freeze(False, 1)
        whole.freeze(True, 2)
        whole.finance()
        whole.take_money_out()
        whole.queue_acts()
        whole.fall_due()
        whole.trust()
        whole.draft()
        whole.measure()
        whole.witness()
        yield whole
