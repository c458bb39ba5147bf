"""The invariants of a receivable on the Python rules: anyone tries anything, beside a slow and obvious account.

The account counts fen one by one, keeps every rule as a plain condition, and says what must come of each attempt. The
numbers in the names are those of ``tests/properties.md``.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from finance.claim import Claim
from finance.life import AcknowledgedReceivable, FinancedReceivable, IssuedReceivable, Live, Sale, Signed
from finance.offer import PPM, advance_fen_floor
from finance.parts import LEAST_PART_FEN, MOST_PARTS, ClaimKind, Transferee
from finance.receivable import IllegalTransitionError, State
from finance.waterfall import Lateness

PLANT, FACTORY, BANK, OTHER, HOME, STRANGER = 100, 200, 300, 301, 400, 500
BANKS, MEMBERS = (BANK, OTHER), (PLANT, FACTORY, BANK, OTHER, HOME)
FACE_FEN = 1_500
DUE = date(2026, 8, 28)
CLAIM = Claim(1, PLANT, FACTORY, FACE_FEN, 60, date(2026, 7, 1), DUE, bytes(32), b"\1" * 32)
ID = CLAIM.receivable_id

ANYONE = st.sampled_from([*MEMBERS, STRANGER])
PART = st.sampled_from([1, 2, 2, 3, 4])
AMOUNT = st.one_of(st.integers(0, FACE_FEN), st.sampled_from([1, 100, 150, 400]))
RARELY = st.sampled_from([False] * 5 + [True])


@dataclass
class Share:
    """A fraction in the slow account."""

    kind: str
    owner: int
    fen: int
    pledgee: int = 0


@dataclass
class Slow:
    """All that a receivable comes to, kept as plainly as possible."""

    state: str = "issued"
    shares: dict[int, Share] = field(default_factory=dict)
    complete: bool = False
    frozen: bool = False
    sold: Sale | None = None
    bought_back: bool = False
    costs: int = 0
    interest: int = 0
    counted_to: date = DUE
    paid: int = 0
    numbers: int = 0
    got: Counter[int] = field(default_factory=Counter)
    history: list[tuple[str, int, str, str]] = field(default_factory=list)

    def open_of(self, kind: str) -> int:
        return sum(share.fen for share in self.shares.values() if share.kind == kind)

    def add(self, share: Share) -> None:
        self.numbers += 1
        self.shares[self.numbers] = share

    def count_interest(self, today: date) -> None:
        advance = self.open_of("holder")
        if self.sold is None or today <= self.counted_to or not advance:
            return
        if not self.bought_back:
            rate = Fraction(self.sold.lateness.rate_ppm, PPM) / self.sold.lateness.year_days
            self.interest += ceil(advance * rate * (today - self.counted_to).days)
        self.counted_to = today

    def pay(self, amount: int, today: date) -> None:
        """Fen by fen: each goes where the next one is due."""
        self.count_interest(today)
        spent: Counter[str] = Counter()
        for _ in range(amount):
            if self.costs and self.open_of("residual") > spent["costs"] + spent["interest"]:
                self.costs, spent["costs"] = self.costs - 1, spent["costs"] + 1
            elif self.interest and self.open_of("residual") > spent["costs"] + spent["interest"]:
                self.interest, spent["interest"] = self.interest - 1, spent["interest"] + 1
            elif self.open_of("holder") > spent["advance"]:
                spent["advance"] += 1
            else:
                spent["residual"] += 1
        to_holders = spent["costs"] + spent["interest"] + spent["advance"]
        self.hand_out("holder", to_holders, takes=spent["advance"])
        self.take("residual", spent["costs"] + spent["interest"])
        self.hand_out("residual", spent["residual"], takes=spent["residual"])
        self.paid += amount
        self.shares = {number: share for number, share in self.shares.items() if share.fen}

    def portions(self, kind: str, amount: int) -> dict[int, int]:
        """Fen ``k`` of the amount is that of the first part up to which at least ``k`` of it are due."""
        own = {number: share for number, share in sorted(self.shares.items()) if share.kind == kind}
        whole, found = self.open_of(kind), dict.fromkeys(own, 0)
        for k in range(1, amount + 1):
            upto = 0
            for number, share in own.items():
                upto += share.fen
                if upto * amount >= k * whole:
                    found[number] += 1
                    break
        return found

    def take(self, kind: str, amount: int) -> None:
        for number, fen in self.portions(kind, amount).items():
            self.shares[number].fen -= fen

    def hand_out(self, kind: str, amount: int, *, takes: int) -> None:
        portions, taken = self.portions(kind, amount), self.portions(kind, takes)
        for number, fen in portions.items():
            share = self.shares[number]
            self.got[share.pledgee or share.owner] += fen
            share.fen -= taken[number]

    def may_move(self, part: int, who: int) -> bool:
        states = {"acknowledged", "financed", "due", "partly_paid", "overdue", "recourse", "defaulted", "written_off"}
        share = self.shares.get(part)
        free = self.state in states and not self.frozen
        return free and share is not None and share.owner == who and not share.pledgee

    def is_creditors(self) -> bool:
        return all(share.owner == PLANT and not share.pledgee for share in self.shares.values())

    def majority(self, members: set[int]) -> bool:
        kind = "holder" if self.open_of("holder") else "residual"
        own = sum(share.fen for share in self.shares.values() if share.kind == kind and share.owner in members)
        return 2 * own > self.open_of(kind)


class Life(RuleBasedStateMachine):
    """Each rule says whether it must be allowed, tries it, and does it in the slow account."""

    def __init__(self) -> None:
        super().__init__()
        self.value: Any = IssuedReceivable(CLAIM)
        self.slow = Slow()
        self.today = CLAIM.issue_day

    @initialize(
        sold=st.sampled_from([False, True, True, True]),
        late_rate_ppm=st.sampled_from([0, 60_000, 240_000]),
        costs=st.sampled_from([0, 7, 150]),
        recourse=st.booleans(),
        days=st.sampled_from([-30, 0, 2, 4, 35]),
    )
    def begin(self, sold: bool, late_rate_ppm: int, costs: int, recourse: bool, days: int) -> None:
        """Mostly somewhere in the life of a sold one: what comes before is soon over."""
        if sold:
            self.acknowledge(FACTORY, True)
            self.show(PLANT)
            self.finance(PLANT, 800_000, costs, late_rate_ppm, recourse)
            self.today = DUE + timedelta(days=days)
            self.mark()

    def owner(self, part: int, who: int) -> int:
        """Mostly the part's owner acts: a stranger stands for one act in five."""
        share = self.slow.shares.get(part)
        return who if share is None or who == FACTORY else share.owner

    def attempt(self, allowed: bool, who: int, name: str, act: Callable[[], Any]) -> bool:
        """Whether it was done; a value that comes in a pair with what it paid is the first of it."""
        before, state = self.value, self.value.state
        try:
            result = act() if hasattr(self.value, name) else None
        except IllegalTransitionError as refused:
            assert not allowed, f"{name} by {who} is refused in {state}: {refused.code}"
            assert refused.code and str(refused)
            assert self.value is before
            return False
        if result is None:
            assert not allowed, f"{name} should be possible in {state}"
            return False
        assert allowed, f"{name} by {who} should be refused in {state}"
        self.value = result[0] if isinstance(result, tuple) else result
        self.slow.history.append((name, who, state, self.value.state))
        return True

    # ------------------------------------------------------------------------------------------ before a sale

    @rule(who=st.sampled_from([FACTORY, FACTORY, PLANT]), complete=st.booleans())
    def acknowledge(self, who: int, complete: bool) -> None:
        allowed = self.slow.state == "issued" and who == FACTORY
        if self.attempt(
            allowed, who, "acknowledge", lambda: self.value.acknowledge(Signed(ID, who), complete=complete)
        ):
            self.slow.state, self.slow.complete = "acknowledged", complete
            self.slow.add(Share("residual", PLANT, FACE_FEN))

    @precondition(lambda self: self.slow.state == "issued")
    @rule(who=ANYONE, rarely=RARELY, name=st.sampled_from(["reject", "cancel"]))
    def refuse(self, who: int, rarely: bool, name: str) -> None:
        allowed = who == {"reject": FACTORY, "cancel": PLANT}[name]
        if rarely and self.attempt(allowed, who, name, lambda: getattr(self.value, name)(Signed(ID, who))):
            self.slow.state = {"reject": "rejected", "cancel": "cancelled"}[name]

    @precondition(lambda self: isinstance(self.value, Live))
    @rule()
    def claim_the_trades(self) -> None:
        self.value, self.slow.complete = self.value.complete(), True

    @rule(who=st.sampled_from([PLANT, PLANT, BANK]))
    def show(self, who: int) -> None:
        slow = self.slow
        whole = len(slow.shares) == 1 and slow.is_creditors()
        allowed = slow.state == "acknowledged" and who == PLANT and slow.complete and not slow.frozen and whole
        allowed = allowed and self.today < DUE
        if self.attempt(allowed, who, "show", lambda: self.value.show(Signed(ID, who), self.today)):
            slow.state = "listed"

    @rule(who=st.sampled_from([PLANT, BANK]), rarely=RARELY)
    def withdraw(self, who: int, rarely: bool) -> None:
        allowed = self.slow.state == "listed" and who == PLANT
        if rarely and self.attempt(allowed, who, "withdraw", lambda: self.value.withdraw(Signed(ID, who))):
            self.slow.state = "acknowledged"

    @rule(name=st.sampled_from(["reserve", "unreserve"]))
    def reserve(self, name: str) -> None:
        before, after = ("listed", "reserved") if name == "reserve" else ("reserved", "listed")
        if self.attempt(self.slow.state == before, 0, name, getattr(self.value, name, object)):
            self.slow.state = after

    @rule(
        who=st.sampled_from([PLANT, PLANT, FACTORY]),
        advance_rate_ppm=st.integers(1, PPM),
        costs=st.sampled_from([0, 0, 7, 200]),
        late_rate_ppm=st.sampled_from([0, 60_000, 240_000]),
        recourse=st.booleans(),
    )
    def finance(self, who: int, advance_rate_ppm: int, costs: int, late_rate_ppm: int, recourse: bool) -> None:
        advance, slow = advance_fen_floor(FACE_FEN, advance_rate_ppm), self.slow
        sale = Sale(ID, BANK, advance, advance, costs, Lateness(late_rate_ppm, 360), recourse)
        allowed = slow.state in {"listed", "reserved"} and who == PLANT and not slow.frozen
        allowed = allowed and advance > 0 and costs <= FACE_FEN - advance
        if self.attempt(allowed, who, "finance", lambda: self.value.finance(sale, Signed(ID, who))):
            slow.state, slow.sold, slow.costs = "financed", sale, costs
            slow.shares[1].fen -= advance
            slow.add(Share("holder", BANK, advance))
            slow.shares = {number: share for number, share in slow.shares.items() if share.fen}
            assert advance * PPM <= FACE_FEN * advance_rate_ppm  # 6

    # ------------------------------------------------------------------------------------------------ disputes

    @rule(who=st.sampled_from([FACTORY, PLANT]), rarely=RARELY)
    def dispute(self, who: int, rarely: bool) -> None:
        allowed = self.slow.state in {"acknowledged", "listed"} and who == FACTORY and self.slow.is_creditors()
        if rarely and self.attempt(allowed, who, "dispute", lambda: self.value.dispute(Signed(ID, who))):
            self.slow.state = "disputed"

    @precondition(lambda self: self.slow.state == "disputed")
    @rule(who=ANYONE, how=st.sampled_from(["withdraw_dispute", "withdraw_dispute", "concede", "void", "owed"]))
    def end_dispute(self, who: int, how: str) -> None:
        if how in {"void", "owed"}:
            assert self.attempt(True, 0, "decide", lambda: self.value.decide(is_void=how == "void"))
        else:
            allowed = who == (FACTORY if how == "withdraw_dispute" else PLANT)
            if not self.attempt(allowed, who, how, lambda: getattr(self.value, how)(Signed(ID, who))):
                return
        self.slow.state = "acknowledged" if how in {"owed", "withdraw_dispute"} else "void"
        if self.slow.state == "void":
            self.slow.shares = {}

    # --------------------------------------------------------------------------------- calendar and payments

    @rule(days=st.sampled_from([1, 10, 40]))
    def time_passes(self, days: int) -> None:
        self.today += timedelta(days=days)

    @precondition(lambda self: isinstance(self.value, Live))
    @rule()
    def mark(self) -> None:
        slow, before = self.slow, self.value.state
        self.value = self.value.mark(self.today)
        if slow.state in {"acknowledged", "listed", "financed"} and self.today >= DUE:
            slow.state = "due"
        if slow.state in {"due", "partly_paid"} and self.today > DUE + timedelta(days=3):
            slow.state = "overdue"
        if slow.state != before:
            slow.history.append(("mark", 0, before, self.value.state))

    @rule(who=st.sampled_from([FACTORY] * 4 + [PLANT, BANK]), amount=AMOUNT, rest=RARELY)
    def repay(self, who: int, amount: int, rest: bool) -> None:
        slow = self.slow
        left = slow.open_of("holder") + slow.open_of("residual")
        amount = left if rest else amount // 4
        takes = {"acknowledged", "listed", "financed", "due", "partly_paid"}
        late = {"overdue", "recourse", "defaulted", "written_off"}
        allowed = slow.state in takes | late and who == FACTORY and 0 < amount <= left
        if self.attempt(allowed, who, "repay", lambda: self.value.repay(Signed(ID, who), amount, self.today)):
            slow.pay(amount, self.today)
            slow.state = "settled" if amount == left else (slow.state if slow.state in late else "partly_paid")

    @rule(who=st.sampled_from([BANK, OTHER, PLANT]), and_buy_back=st.booleans())
    def demand(self, who: int, and_buy_back: bool) -> None:
        slow = self.slow
        holds = any(share.owner == who and share.kind == "holder" for share in slow.shares.values())
        recourse = slow.sold is not None and slow.sold.with_recourse and not slow.bought_back
        allowed = slow.state == "overdue" and recourse and holds
        if self.attempt(allowed, who, "demand", lambda: self.value.demand(Signed(ID, who))):
            slow.state = "recourse"
            if and_buy_back:
                self.buy_back(PLANT)

    @rule(who=st.sampled_from([PLANT, BANK]))
    def buy_back(self, who: int) -> None:
        slow = self.slow
        allowed = slow.state == "recourse" and who == PLANT and not slow.frozen and slow.open_of("holder") > 0
        if self.attempt(allowed, who, "buy_back", lambda: self.value.buy_back(Signed(ID, who), self.today)):
            slow.count_interest(self.today)
            price = slow.costs + slow.interest + slow.open_of("holder")
            slow.hand_out("holder", price, takes=0)
            slow.got[PLANT] -= price
            slow.state, slow.bought_back, slow.costs, slow.interest = "overdue", True, 0, 0
            for share in slow.shares.values():
                if share.kind == "holder":
                    share.owner, share.pledgee = PLANT, 0

    @rule(members=st.sets(st.sampled_from(MEMBERS), min_size=1, max_size=3), name=st.sampled_from(["default", "off"]))
    def give_up(self, members: set[int], name: str) -> None:
        slow, words = self.slow, [Signed(ID, member) for member in sorted(members)]
        if name == "default":
            late = self.today > DUE + timedelta(days=30)
            allowed = slow.state in {"overdue", "recourse"} and late and slow.majority(members)
            done = self.attempt(
                allowed, min(members), "declare_default", lambda: self.value.declare_default(words, self.today)
            )
        else:
            allowed = slow.state == "defaulted" and slow.majority(members)
            done = self.attempt(allowed, min(members), "write_off", lambda: self.value.write_off(words))
        if done:
            slow.state = "defaulted" if name == "default" else "written_off"

    # --------------------------------------------------------------------------------------------------- parts

    @rule(who=st.sampled_from(MEMBERS), part=PART, amount=AMOUNT, and_back=st.booleans())
    def split(self, who: int, part: int, amount: int, and_back: bool) -> None:
        who = self.owner(part, who)
        allowed = self.may_cut(part, amount, who)
        if self.attempt(allowed, who, "split", lambda: self.value.split(Signed(ID, who), part, amount)):
            self.cut(part, amount, who)
            if and_back:
                self.merge(who, part, self.slow.numbers)

    def may_cut(self, part: int, amount: int, who: int) -> bool:
        slow = self.slow
        may = slow.may_move(part, who) and len(slow.shares) < MOST_PARTS
        return may and LEAST_PART_FEN <= amount <= slow.shares[part].fen - LEAST_PART_FEN

    def cut(self, part: int, amount: int, to: int) -> None:
        self.slow.shares[part].fen -= amount
        self.slow.add(Share(self.slow.shares[part].kind, to, amount))

    @rule(who=st.sampled_from(MEMBERS), part=PART, amount=AMOUNT, to=ANYONE, whole=st.booleans())
    def transfer(self, who: int, part: int, amount: int, to: int, whole: bool) -> None:
        who = self.owner(part, who)
        slow, share = self.slow, self.slow.shares.get(part)
        amount = share.fen if share is not None and whole else amount
        transferee = Transferee(to, is_member=to != STRANGER, is_bank=to in BANKS, is_creditor=to == PLANT)
        takes = share is not None and (to in (*BANKS, PLANT) or (share.kind == "residual" and to != STRANGER))
        is_all = share is not None and amount == share.fen
        fits = (slow.may_move(part, who) and is_all) or self.may_cut(part, amount, who)
        allowed = takes and fits and slow.complete
        if self.attempt(
            allowed, who, "transfer", lambda: self.value.transfer(Signed(ID, who), part, amount, transferee)
        ):
            assert share is not None
            if is_all:
                share.owner = to
            else:
                self.cut(part, amount, to)

    @rule(who=st.sampled_from(MEMBERS), part=PART, other=PART)
    def merge(self, who: int, part: int, other: int) -> None:
        who = self.owner(part, who)
        slow = self.slow
        allowed = part != other and slow.may_move(part, who) and slow.may_move(other, who)
        allowed = allowed and slow.shares[part].kind == slow.shares[other].kind
        if self.attempt(allowed, who, "merge", lambda: self.value.merge(Signed(ID, who), part, other)):
            slow.shares[part].fen += slow.shares.pop(other).fen

    @rule(who=st.sampled_from(MEMBERS), part=PART, to=ANYONE, and_back=st.booleans())
    def pledge(self, who: int, part: int, to: int, and_back: bool) -> None:
        who = self.owner(part, who)
        allowed = self.slow.may_move(part, who) and to in BANKS and self.slow.complete
        if self.attempt(
            allowed, who, "pledge", lambda: self.value.pledge(Signed(ID, who), part, to, is_bank=to in BANKS)
        ):
            self.slow.shares[part].pledgee = to
            if and_back:
                self.release(to, part)

    @rule(who=st.sampled_from(MEMBERS), part=PART)
    def release(self, who: int, part: int) -> None:
        pledged = self.slow.shares.get(part)
        who = pledged.pledgee if pledged is not None and pledged.pledgee and who != FACTORY else who
        share = self.slow.shares.get(part)
        allowed = share is not None and share.pledgee == who
        if self.attempt(allowed, who, "release", lambda: self.value.release(Signed(ID, who), part)):
            self.slow.shares[part].pledgee = 0

    @precondition(lambda self: isinstance(self.value, Live) and not self.value.state.ended)
    @rule(frozen=st.sampled_from([False, False, True]))
    def freeze(self, frozen: bool) -> None:
        self.value, self.slow.frozen = self.value.set_frozen(frozen=frozen), frozen

    # ------------------------------------------------------------------------------------------- what must hold

    @invariant()
    def both_accounts_agree(self) -> None:
        assert self.value.state == self.slow.state
        assert self.value.claim is CLAIM
        if isinstance(self.value, Live):
            shares = {
                part.number: Share(part.claim.name.lower(), part.owner, part.open_fen, part.pledgee)
                for part in self.value.parts
            }
            assert shares == self.slow.shares
            balance = self.value.balance
            assert (balance.costs_due_fen, balance.interest_due_fen) == (self.slow.costs, self.slow.interest)

    @invariant()
    def invariant_1_live_redeemed_and_written_off_are_the_face(self) -> None:
        if isinstance(self.value, Live) and self.value.state is not State.VOID:
            account = self.value.account
            assert account.live_fen + account.balance.redeemed_fen + account.written_off_fen == FACE_FEN

    @invariant()
    def invariant_2_parts_sum_to_the_whole(self) -> None:
        if isinstance(self.value, Live):
            for kind, whole in (
                (ClaimKind.HOLDER, self.value.balance.advance_open_fen),
                (ClaimKind.RESIDUAL, self.value.balance.residual_open_fen),
            ):
                assert sum(part.open_fen for part in self.value.parts if part.claim is kind) == whole

    @invariant()
    def invariant_3_a_part_has_one_owner_and_a_number_of_its_own(self) -> None:
        if isinstance(self.value, Live):
            numbers = [part.number for part in self.value.parts]
            assert numbers == sorted(set(numbers))
            assert all(part.owner in MEMBERS and part.open_fen > 0 for part in self.value.parts)
            assert len(numbers) <= MOST_PARTS

    @invariant()
    def invariant_5_nothing_is_financed_before_it_is_acknowledged(self) -> None:
        if isinstance(self.value, FinancedReceivable):
            assert ("acknowledge", FACTORY, "issued", "acknowledged") in self.slow.history
            assert isinstance(self.value.acknowledged, AcknowledgedReceivable)

    @invariant()
    def invariant_7_what_is_paid_is_paid_out_and_nothing_to_the_residual_while_more_is_due(self) -> None:
        """A buy-back nets to nothing: its price comes from the seller. What the residual lost while an advance is open
        went to costs and interest, which were never more than this."""
        assert sum(self.slow.got.values()) == self.slow.paid
        if isinstance(self.value, Live) and self.slow.sold is not None and self.value.balance.advance_open_fen:
            sold, days = self.slow.sold, max(0, (self.today - DUE).days)
            rate = Fraction(sold.lateness.rate_ppm, PPM) / sold.lateness.year_days
            most = sold.costs_fen + ceil(sold.advance_fen * rate * days) + days
            assert FACE_FEN - sold.advance_fen - self.value.balance.residual_open_fen <= most

    @invariant()
    def invariant_11_every_change_has_its_actor_its_before_and_its_after(self) -> None:
        state = "issued"
        for name, who, before, after in self.slow.history:
            assert before == state
            assert who or name in {"mark", "decide", "reserve", "unreserve"}
            state = after
        assert state == self.value.state


Life.TestCase.settings = settings(
    max_examples=max(settings().max_examples // 4, 25),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much],
)
TestLife = Life.TestCase


def test_invariant_4_a_receivable_is_one_content_and_a_trade_is_in_one() -> None:
    """On the Python side the database claims: a pair's period by its content's hash, a trade by its primary key."""
    from data.tables import receivable_trades

    assert [column.name for column in receivable_trades.primary_key] == ["trade_id"]
    for name, other in (("creditor", 7), ("debtor", 7), ("terms_days", 30), ("period", 2)):
        assert CLAIM._replace(**{name: other}).receivable_id != ID


def test_invariant_6_more_than_the_face_is_never_financed() -> None:
    listed = (
        IssuedReceivable(CLAIM).acknowledge(Signed(ID, FACTORY), complete=True).show(Signed(ID, PLANT), CLAIM.issue_day)
    )
    for advance in (0, FACE_FEN + 1):
        with pytest.raises(IllegalTransitionError):
            listed.finance(Sale(ID, BANK, advance, 1), Signed(ID, PLANT))
