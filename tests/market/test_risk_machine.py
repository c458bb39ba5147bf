"""Whatever happens to a market, every balance is what a plain recomputation gives, to the micro-yuan, at every step.

The jobs, the market in memory and the compiled engine are the real ones; only HTTP and the database are left out. The
model is ``risk_model.py``. Its money moves as the contracts move it, and nobody's escrow may ever fall below zero:
that is what reserving is for.
"""

from collections.abc import Sequence
from typing import Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from market.connecting import ConnectNodes, NewMeter, NewNode
from market.controls import Kill, Lift, SetControls
from market.halting import SetHalt
from market.identity import Member
from market.jobs import CancelMany, CancelOne, CloseGates, Job, Learn, Placed, ReduceOne, Repeat
from market.placing import PlaceOrders, Signed, SignedOrder
from market.problems import Problem
from market.state import MarketState
from market.timing import Timing
from market.withdrawals import RequestWithdrawal
from matching.order import Level, Rules, Side, Tif
from settlement.intents import OrderIntent
from settlement.keccak import keccak
from tests.market.risk_model import PlainMarket, PlainOrder, PlainTrade

SHORTFALL_TICKS = 60
RULES = Rules(fee_ticks=(2, 5, 11), floor_ticks=0, cap_ticks=100, terms_days=(0, 30, 60))
SLOT_S = 900
TIMING = Timing(SLOT_S, 300, 4)
START_S = 1_000 * SLOT_S
MEMBERS = (100, 101, 102)
METERS = {"A0": 100, "A1": 101, "B1": 101, "C2": 102}
EXPORT_LOTS, IMPORT_LOTS = 40, 60
"""Of every meter's connection; links above them carry less than their sum, so that orders are held back too."""

MOST_OPEN = 4

Outcome = Placed | Repeat | Problem


def _orders(side: Side, prices: st.SearchStrategy[int]) -> st.SearchStrategy[OrderIntent]:
    return st.builds(
        OrderIntent,
        member=st.just(0),
        client_order_id=st.just(""),
        meter=st.sampled_from(sorted(METERS)),
        side=st.just(int(side)),
        slot=st.sampled_from((0, 0, 1, 1, 2, 3, 4)),
        quantity_lots=st.integers(1, 30),
        price_ticks=prices,
        reach=st.sampled_from([int(Level.SUBSTATION), int(Level.FEEDER), int(Level.TRANSFORMER)]),
        terms_days=st.sampled_from((0, 30, 60)),
        tif=st.sampled_from([int(Tif.GTC)] * 6 + [int(Tif.IOC), int(Tif.FOK)]),
        replaces=st.just(""),
        deadline=st.just(2**40),
    )


new_orders = st.one_of(_orders(Side.BUY, st.integers(20, 100)), _orders(Side.SELL, st.integers(0, 70)))
members = st.sampled_from(MEMBERS)


class RiskMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        directory = {
            member: Member(member, f"m{member}", "household", frozenset({"consumer"}), "admitted", cast(Any, None))
            for member in MEMBERS
        }
        self.state = MarketState(RULES, TIMING, SHORTFALL_TICKS, directory, open_orders=MOST_OPEN)
        self.plain = PlainMarket(SHORTFALL_TICKS)
        self.now_s = START_S
        self.names = 0
        self.known: dict[tuple[int, str], tuple[int, bytes]] = {}
        self.sent: dict[tuple[int, str], OrderIntent] = {}
        self.stopped: dict[int, str] = {}
        self.most_open: dict[int, int] = {}
        self.is_halted = False
        self.old_facts = self.plain.facts()

    @initialize(drawn=st.lists(new_orders, min_size=4, max_size=8))
    def connect(self, drawn: list[OrderIntent]) -> None:
        """A grid, money, and a few orders to begin with."""

        def node(name: str, parent: str | None, level: Level, lots: int | None = None) -> NewNode:
            return NewNode(name, parent, level, None, None, lots, lots)

        grid = [node("S", None, Level.SUBSTATION), node("F", "S", Level.FEEDER, 80)]
        grid += [node(name, "F", Level.TRANSFORMER, 50) for name in "ABC"]
        for meter, member in METERS.items():
            where = NewMeter(member, "household")
            grid.append(NewNode(meter, meter[0], Level.METER, "1", "1", EXPORT_LOTS, IMPORT_LOTS, where))
        (connected,) = self.run(ConnectNodes(grid, "nodes"))
        assert not isinstance(connected, Problem)
        for member in MEMBERS:
            self.plain.escrow[member], self.plain.credit[member] = 4_000, 2_500
        self._learn()
        self.place_at_once(drawn)

    # ----------------------------------------------------------------------------------- how jobs are run

    def run(self, *jobs: Job) -> list[Any]:
        """One batch, as the sequencer carries it out; the model hears what came of it."""
        self.state.begin(self.now_s)
        names = {name for job in jobs for name in job.names()}
        self.state.known = {name: self.known[name] for name in names if name in self.known}
        for job in jobs:
            if not isinstance(job, PlaceOrders):
                self.state.settle()
            job.run(self.state)
        answers = [job.answer(self.state) for job in jobs]
        self._absorb()
        return answers

    def _absorb(self) -> None:
        batch = self.state.batch
        for number, record in batch.orders.items():
            assert record.sequence, "what the engine did not take is forgotten"
            self.known[record.member_id, record.client_order_id] = (number, record.digest)
            self.plain.orders[number] = PlainOrder(
                record.member_id,
                record.node_id,
                Side(record.side),
                record.slot_s,
                record.price_ticks,
                record.terms_days,
                record.quantity_lots,
                record.client_order_id,
            )
        for trade in batch.trades:
            orders = self.plain.orders[trade.buy_order], self.plain.orders[trade.sell_order]
            self.plain.trades.append(
                PlainTrade(
                    trade.buyer,
                    trade.seller,
                    orders[0].node,
                    orders[1].node,
                    trade.slot_s,
                    trade.quantity_lots,
                    trade.seller_price_ticks,
                    trade.buyer_price_ticks,
                    orders[0].terms_days,
                )
            )
            for order in orders:
                order.traded_lots += trade.quantity_lots
            assert orders[0].price_ticks >= trade.buyer_price_ticks >= trade.seller_price_ticks
            assert trade.seller_price_ticks >= orders[1].price_ticks
            assert orders[0].terms_days <= orders[1].terms_days
        for number, record in {**batch.orders, **batch.changed}.items():
            order = self.plain.orders[number]
            order.is_open = record.state == "open"
            assert order.is_open or record.state != "filled" or not order.remaining_lots

    def _slot(self, ahead: int) -> int:
        """The first slot that takes orders, or one after it; beyond the horizon too."""
        return TIMING.open_slots(self.now_s).start + ahead * SLOT_S

    def _intent(self, drawn: OrderIntent, replaces: str = "") -> OrderIntent:
        self.names += 1
        fresh = {
            "member": METERS[drawn.meter],
            "client_order_id": f"o{self.names}",
            "slot": self._slot(drawn.slot),
            "replaces": replaces,
        }
        values = {name: getattr(drawn, name) for name in drawn.__struct_fields__}
        intent = OrderIntent(**{**values, **fresh})
        self.sent[intent.member, intent.client_order_id] = intent
        return intent

    @staticmethod
    def _job(intents: Sequence[OrderIntent], is_basket: bool = False) -> PlaceOrders:
        orders = [SignedOrder(intent, keccak(repr(intent).encode())) for intent in intents]
        return PlaceOrders(intents[0].member, orders, Signed("batch", b"", b"", b"", cast(Any, None)), is_basket)

    def _plain(self, intent: OrderIntent) -> PlainOrder:
        return PlainOrder(
            intent.member,
            self.state.meters[intent.meter].node_id,
            Side(intent.side),
            intent.slot,
            intent.price_ticks,
            intent.terms_days,
            intent.quantity_lots,
            intent.client_order_id,
        )

    def _expected(self, intent: OrderIntent) -> str | None:
        """The code with which an order must be refused, None when it must be taken."""
        member = intent.member
        if member in self.stopped:
            return "member_stopped"
        if self.is_halted:
            return "market_halted"
        if intent.slot >= self.now_s + TIMING.horizon_slots * SLOT_S:
            return "slot_not_open"
        replaced = None
        if intent.replaces:
            replaced = next(
                (o for _, o in self.plain.open_orders(member) if o.client_order_id == intent.replaces), None
            )
            if replaced is None:
                return "not_open"
        elif intent.tif == Tif.GTC:
            most = self.most_open.get(member, MOST_OPEN)
            if len(list(self.plain.open_orders(member))) >= most:
                return "too_many_open_orders"
        capacity_lots = IMPORT_LOTS if intent.side == Side.BUY else EXPORT_LOTS
        return self.plain.refusal(self._plain(intent), capacity_lots, replaced)

    def _check_outcome(self, intent: OrderIntent, outcome: Outcome, expected: str | None) -> None:
        code = outcome.code if isinstance(outcome, Problem) else None
        assert code == expected, (intent, code, expected)

    # -------------------------------------------------------------------------------------------- orders

    @rule(drawn=new_orders)
    def place(self, drawn: OrderIntent) -> None:
        intent = self._intent(drawn)
        expected = self._expected(intent)
        self._check_outcome(intent, self.run(self._job([intent]))[0][0], expected)

    @precondition(lambda self: any(self.plain.open_orders()))
    @rule(drawn=new_orders, data=st.data(), better_ticks=st.integers(0, 40))
    def meet(self, drawn: OrderIntent, data: st.DataObject, better_ticks: int) -> None:
        """An order of another member that an open one will trade with, if fees and links let it."""
        _, other = data.draw(st.sampled_from(list(self.plain.open_orders())))
        meters = [meter for meter, member in METERS.items() if member != other.member]
        is_buy = other.side is Side.SELL
        drawn = replace_field(
            drawn,
            meter=data.draw(st.sampled_from(meters)),
            side=int(Side.BUY if is_buy else Side.SELL),
            slot=(other.slot - self._slot(0)) // SLOT_S,
            price_ticks=min(max(0, other.price_ticks + (better_ticks if is_buy else -better_ticks)), 100),
            terms_days=other.terms_days,
            reach=int(Level.SUBSTATION),
        )
        self.place(drawn)

    @rule(drawn=st.lists(new_orders, min_size=2, max_size=6))
    def place_at_once(self, drawn: list[OrderIntent]) -> None:
        """Orders of several members in one batch, each in a job of its own."""
        self.run(*(self._job([self._intent(each)]) for each in drawn))

    @precondition(lambda self: self.known)
    @rule(drawn=new_orders, data=st.data())
    def replace(self, drawn: OrderIntent, data: st.DataObject) -> None:
        """Mostly one that is open, at a meter of the same member."""
        some = [o.client_order_id for _, o in self.plain.open_orders(METERS[drawn.meter])]
        replaces = data.draw(st.sampled_from([*some, "o1", "never"]))
        intent = self._intent(drawn, replaces)
        expected = self._expected(intent)
        self._check_outcome(intent, self.run(self._job([intent]))[0][0], expected)
        if expected is None:
            name = (intent.member, replaces)
            assert not self.plain.orders[self.known[name][0]].is_open

    @precondition(lambda self: any(self.plain.open_orders()))
    @rule(data=st.data(), extra_ticks=st.integers(0, 5), too_much=st.booleans())
    def enlarge(self, data: st.DataObject, extra_ticks: int, too_much: bool) -> None:
        """Replace an order by the largest one that what it frees still covers, or by one lot more."""
        _, old = data.draw(st.sampled_from(list(self.plain.open_orders())))
        meter = next(name for name, meter in self.state.meters.items() if meter.node_id == old.node)
        drawn = OrderIntent(
            member=0,
            client_order_id="",
            meter=meter,
            side=int(old.side),
            slot=(old.slot - self._slot(0)) // SLOT_S,
            quantity_lots=1,
            price_ticks=min(100, old.price_ticks + extra_ticks),
            reach=int(Level.SUBSTATION),
            terms_days=old.terms_days,
            tif=int(Tif.GTC),
            replaces="",
            deadline=2**40,
        )
        most = 0
        for lots in range(1, 61):
            tried = self._plain(replace_field(drawn, slot=old.slot, member=old.member, quantity_lots=lots))
            if self.plain.refusal(tried, IMPORT_LOTS if old.side is Side.BUY else EXPORT_LOTS, old) is None:
                most = lots
        intent = self._intent(replace_field(drawn, quantity_lots=max(1, most + too_much)), old.client_order_id)
        expected = self._expected(intent)
        self._check_outcome(intent, self.run(self._job([intent]))[0][0], expected)

    @rule(drawn=st.lists(new_orders, min_size=2, max_size=5), is_basket=st.booleans(), data=st.data())
    def place_many(self, drawn: list[OrderIntent], is_basket: bool, data: st.DataObject) -> None:
        """Of one member; what one order frees another may take. A basket is taken whole or not at all."""
        meters = [meter for meter, member in METERS.items() if member == METERS[drawn[0].meter]]
        intents: list[OrderIntent] = []
        for each in drawn:
            placed = replace_field(each, meter=data.draw(st.sampled_from(meters)))
            some = ["", "", *(o.client_order_id for _, o in self.plain.open_orders(METERS[meters[0]]))]
            some += [intent.client_order_id for intent in intents]
            replaces = "" if is_basket else data.draw(st.sampled_from(some))
            intents.append(self._intent(placed, replaces))
        outcomes: list[Outcome] = self.run(self._job(intents, is_basket))[0]
        taken = [isinstance(outcome, Placed) for outcome in outcomes]
        if is_basket:
            assert all(taken) or not any(taken)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """The same order again is not another one; under the same name another order is refused."""
        name = data.draw(st.sampled_from(sorted(self.sent)))
        intent, before = self.sent[name], len(self.plain.orders)
        if name not in self.known:
            return
        changed = replace_field(intent, price_ticks=(intent.price_ticks + 1) % 80)
        again, other = self.run(self._job([intent]), self._job([changed]))
        assert isinstance(again[0], Repeat)
        assert isinstance(other[0], Problem)
        assert other[0].code == "duplicate_order_id"
        assert len(self.plain.orders) == before

    @precondition(lambda self: any(self.plain.open_orders()))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([number for number, _ in self.plain.open_orders()]))
        order = self.plain.orders[number]
        (outcome,) = self.run(CancelOne(order.member, order.client_order_id))
        assert isinstance(outcome, Placed)
        assert not order.is_open

    @rule(member=members, ahead=st.one_of(st.none(), st.integers(0, 3)))
    def cancel_many(self, member: int, ahead: int | None) -> None:
        slot = None if ahead is None else self._slot(ahead)
        self.run(CancelMany(member, slot))
        assert not [o for _, o in self.plain.open_orders(member) if slot in (None, o.slot)]

    @precondition(lambda self: any(order.remaining_lots > 1 for _, order in self.plain.open_orders()))
    @rule(data=st.data())
    def reduce(self, data: st.DataObject) -> None:
        _, order = data.draw(st.sampled_from([p for p in self.plain.open_orders() if p[1].remaining_lots > 1]))
        left = data.draw(st.integers(1, order.remaining_lots + 1))
        before = order.remaining_lots
        (outcome,) = self.run(ReduceOne(order.member, order.client_order_id, left))
        assert isinstance(outcome, Problem) == (left > before)
        order.taken_back_lots += max(0, before - left)

    # ------------------------------------------------------------------------------------ the operator's hand

    @rule(drawn=new_orders)
    def halt_for_a_moment(self, drawn: OrderIntent) -> None:
        """No order is taken, every order can be cancelled."""
        self.run(SetHalt(True, 1, "because"))
        self.is_halted = True
        self.place(drawn)
        self.cancel_many(METERS[drawn.meter], drawn.slot)
        self.run(SetHalt(False, 1, "over"))
        self.is_halted = False

    @rule(member=members, most=st.one_of(st.none(), st.integers(1, 8)))
    def control(self, member: int, most: int | None) -> None:
        self.run(SetControls(member, 1, "because", most, None, None, None))
        self.most_open.pop(member, None)
        if most is not None:
            self.most_open[member] = most

    @rule(drawn=new_orders, by_operator=st.booleans(), cancels=st.booleans(), stays=st.integers(0, 3))
    def kill(self, drawn: OrderIntent, by_operator: bool, cancels: bool, stays: int) -> None:
        """Mostly not for long."""
        member = METERS[drawn.meter]
        self.run(Kill(member, 1, "because", by_operator, cancels))
        if by_operator or member not in self.stopped:
            self.stopped[member] = "operator" if by_operator else "member"
        assert not cancels or not any(self.plain.open_orders(member))
        self.place(drawn)
        if stays:
            (answer,) = self.run(Lift(member, 1, "because", False))
            assert isinstance(answer, Problem) == (self.stopped[member] == "operator")
            self.run(Lift(member, 1, "because", True))
            del self.stopped[member]

    @precondition(lambda self: self.stopped)
    @rule(data=st.data(), by_operator=st.booleans())
    def lift(self, data: st.DataObject, by_operator: bool) -> None:
        member = data.draw(st.sampled_from(sorted(self.stopped)))
        (answer,) = self.run(Lift(member, 1, "because", by_operator))
        if by_operator or self.stopped[member] == "member":
            del self.stopped[member]
        else:
            assert isinstance(answer, Problem)

    # -------------------------------------------------------------------------------------------- money

    @rule(
        member=members,
        deposited=st.integers(0, 2_000),
        limit=st.one_of(st.none(), st.integers(0, 4_000)),
        part=st.sampled_from((0, 1, 2)),
    )
    def money_comes(self, member: int, deposited: int, limit: int | None, part: int) -> None:
        """A deposit, another credit limit, debts paid in part or all. A lower limit undoes nothing."""
        self.plain.escrow[member] += deposited
        if limit is not None:
            self.plain.credit[member] = limit
        if part:
            self.plain.paid[member] = self.plain.paid.get(member, 0) + self.plain.owed(member) // part
        self._learn()

    @rule(member=members, amount=st.integers(1, 5_000), is_all=st.booleans())
    def ask_for_money(self, member: int, amount: int, is_all: bool) -> None:
        """What is available, or one micro-yuan too much, or any amount."""
        most = self.plain.available(member) + self.plain.leaving(member)
        wanted = max(1, most) if is_all else amount
        number = len(self.state.withdrawals) + 1
        job = RequestWithdrawal(member, "escrow", wanted, number, 2**40, b"")
        greedy = RequestWithdrawal(member, "escrow", max(0, most) + 1, 10**6 + number, 2**40, b"")
        refused, answer = self.run(greedy, job)
        assert isinstance(refused, Problem)
        assert isinstance(answer, Problem) == (wanted > most)
        if not isinstance(answer, Problem):
            self.plain.requests[answer] = (member, wanted)
            self.plain.last_request = answer
            self.run(Learn(self.old_facts))  # read before the request was made

    @precondition(lambda self: self.plain.requests)
    @rule(is_taken=st.booleans())
    def chain_answers_request(self, is_taken: bool) -> None:
        """The oldest one is on the chain, where it takes the place of the member's earlier one; or it is refused."""
        member, amount = self.plain.requests.pop(min(self.plain.requests))
        if is_taken:
            self.plain.exits[member] = (amount, self.now_s + TIMING.horizon_slots * SLOT_S)
        self._learn()

    @precondition(lambda self: self._due())
    @rule(data=st.data())
    def chain_pays_out(self, data: st.DataObject) -> None:
        self._pay_out(data.draw(st.sampled_from(self._due())))

    def _due(self) -> list[int]:
        return [member for member, (_, horizon) in self.plain.exits.items() if self.plain.applied_until >= horizon]

    def _pay_out(self, member: int) -> None:
        amount, _ = self.plain.exits.pop(member)
        self.plain.escrow[member] -= min(amount, self.plain.escrow[member])
        self._learn()

    def _learn(self) -> None:
        self.old_facts = self.plain.facts()
        self.run(Learn(self.old_facts))

    # -------------------------------------------------------------------------------------------- time

    @rule(seconds=st.integers(1, 1_500))
    def wait(self, seconds: int) -> None:
        """Gates close."""
        self.now_s += seconds
        self.run(CloseGates())
        assert all(order.slot >= self._slot(0) for _, order in self.plain.open_orders())

    @rule(slots=st.integers(1, 3), data=st.data())
    def settle(self, slots: int, data: st.DataObject) -> None:
        """A cycle over some slots that are closed; sellers deliver what they like."""
        until = min(max(self.plain.applied_until, START_S) + slots * SLOT_S, self._slot(0))
        if until <= self.plain.applied_until:
            return
        self.run(CloseGates())
        places = [n for n, t in enumerate(self.plain.trades) if self.plain.applied_until <= t.slot < until]
        missing = data.draw(st.lists(st.sampled_from(places), unique=True)) if places else []
        self.plain.settle(until, {place: data.draw(st.integers(0, 30)) for place in missing})
        self._learn()

    # ----------------------------------------------------------------------------------------- always

    @invariant()
    def nobody_is_below_zero(self) -> None:
        assert all(amount >= 0 for amount in self.plain.escrow.values()), self.plain.escrow

    @invariant()
    def every_account_is_what_a_recomputation_gives(self) -> None:
        for member in MEMBERS:
            account = self.state.exposures.account(member)
            assert account.escrow_micro == self.plain.escrow.get(member, 0)
            assert account.reserved_micro == self.plain.reserved(member)
            assert account.committed_micro == self.plain.committed(member)
            assert account.leaving_micro == self.plain.leaving(member)
            assert account.credit_used_micro == self.plain.credit_used(member)
            assert account.available_micro == self.plain.available(member)
            assert self.state.controls.open_orders(member) == len(list(self.plain.open_orders(member)))

    @invariant()
    def capacity_is_what_a_recomputation_gives(self) -> None:
        slots = {o.slot for o in self.plain.orders.values() if o.slot >= self.plain.applied_until}
        for meter in self.state.meters.values():
            for slot in slots:
                for side, most in ((Side.BUY, IMPORT_LOTS), (Side.SELL, EXPORT_LOTS)):
                    lots = self.plain.lots_used(meter.node_id, slot, side)
                    assert self.state.exposures.lots_used(meter.node_id, slot, side) == lots
                    assert lots <= most

    @invariant()
    def open_orders_are_the_same(self) -> None:
        assert self.state.open.keys() == dict(self.plain.open_orders()).keys() == self.state.exposures.stakes().keys()
        for number, order in self.plain.open_orders():
            assert self.state.open[number].remaining_lots == order.remaining_lots
            assert self.state.exposures.stakes()[number].remaining_lots == order.remaining_lots

    def teardown(self) -> None:
        """Everything ends: orders are cancelled, slots settled, debts paid, money that was asked for goes."""
        if not self.state.meters:
            return
        for member in MEMBERS:
            self.run(CancelMany(member, None))
            assert self.state.exposures.account(member).reserved_micro == 0
        self.now_s += 10 * SLOT_S
        self.run(CloseGates())
        self.plain.settle(self.now_s, {})
        for number in sorted(self.plain.requests):
            member, amount = self.plain.requests.pop(number)
            self.plain.exits[member] = (amount, 0)
        for member in sorted(self.plain.exits):
            self._pay_out(member)
        for member in MEMBERS:
            self.plain.paid[member] = self.plain.paid.get(member, 0) + self.plain.owed(member)
        self._learn()
        self.nobody_is_below_zero()
        self.every_account_is_what_a_recomputation_gives()
        for member in MEMBERS:
            account = self.state.exposures.account(member)
            nothing = (
                account.reserved_micro,
                account.committed_micro,
                account.leaving_micro,
                account.credit_used_micro,
            )
            assert nothing == (0, 0, 0, 0)
            assert account.available_micro == account.escrow_micro == self.plain.escrow[member]
        assert not self.state.open
        assert not self.state.live_slots


def replace_field(intent: OrderIntent, **values: Any) -> OrderIntent:
    return OrderIntent(**{**{name: getattr(intent, name) for name in intent.__struct_fields__}, **values})


TestRisk = RiskMachine.TestCase
TestRisk.settings = settings(
    stateful_step_count=40,
    max_examples=min(settings().max_examples, 1_500),  # some minutes when soaked
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
)
