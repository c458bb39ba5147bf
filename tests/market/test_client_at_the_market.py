"""The client, the institutions and the traders at a real market: what they sign and send is what it takes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import msgspec
import pyotp
import pytest

from data.units import parse_energy_lots, parse_instant_s
from market import institutions
from market.client import Client, Placed, Receipt, Refused, RefusedError, jwk_of
from market.institutions import Deposit, GridNode, Newcomer, NewMeter, Reading
from market.trader import Trader, Want
from matching.order import Level, Side, Tif
from settlement import signatures
from settlement.intents import OrderIntent
from tests.market.world import KEYS, SLOT, Person, World, open_market

SLOT_S = parse_instant_s(SLOT)


def institution(world: World, role: str, member: int) -> Client:
    return Client(world.http, world.server, member, KEYS[role])


@asynccontextmanager
async def two_neighbours(folder: Path) -> AsyncIterator[tuple[World, Client, Client]]:
    """A buyer with meter A1 and a seller with A2 under one transformer, admitted, connected, logged in, with money."""
    async with open_market(folder) as world:
        operator = institution(world, "operator", 1)
        await operator.log_in()
        keys = [signatures.new_private_key() for _ in range(2)]
        newcomers = [
            Newcomer(name, "household", ("consumer", "producer"), jwk_of(key), "seen")
            for name, key in zip(("ann", "bo"), keys, strict=True)
        ]
        members = await institutions.admit(operator, newcomers)
        ann, bo = (Client(world.http, world.server, *each) for each in zip(members, keys, strict=True))
        nodes = [
            GridNode("S", None, "substation", None, None),
            GridNode("F", "S", "feeder", "100.5", None),
            GridNode("A", "F", "transformer", "50", "50"),
        ]
        meters = [NewMeter(f"A{n}", "A", member, "household", "40", "40") for n, member in enumerate(members, start=1)]
        await institutions.connect(operator, nodes, meters)
        for name, client in (("ann", ann), ("bo", bo)):
            await client.log_in()
            assert client.member is not None
            assert client.key is not None
            world.people[name] = Person(world, client.member, client.key)
            await world.give(name, 1_000_000_000)
        yield world, ann, bo


def intent(client: Client, name: str, side: Side, quantity_lots: int, price_ticks: int, **more: object) -> OrderIntent:
    assert client.member is not None
    plain = OrderIntent(
        member=client.member,
        client_order_id=name,
        meter="A1" if side is Side.BUY else "A2",
        side=side,
        slot=SLOT_S,
        quantity_lots=quantity_lots,
        price_ticks=price_ticks,
        reach=Level.SUBSTATION,
        terms_days=0,
        tif=Tif.GTC,
        replaces="",
        deadline=SLOT_S,
    )
    return msgspec.structs.replace(plain, **more)


async def test_orders_signed_one_by_one_and_by_their_root_trade(tmp_path: Path) -> None:
    async with two_neighbours(tmp_path) as (world, ann, bo):
        rests, receipt = await bo.place(intent(bo, "s1", Side.SELL, 100, 4000))
        assert isinstance(rests, Placed)
        assert (rests.state, rests.remaining) == ("open", "1.00")
        assert isinstance(receipt, Receipt)
        assert world.is_receipt(msgspec.structs.asdict(receipt))
        buys = [intent(ann, "b1", Side.BUY, 60, 4500), intent(ann, "b2", Side.BUY, 10, 99_999)]
        (filled, refused), _ = await ann.place_batch(buys)
        assert isinstance(filled, Placed)
        assert (filled.state, filled.trades[0]["price"]) == ("filled", "0.4200")
        assert isinstance(refused, Refused)
        assert (refused.status, refused.code, refused.field) == (422, "bad_price", "price")


async def test_a_basket_that_is_not_filled_leaves_nothing(tmp_path: Path) -> None:
    async with two_neighbours(tmp_path) as (_, ann, bo):
        await bo.place(intent(bo, "s1", Side.SELL, 100, 4000))
        legs = [intent(ann, "b1", Side.BUY, 60, 4500), intent(ann, "b2", Side.BUY, 60, 4500)]
        outcomes, _ = await ann.place_batch(legs, is_basket=True)
        assert [outcome.state for outcome in outcomes if isinstance(outcome, Placed)] == ["unfilled_basket"] * 2
        (still_open,) = await bo.orders(state="open")
        assert still_open.remaining == "1.00"


async def test_a_repeated_batch_places_nothing_twice(tmp_path: Path) -> None:
    async with two_neighbours(tmp_path) as (_, _, bo):
        orders = [intent(bo, "s1", Side.SELL, 100, 4000), intent(bo, "s2", Side.SELL, 50, 4100)]
        assert await bo.place_batch(orders) == await bo.place_batch(orders)
        assert [order.client_order_id for order in await bo.orders()] == ["s1", "s2"]


async def test_an_order_is_taken_back_once(tmp_path: Path) -> None:
    async with two_neighbours(tmp_path) as (_, _, bo):
        await bo.place(intent(bo, "s1", Side.SELL, 100, 4000))
        assert (await bo.cancel("s1")).remaining == "1.00"
        with pytest.raises(RefusedError, match="not_open"):
            await bo.cancel("s1")


async def test_traders_reprice_what_is_open_until_they_meet(tmp_path: Path) -> None:
    async with two_neighbours(tmp_path) as (_, ann, bo):
        assert ann.member is not None
        assert bo.member is not None
        buyer = Trader(ann.member, [Want("w.1", "A1", Side.BUY, SLOT_S, 150, 3600, 5500, 0)])
        seller = Trader(bo.member, [Want("w.2", "A2", Side.SELL, SLOT_S, 100, 5400, 3500, 0)])
        await ann.place_batch(buyer.first_orders())
        await bo.place_batch(seller.first_orders())
        open_lots = {
            order.client_order_id: parse_energy_lots(order.remaining) for order in await bo.orders(state="open")
        }
        assert open_lots == {"w.2.1": 100}
        (sold,), _ = await bo.place_batch(seller.next_orders(2, open_lots, is_last=True))
        assert isinstance(sold, Placed)
        assert (sold.client_order_id, sold.state) == ("w.2.2", "open")  # 0.35 and a fee of 0.02 are above 0.36
        (bought,), _ = await ann.place_batch(buyer.next_orders(2, {"w.1.1": 150}, is_last=True))
        assert isinstance(bought, Placed)
        assert (bought.state, bought.remaining, bought.trades[0]["price"]) == ("open", "0.50", "0.3700")


async def test_a_session_that_is_gone_is_opened_again(tmp_path: Path) -> None:
    async with two_neighbours(tmp_path) as (world, ann, _):
        world.context.directory.sessions.clear()
        assert (await ann.get("/v1/account"))["escrow"] == "1000.000000"


async def test_deposits_limits_and_the_clock_are_the_institutions(tmp_path: Path) -> None:
    async with two_neighbours(tmp_path) as (world, ann, _):
        custodian, operator = institution(world, "custodian", 4), institution(world, "operator", 1)
        assert ann.member is not None
        await institutions.deposit(custodian, [Deposit(ann.member, 5_000_000, "ref 1", True)])
        await institutions.deposit(custodian, [Deposit(ann.member, 5_000_000, "ref 1", True)])
        with pytest.raises(RefusedError, match="reference_used"):
            await institutions.deposit(custodian, [Deposit(ann.member, 6_000_000, "ref 1", True)])
        bank = await world.newcomer("bank", "bank")
        lender = Client(world.http, world.server, bank.member, bank.key)
        await institutions.set_credit_limits(lender, [(ann.member, 70_000_000)])
        assert (await ann.get("/v1/account"))["credit_limit"] == "70.000000"
        await institutions.move_clock(operator, SLOT_S)
        outcome, _ = await ann.place(intent(ann, "late", Side.BUY, 10, 4500, deadline=SLOT_S + 900))
        assert isinstance(outcome, Refused)
        assert outcome.code == "slot_closed"


async def test_readings_are_judged_one_by_one(tmp_path: Path) -> None:
    async with two_neighbours(tmp_path) as (world, _, _):
        meter_operator, operator = institution(world, "meter_operator", 3), institution(world, "operator", 1)
        await institutions.move_clock(operator, SLOT_S + 3600)
        readings = [Reading("A1", SLOT_S, 0, 60), Reading("A2", SLOT_S, 100_000, 0), Reading("A1", SLOT_S, 0, 60)]
        parts = [results async for results in institutions.report_readings(meter_operator, readings)]
        assert [[result["status"] for result in results] for results in parts] == [
            ["accepted", "quarantined", "duplicate"]
        ]


async def test_a_second_factor_is_shown_at_log_in_and_again_when_asked_for(tmp_path: Path) -> None:
    async with two_neighbours(tmp_path) as (world, ann, _):
        enrolled = await ann.post("/v1/factors/totp", {"name": "phone"})
        secret = enrolled["secret"]
        now_s = world.context.directory.now_s()
        steps = count()

        def shown() -> dict[str, object]:
            """Each code counts once: time goes on in between."""
            later_s = now_s + 30 * next(steps)
            world.context.directory.now_s = lambda: later_s
            return {"kind": "totp", "code": pyotp.TOTP(secret).at(later_s)}

        confirmed = {"code": shown()["code"]}
        await ann.post(f"/v1/factors/totp/{enrolled['factor']}/confirmation", confirmed)
        with pytest.raises(RefusedError, match="second_factor_needed"):
            await ann.log_in()
        ann.second_factor = shown
        await ann.log_in()
        await ann.step_up()
        assert (await ann.new_api_key("bot", ["read", "money"])).startswith("jk_")


async def test_a_key_is_changed_and_the_client_goes_on_with_the_new_one(tmp_path: Path) -> None:
    async with two_neighbours(tmp_path) as (_, ann, _):
        await ann.place(intent(ann, "b1", Side.BUY, 10, 4000))
        new = signatures.new_private_key()
        await ann.change_key(new, deadline_s=SLOT_S)
        assert ann.key is new
        outcome, _ = await ann.place(intent(ann, "b2", Side.BUY, 10, 4000))
        assert isinstance(outcome, Placed)
        assert [each.client_order_id for each in await ann.orders(state="open")] == ["b1", "b2"]
