"""One order, from a factory wish for cheap power to a bank repaid; told as docs/life_of_an_order.md tells it.

Nothing is stood in for: ``jinsha serve`` with its chain and ``jinsha checker`` run as processes of their own, everyone
signs with a key of their own, and only the clock is moved by hand.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from data import frames
from data.units import format_instant, parse_instant_s
from finance.calendar import DayCount, days_between
from finance.offer import Quote, parse_rate_ppm, terms_of
from market import children, institutions
from market.children import Children
from market.client import Client, Placed, Refused, jwk_of, new_nonce
from market.institutions import Deposit, GridNode, Newcomer, NewMeter, Reading
from matching.order import Level, Side, Tif
from settlement import hexjson, receivable_acts, sale_acts, signatures
from settlement.chain_file import FileChain
from settlement.compile import compiled
from settlement.intents import RECEIPT, OrderIntent
from settlement.jwk import from_jwk
from settlement.proofs import ProofFile
from tests.stranger import Stranger

SAMPLE = Path(__file__).parent.parent / "data" / "sample"
MORNING = "2026-07-01T00:00:00Z"
SLOT_S = parse_instant_s("2026-07-01T04:00:00Z")  # noon in Chengdu
READINGS_FINAL = "2026-07-02T04:05:00Z"
DISPUTES_OVER = "2026-07-04T04:10:00Z"
YUAN = 1_000_000
SURNAME, SEEN = "of Qingcheng Road 17", "licence seen, qingcheng17@example.cn"


@dataclass
class Town:
    """Who lives in this story. The factory Fang buys on 60 days' terms; the hydro plant He sells; Li is a neighbour."""

    folder: Path
    operator: Client
    custodian: Client
    meter_operator: Client
    fang: Client
    he: Client
    li: Client
    bank: Client


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    folder = tmp_path / "market"
    code, said = await children.run(["init", str(folder), "--from", str(SAMPLE)])
    assert code == 0, "\n".join(said)
    server = f"http://127.0.0.1:{_free_port()}"
    async with Children(tmp_path) as running, aiohttp.ClientSession() as http:
        port = server.rpartition(":")[2]
        await running.start("server", ["serve", str(folder), "--clock", f"manual:{MORNING}", "--port", port])

        def someone(name: str | None = None, member: int | None = None) -> Client:
            key = signatures.new_private_key()
            if name is not None:
                key = signatures.private_from_pem((folder / "keys" / f"{name}.pem").read_bytes())
            return Client(http, server, member, key, patience_s=60)

        people = Town(
            folder,
            operator=someone("operator", 1),
            custodian=someone("custodian", 4),
            meter_operator=someone("meter_operator", 3),
            fang=someone(),
            he=someone(),
            li=someone(),
            bank=someone(),
        )
        await running.guard(_until_ready(people.operator))
        await running.start("checker", ["checker", "--server", server, "--key", str(folder / "keys" / "checker.pem")])
        yield people


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _until_ready(client: Client) -> None:
    while True:
        with suppress(aiohttp.ClientError):
            async with client.http.get(f"{client.server}/readyz") as response:
                if response.status == 200:
                    return


async def test_the_life_of_an_order(town: Town) -> None:
    await neighbours_join(town)
    order = await fang_signs_an_order(town)
    trade = await he_sells_to_it(town, order)
    await the_trade_is_proven_to_a_stranger(town, trade, order)
    await the_energy_is_delivered(town)
    receivable = await the_day_is_settled_and_a_receivable_born(town)
    await fang_acknowledges(town, receivable)
    offer = await a_bank_offers_on_it(town, receivable)
    await he_takes_the_money(town, offer)
    await fang_pays_when_it_is_due(town, receivable)
    await a_court_asks(town, trade)
    await the_analyst_finds_it_all(town)
    await a_stranger_audits(town)
    a_stranger_reads_the_chain(town)


# ---------------------------------------------------------------------------------------------- the chapters


async def neighbours_join(town: Town) -> None:
    clients = {"Fang": town.fang, "He": town.he, "Li": town.li, "Min Bank": town.bank}
    kinds = {"Fang": "business", "He": "plant", "Li": "household", "Min Bank": "bank"}
    roles = {"Fang": ("consumer",), "He": ("producer",), "Li": ("consumer", "producer"), "Min Bank": ("bank",)}
    for institution in (town.operator, town.custodian, town.meter_operator):
        await institution.log_in()
    newcomers = [
        Newcomer(f"{name} {SURNAME}", kinds[name], roles[name], jwk_of(client.key), SEEN)  # type: ignore[arg-type]
        for name, client in clients.items()
    ]
    ids = await institutions.admit(town.operator, newcomers)
    for client, member in zip(clients.values(), ids, strict=True):
        client.member = member
        await client.log_in()
    nodes = [GridNode("S", None, "substation", None, None), GridNode("F", "S", "feeder", None, None)]
    nodes += [GridNode(name, "F", "transformer", "400", "400") for name in ("A", "B")]
    meters = [
        NewMeter("fang-1", "A", ids[0], "business", "0", "500"),
        NewMeter("he-1", "B", ids[1], "hydro", "500", "10"),
        NewMeter("li-1", "A", ids[2], "household", "10", "10"),
    ]
    await institutions.connect(town.operator, nodes, meters)
    deposits = [
        Deposit(ids[0], 10 * YUAN, "B-1", True),
        Deposit(ids[1], 100 * YUAN, "B-2", True),
        Deposit(ids[2], 10 * YUAN, "B-3", True),
        Deposit(ids[3], 1000 * YUAN, "B-4", False),
        Deposit(1, 1000 * YUAN, "B-0", True),  # the bond of the operator
    ]
    await institutions.deposit(town.custodian, deposits)
    await institutions.set_credit_limits(town.bank, [(ids[0], 500 * YUAN)])
    await institutions.until_idle(town.operator)
    account = await town.he.get("/v1/account")
    assert (account["escrow"], account["reserved"]) == ("100.000000", "0.000000")


async def fang_signs_an_order(town: Town) -> OrderIntent:
    """60 kWh at noon for at most 0.50 in all, to be paid in 60 days. The answer carries the operator's receipt."""
    order = intent(town.fang, "noon-1", "fang-1", Side.BUY, 6000, 5000, terms_days=60)
    placed, receipt = await town.fang.place(order)
    assert isinstance(placed, Placed), placed
    assert (placed.state, placed.remaining) == ("open", "60.00")
    assert receipt is not None
    facts = await town.fang.facts()
    signed: dict[str, int | str | bytes | bool] = {
        "sequence": receipt.sequence,
        "journalHead": bytes.fromhex(receipt.journal_head),
    }
    digest = RECEIPT.digest(facts.domain("Clearing"), signed)
    assert signatures.is_signed(from_jwk(facts.operator_key), digest, bytes.fromhex(receipt.signature))
    account = await town.fang.get("/v1/account")
    assert account["credit_used"] == "30.000000"  # reserved, not merely checked: 60 kWh x 0.50
    again, _ = await town.fang.place(order)  # the answer was lost on the way: asking again places nothing new
    assert isinstance(again, Placed) and len(await town.fang.orders()) == 1
    beyond, _ = await town.fang.place(intent(town.fang, "noon-2", "fang-1", Side.BUY, 6501, 10_000, terms_days=60))
    assert isinstance(beyond, Refused)
    assert beyond.code == "over_capacity"  # 500 kW carry 125 kWh in a slot, and 60 of them are taken
    return order


async def he_sells_to_it(town: Town, order: OrderIntent) -> int:
    """The far seller pays the fee out of the buyer's limit: Fang came first and pays 0.50; He gets 0.50 - 0.03."""
    placed, _ = await town.he.place(intent(town.he, "h-1", "he-1", Side.SELL, 8000, 4200, terms_days=60))
    assert isinstance(placed, Placed), placed
    assert (placed.state, placed.remaining) == ("open", "20.00")
    trades = await town.fang.items("/v1/trades")
    assert [(t["quantity"], t["price"], t["level"]) for t in trades] == [("60.00", "0.5000", "feeder")]
    book = await town.li.get("/v1/book", slot=format_instant(SLOT_S), meter="li-1")
    assert [(ask["price"], ask["quantity"]) for ask in book["asks"]] == [
        ("0.4500", "2.50")
    ]  # 0.42 + 0.03, and 10 kW of room
    return int(trades[0]["trade"])


async def the_trade_is_proven_to_a_stranger(town: Town, trade: int, order: OrderIntent) -> None:
    """Within a minute journal head and trade root are on the chain; the proof leads from Fang's order to that root."""
    await institutions.move_clock(town.operator, parse_instant_s("2026-07-01T00:02:00Z"))
    await institutions.until_idle(town.operator)
    answer = await town.fang.request("GET", f"/v1/trades/{trade}/proof")
    proof = hexjson.load(answer, ProofFile)
    assert proof.order.intent == order
    with FileChain(town.folder / "chain.db", bytes(proof.domain.salt), compiled()) as chain:
        [committed] = [e.arguments for e in chain.events(1) if e.event == "Committed" and e.arguments["trade_count"]]
    assert proof.commitment.trade_root == committed["trade_root"]
    file = town.folder / "proof.json"
    file.write_bytes(answer)
    code, said = await children.run(
        ["verify", str(file), "--lang", "en", "--block-hash", proof.committed.block_hash.hex()]
    )
    assert code == 0 and any("is the one you brought" in line for line in said)
    assert b":4200," not in answer  # Fang's own limit is shown, He's is not


async def the_energy_is_delivered(town: Town) -> None:
    """He's turbine made 57 of the 60 kWh that it had sold; every other slot was quiet."""
    await institutions.move_clock(town.operator, parse_instant_s("2026-07-01T16:00:00Z"))
    late, _ = await town.li.place(intent(town.li, "late", "li-1", Side.BUY, 100, 5000))
    assert isinstance(late, Refused) and late.code in ("slot_closed", "deadline_passed")
    readings = [
        Reading("fang-1", SLOT_S, 0, 6000),
        Reading("he-1", SLOT_S, 5700, 0),
        Reading("li-1", SLOT_S, 0, 40),
    ]
    async for results in institutions.report_readings(town.meter_operator, readings):
        assert [result["status"] for result in results] == ["accepted"] * 3
    async for results in institutions.report_readings(town.meter_operator, readings):
        assert [result["status"] for result in results] == ["duplicate"] * 3


async def the_day_is_settled_and_a_receivable_born(town: Town) -> dict[str, Any]:
    """Operator and checker sign the same cycle; after the dispute window it moves money once, and adds up to zero."""
    await institutions.move_clock(town.operator, parse_instant_s(READINGS_FINAL))
    await institutions.until_idle(town.operator)
    assert [cycle["state"] for cycle in await town.operator.items("/v1/cycles")] == ["proposed"]
    await institutions.move_clock(town.operator, parse_instant_s(DISPUTES_OVER))
    await institutions.until_idle(town.operator)
    assert [cycle["state"] for cycle in await town.operator.items("/v1/cycles")] == ["applied"]
    account = await town.he.get("/v1/account")
    assert account["escrow"] == "98.276200"  # 3 kWh short at 0.5746: He's own deviation, and only He's
    [receivable] = await town.he.items("/v1/receivables")
    assert receivable["state"] == "issued"
    assert receivable["face"] == "26.79"  # 57 kWh delivered and metered x 0.47; the missing 3 are no receivable
    assert receivable["due_day"] >= "2026-08-30"
    assert await town.li.items("/v1/receivables") == []  # nobody else's business
    assert await town.bank.items("/v1/receivables") == []  # not before it is listed
    return receivable  # type: ignore[no-any-return]


async def fang_acknowledges(town: Town, receivable: dict[str, Any]) -> None:
    """The contract checks the debtor's signature; only then may it be listed."""
    facts, nonce, deadline_s = await town.fang.facts(), new_nonce(), _soon()
    domain, collection = facts.domain("Receivables"), bytes.fromhex(facts.collection_account.hash)
    named = bytes.fromhex(receivable["receivable"])
    digest = receivable_acts.acknowledge_many_digest(
        domain, _id(town.fang), [named], collection, nonce=nonce, deadline_s=deadline_s
    )
    body = {"receivables": [named.hex()], **_signed(town.fang, digest, nonce, deadline_s)}
    await town.fang.post("/v1/receivables/acknowledge", body)
    await _until_state(town.he, receivable, "acknowledged")
    nonce = new_nonce()
    digest = receivable_acts.set_listed_digest(domain, named, _id(town.he), True, nonce=nonce, deadline_s=deadline_s)
    await town.he.post(f"/v1/receivables/{named.hex()}/list", _signed(town.he, digest, nonce, deadline_s))
    await _until_state(town.he, receivable, "listed")


async def a_bank_offers_on_it(town: Town, receivable: dict[str, Any]) -> sale_acts.Offer:
    """90 % in advance at 3.6 % a year for the days left; both sides compute the same proceeds to the fen."""
    [seen] = await town.bank.items("/v1/receivables", state="listed")
    days = days_between(date(2026, 7, 4), date.fromisoformat(seen["due_day"]))
    quote = Quote(parse_rate_ppm("0.90"), parse_rate_ppm("0.036"), DayCount("360"), 0)
    terms = terms_of(2679, quote, days)
    assert terms.advance_fen == 2411  # 26.79 x 0.90, rounded down
    offer = sale_acts.Offer(
        bytes.fromhex(seen["receivable"]),
        _id(town.bank),
        900_000,
        terms.advance_fen * 10_000,
        terms.proceeds_fen * 10_000,
        0,
        60_000,
        360,
        True,
        b"\x0d" * 32,
        new_nonce(),
        _soon(),
    )
    digest = sale_acts.offer_digest((await town.bank.facts()).domain("Sales"), offer)
    quoted = {"advance_rate": "0.90", "rate": "0.036", "days_basis": "360", "fee": "0"}
    added = {"late_rate": "0.06", "recourse": True, "registration": offer.registration.hex()}
    body = {"receivable": seen["receivable"]} | quoted | added
    await town.bank.post("/v1/offers", body | _signed(town.bank, digest, offer.nonce, offer.deadline_s))
    return offer


async def he_takes_the_money(town: Town, offer: sale_acts.Offer) -> None:
    """Money one way and the claim the other in one transaction, or neither."""
    [made] = await town.he.items("/v1/offers", receivable=offer.receivable_id.hex())
    nonce, deadline_s = new_nonce(), _soon()
    domain = (await town.he.facts()).domain("Sales")
    digest = sale_acts.acceptance_digest(domain, offer, _id(town.he), nonce=nonce, deadline_s=deadline_s)
    await town.he.post(f"/v1/offers/{made['offer']}/accept", _signed(town.he, digest, nonce, deadline_s))
    await _until_state(town.he, {"receivable": offer.receivable_id.hex()}, "financed")
    assert _micro((await town.he.get("/v1/account"))["cash"]) == offer.proceeds_micro
    assert _micro((await town.bank.get("/v1/account"))["cash"]) == 1000 * YUAN - offer.proceeds_micro


async def fang_pays_when_it_is_due(town: Town, receivable: dict[str, Any]) -> None:
    """The bank gets its advance, He the rest; and Fang's 3 kWh that no receivable holds are paid in their cycle."""
    due_s = parse_instant_s(f"{receivable['due_day']}T02:00:00Z")
    await institutions.move_clock(town.operator, due_s)
    await institutions.until_idle(town.operator)
    await institutions.attest_balance(town.custodian, 2120 * YUAN + 2679 * 10_000)
    await institutions.deposit(town.custodian, [Deposit(_id(town.fang), 2679 * 10_000, "B-5", False)])
    await institutions.until_idle(town.operator)
    domain, nonce, deadline_s = (await town.fang.facts()).domain("Receivables"), new_nonce(), due_s + 3600
    named, amount_micro = bytes.fromhex(receivable["receivable"]), 2679 * 10_000
    digest = receivable_acts.repay_digest(
        domain, named, _id(town.fang), amount_micro, nonce=nonce, deadline_s=deadline_s
    )
    body = {"amount": "26.79", **_signed(town.fang, digest, nonce, deadline_s)}
    await town.fang.post(f"/v1/receivables/{named.hex()}/repay", body)
    await _until_state(town.he, receivable, "settled")
    for days in (2, 5):  # their cycle is proposed, then its dispute window passes
        await institutions.move_clock(town.operator, due_s + days * 86_400)
        await institutions.until_idle(town.operator)
    fang = await town.fang.get("/v1/account")
    assert (fang["cash"], fang["escrow"], fang["credit_used"]) == ("0.000000", "8.590000", "0.000000")  # - 3 x 0.47
    rated = await town.fang.get(f"/v1/credit/{_id(town.fang)}")
    assert rated["decision"] is not None and rated["rating"] == "BB", "one trade, one neighbour, paid in time"


async def a_court_asks(town: Town, trade: int) -> None:
    """One file with all that stands behind the trade, both sides of it; each side gets its own; both hold offline."""
    out = town.folder / "evidence.json"
    settings = str(town.folder / "market.toml")
    code, said = await children.run(["evidence", str(trade), "--settings", settings, "--out", str(out)])
    assert code == 0, said
    code, said = await children.run(["verify", str(out), "--lang", "zh"])
    assert code == 0 and "证明成立" in said[-1], said
    assert any("已在区块" in line for line in said), "the debtor acknowledged"
    page = out.with_suffix(".html").read_text("utf-8")
    assert all(text in page for text in ("fang-1", "he-1", "57.00 kWh", "26.79", "成交"))
    own = await town.he.request("GET", f"/v1/trades/{trade}/evidence")
    assert b"he-1" in own and b"fang-1" not in own
    out.write_bytes(own)
    code, said = await children.run(["verify", str(out), "--lang", "en"])
    assert code == 0 and any("the signature is not in this copy" in line for line in said), said


async def the_analyst_finds_it_all(town: Town) -> None:
    trades = frames.trades(town.folder)
    assert trades["quantity_lots"].tolist() == [6000]
    assert frames.deliveries(town.folder)["delivered_lots"].tolist() == [5700]
    assert frames.receivables(town.folder)["state"].tolist() == ["settled"]


async def a_stranger_audits(town: Town) -> None:
    code, said = await children.run(["audit", str(town.folder)])
    assert code == 0, "\n".join(said)
    assert any("UNWITNESSED" in line for line in said)


# ------------------------------------------------------------------------------------------------- small words


def intent(  # noqa: PLR0917 - reads as an order is said
    client: Client, name: str, meter: str, side: Side, quantity_lots: int, price_ticks: int, terms_days: int = 0
) -> OrderIntent:
    return OrderIntent(
        member=_id(client),
        client_order_id=name,
        meter=meter,
        side=side,
        slot=SLOT_S,
        quantity_lots=quantity_lots,
        price_ticks=price_ticks,
        reach=Level.SUBSTATION,
        terms_days=terms_days,
        tif=Tif.GTC,
        replaces="",
        deadline=SLOT_S,
    )


def _key(client: Client) -> ec.EllipticCurvePrivateKey:
    assert client.key is not None
    return client.key


def _id(client: Client) -> int:
    assert client.member is not None
    return client.member


def _soon() -> int:
    return parse_instant_s(DISPUTES_OVER) + 86_400


def _micro(text: str) -> int:
    return int(text.replace(".", ""))


def _signed(client: Client, digest: bytes, nonce: int, deadline_s: int) -> dict[str, Any]:
    return {"nonce": nonce, "deadline": format_instant(deadline_s), "signature": client.sign(digest)}


async def _until_state(client: Client, receivable: dict[str, Any], state: str) -> None:
    seen: list[str] = []
    while not seen or seen[-1] != state:
        [found] = await client.items("/v1/receivables")
        assert found["receivable"] == receivable["receivable"]
        seen.append(found["state"])
        assert len(seen) < 3000, f"still {seen[-1]}, not {state}"


def a_stranger_reads_the_chain(town: Town) -> None:
    """Member numbers and sums are there for everyone; who they are, and what they ordered, made and used, is not."""
    stranger = Stranger(town.folder / "chain.db")
    assert stranger.finds_number(_id(town.fang)) and stranger.finds_number(100 * YUAN)
    for text in (SURNAME, SEEN, "qingcheng17@example.cn", "fang-1", "noon-1"):
        assert stranger.finds_text(text) == [], text
    for lots_or_ticks in (6000, 8000, 5700, 4200, 4700):
        assert not stranger.finds_number(lots_or_ticks), lots_or_ticks
