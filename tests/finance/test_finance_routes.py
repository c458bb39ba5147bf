"""Receivables and offers over real HTTP: what is answered, to whom, and what is refused with which code."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
import pytest
from aiohttp import web

from data.database import reading
from data.units import MICRO_PER_FEN, format_instant, parse_instant_s, parse_money_fen
from finance.calendar import DayCount, days_between
from finance.evidence import WholeEvidence, verify_evidence, verify_history
from finance.offer import Quote, terms_of
from market import app as application
from market import member_store
from market.clock import ManualClock
from market.context import Context
from market.feed import Feed
from market.identity import Directory
from market.risk import Account
from market.scopes import SCOPES
from market.sequencer import Sequencer
from market.simulated_finance import offer_of
from settlement import calendar, hexjson, receivable_acts, sale_acts
from settlement.sale_acts import Offer
from tests.finance.ledger import (
    ACCOUNT,
    BANK,
    COLLECTION,
    FACTORY,
    HOME,
    OTHER_BANK,
    PLANT,
    SHOP,
    TIME_ZONE,
    Ledger,
    a_day_on_terms,
    copy_ledger,
    open_ledger,
)
from tests.market.world import config_of
from tests.settlement.settlement_world import OPERATOR

pytestmark = pytest.mark.usefixtures("database_url")

Json = dict[str, Any]


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory, chain_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("served")
    with open_ledger(folder, chain_file) as ledger:
        a_day_on_terms(ledger)
        ledger.issue()
    return folder


@pytest.fixture
def ledger(tmp_path: Path, issued: Path) -> Iterator[Ledger]:
    with copy_ledger(issued, tmp_path) as ledger:
        yield ledger


@dataclass
class Served:
    """A market's server over a ledger; members speak with tokens and sign with their keys."""

    ledger: Ledger
    directory: Directory
    server: str
    http: aiohttp.ClientSession
    context: Context
    tokens: dict[int, str] = field(default_factory=dict)

    async def call(self, member: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        if member not in self.tokens:
            self.tokens[member], session = self.directory.new_session(member, 3_600, SCOPES)
            self.directory.keep(session)
        headers = {"Authorization": f"Bearer {self.tokens[member]}", "Content-Type": "application/json"}
        payload = None if body is None else msgspec.json.encode(body)
        async with self.http.request(method, self.server + path, data=payload, headers=headers) as response:
            return response.status, msgspec.json.decode(await response.read())

    async def get(self, member: int, path: str) -> Any:
        status, answer = await self.call(member, "GET", path)
        assert status == 200, answer
        return answer

    async def post(self, member: int, path: str, body: Any, expected: int = 202) -> Any:
        status, answer = await self.call(member, "POST", path, body)
        assert status == expected, answer
        if expected >= 400:
            assert (answer["type"], answer["status"]) == ("about:blank", expected)
        return answer

    async def ids(self, member: int) -> list[str]:
        return [item["receivable"] for item in (await self.get(member, "/v1/receivables"))["items"]]

    def signed(self, member: int, digest_of: Any, **changed: Any) -> Json:
        word = self.ledger.word(member, digest_of, **changed)
        return {
            "nonce": word.nonce,
            "deadline": format_instant(word.deadline_s),
            "signature": word.signature.hex(),
        }

    async def acknowledge(self, name: str) -> Any:
        ids = [bytes.fromhex(name)]
        body = self.signed(
            FACTORY,
            lambda **terms: receivable_acts.acknowledge_many_digest(
                self.ledger.domain, FACTORY, ids, COLLECTION, **terms
            ),
        )
        answer = await self.post(FACTORY, "/v1/receivables/acknowledge", {"receivables": [name], **body})
        self.ledger.sync()
        return answer

    async def list_for_sale(self, name: str, *, listed: bool = True) -> Any:
        body = self.signed(
            PLANT,
            lambda **terms: receivable_acts.set_listed_digest(
                self.ledger.domain, bytes.fromhex(name), PLANT, listed, **terms
            ),
        )
        path = f"/v1/receivables/{name}/{'list' if listed else 'withdraw'}"
        answer = await self.post(PLANT, path, body)
        self.ledger.sync()
        return answer

    async def offer(self, bank: int, item: Json, expected: int = 201, **changed: Any) -> Any:
        """As a bank does it: the amounts from the quote, by the same arithmetic, signed."""
        quoted = {"advance_rate": "0.9", "rate": "0.06", "days_basis": "360", "fee": "0.01"} | changed
        quote = Quote(900_000, 60_000, DayCount.ACT_360, 1)
        today = calendar.day_of(self.ledger.now_s, TIME_ZONE)
        due_day = calendar.day_of(parse_instant_s(f"{item['due_day']}T00:00:00Z"), TIME_ZONE)
        terms = terms_of(parse_money_fen(item["face"]), quote, days_between(today, due_day))
        registration = self.ledger.registration()

        def digest_of(nonce: int, deadline_s: int) -> bytes:
            amounts = (terms.advance_fen * MICRO_PER_FEN, terms.proceeds_fen * MICRO_PER_FEN)
            added = (10_000, 60_000, 360, True, registration)
            offer = Offer(bytes.fromhex(item["receivable"]), bank, 900_000, *amounts, *added, nonce, deadline_s)
            return sale_acts.offer_digest(self.ledger.sales, offer)

        quoted = {"costs": "0.01", "late_rate": "0.06", "recourse": True, "registration": registration.hex()} | quoted
        body = {"receivable": item["receivable"], **quoted, **self.signed(bank, digest_of)}
        return await self.post(bank, "/v1/offers", body, expected)

    async def accept(self, offer: Json, expected: int = 202) -> Any:
        on_chain = offer_of(offer)
        body = self.signed(
            PLANT, lambda **terms: sale_acts.acceptance_digest(self.ledger.sales, on_chain, PLANT, **terms)
        )
        return await self.post(PLANT, f"/v1/offers/{offer['offer']}/accept", body, expected)

    async def repay(self, name: str, amount: str, expected: int = 202) -> Any:
        amount_micro = parse_money_fen(amount) * MICRO_PER_FEN if expected == 202 else 10_000
        body = self.signed(
            FACTORY,
            lambda **terms: receivable_acts.repay_digest(
                self.ledger.domain, bytes.fromhex(name), FACTORY, amount_micro, **terms
            ),
        )
        return await self.post(FACTORY, f"/v1/receivables/{name}/repay", {"amount": amount, **body}, expected)


class Untraded:
    """A sequencer that has no orders."""

    async def look(self, _: object) -> Account:
        return Account(0, 0, 0, 0, 0)


@pytest.fixture
async def served(ledger: Ledger) -> AsyncIterator[Served]:
    directory = Directory()
    with reading(ledger.database) as connection:
        directory.put(member_store.read_members(connection))
    directory.members[OPERATOR] = replace(directory.members[OPERATOR], roles=frozenset({"operator"}))
    config = config_of()
    config = msgspec.structs.replace(config, market=msgspec.structs.replace(config.market, collection_account=ACCOUNT))
    context = Context(
        config,
        ledger.database,
        ManualClock(ledger.now_s),
        config.timing,
        directory,
        ledger.world.operator,
        cast(Sequencer, Untraded()),  # all that these routes ask it is what of a credit limit is taken
        ledger.chain,
        cast(Feed, None),
    )
    runner = web.AppRunner(application.build(context), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Served(ledger, directory, f"http://127.0.0.1:{runner.addresses[0][1]}", http, context)
    finally:
        await runner.cleanup()
        context.threads.shutdown()


async def test_a_receivable_from_acknowledgement_to_the_last_fen(served: Served) -> None:
    (name,) = await served.ids(FACTORY)
    assert (await served.get(FACTORY, "/v1/receivables"))["items"][0] == {
        "receivable": name,
        "number": 1,
        "period": 1,
        "creditor": PLANT,
        "debtor": FACTORY,
        "holder": PLANT,
        "state": "issued",
        "standing": "running",
        "face": "0.70",
        "advance": "0.00",
        "proceeds": None,
        "paid": "0.00",
        "outstanding": "0.70",
        "terms": 60,
        "issue_day": "2026-07-02",
        "due_day": "2026-08-31",
        "updated": format_instant(served.ledger.now_s),
        "fapiao": None,
        "frozen": False,
        "claimed": False,
        "sale": None,
        "parts": [],
        "act": None,
    }
    answer = await served.acknowledge(name)
    assert answer["receivables"][0]["act"] == {"act": "acknowledge", "state": "waiting", "refusal": None}
    assert answer["receivables"][0]["state"] == "issued"
    await served.list_for_sale(name)
    (item,) = (await served.get(BANK, "/v1/receivables?state=listed"))["items"]
    made = (await served.offer(BANK, item))["offer"]
    assert {made[key] for key in ("state", "bank")} == {"open", BANK}
    amounts = [made[key] for key in ("advance", "discount", "fee", "proceeds", "days")]
    assert amounts == ["0.63", "0.01", "0.01", "0.61", 60]
    assert made["yearly_cost"] == "0.199454"
    (got,) = (await served.get(PLANT, f"/v1/offers?receivable={name}&state=open"))["items"]
    assert got == made
    answer = await served.accept(got)
    assert (answer["receivable"]["state"], answer["receivable"]["act"]["act"]) == ("listed", "finance")
    served.ledger.sync()
    for amount in ("0.65", "0.05"):
        await served.repay(name, amount)
        served.ledger.sync()
    whole = await served.get(BANK, f"/v1/receivables/{name}")
    assert (whole["receivable"]["state"], whole["receivable"]["outstanding"]) == ("settled", "0.00")
    states = [each for each in whole["history"] if each["part"] is None]
    assert [(each["before"], each["after"], each["actor"]) for each in states] == [
        ("drafted", "issued", 0),
        ("issued", "acknowledged", FACTORY),
        ("acknowledged", "acknowledged", 0),  # its trades are claimed
        ("acknowledged", "listed", PLANT),
        ("listed", "financed", PLANT),
        ("financed", "partly_paid", FACTORY),
        ("partly_paid", "settled", FACTORY),
    ]
    assert all(len(each["transaction"]) == 64 for each in whole["history"])
    shown = {
        member: (await served.get(member, f"/v1/receivables/{name}"))["receivable"]["proceeds"]
        for member in (PLANT, FACTORY, BANK, OPERATOR)
    }
    assert shown == {PLANT: "0.61", FACTORY: None, BANK: "0.61", OPERATOR: "0.61"}


async def test_what_one_may_not_see_is_not_there(served: Served) -> None:
    (name,) = await served.ids(FACTORY)
    assert await served.ids(HOME) == await served.ids(BANK) == []
    assert len(await served.ids(PLANT)) == len(await served.ids(OPERATOR)) == 2
    for member in (SHOP, HOME, BANK):
        for path in (name, f"{name}/evidence"):
            status, answer = await served.call(member, "GET", f"/v1/receivables/{path}")
            assert (status, answer["code"]) == (404, "not_found")
        body = served.signed(member, lambda **_: bytes(32))
        await served.post(member, f"/v1/receivables/{name}/list", body, 404)
        await served.post(member, "/v1/receivables/acknowledge", {"receivables": [name], **body}, 404)
    for wrong in ("00" * 32, name.upper(), "x", name[:-2]):
        status, answer = await served.call(FACTORY, "GET", f"/v1/receivables/{wrong}")
        assert (status, answer["code"]) == (404, "not_found")
    async with served.http.get(f"{served.server}/v1/receivables") as response:
        assert response.status == 401


async def test_a_bank_sees_what_is_listed_until_another_has_it(served: Served) -> None:
    (name,) = await served.ids(FACTORY)
    await served.acknowledge(name)
    await served.list_for_sale(name)
    assert await served.ids(BANK) == await served.ids(OTHER_BANK) == [name]
    await served.list_for_sale(name, listed=False)
    assert await served.ids(BANK) == []
    await served.list_for_sale(name)
    (item,) = (await served.get(BANK, "/v1/receivables"))["items"]
    made = await served.offer(BANK, item)
    await served.offer(OTHER_BANK, item)
    assert len((await served.get(PLANT, "/v1/offers"))["items"]) == 2
    assert [each["bank"] for each in (await served.get(BANK, "/v1/offers"))["items"]] == [BANK]
    assert (await served.get(FACTORY, "/v1/offers"))["items"] == []
    await served.accept(made["offer"])
    served.ledger.sync()
    assert (await served.ids(BANK), await served.ids(OTHER_BANK)) == ([name], [])
    states = [each["state"] for each in (await served.get(PLANT, "/v1/offers"))["items"]]
    assert states == ["accepted", "lapsed"]


async def test_refusals_have_their_status_their_code_and_the_field_at_fault(served: Served) -> None:
    (name,) = await served.ids(FACTORY)

    def acknowledgement(member: int = FACTORY, **changed: Any) -> Json:
        digest_of = partial(
            receivable_acts.acknowledge_many_digest, served.ledger.domain, FACTORY, [bytes.fromhex(name)], COLLECTION
        )
        return {"receivables": [name], **served.signed(member, digest_of, **changed)}

    path, passed = "/v1/receivables/acknowledge", {"deadline_s": served.ledger.now_s - 1}
    for body, status, code, place in (
        (acknowledgement() | {"signature": "00" * 64}, 422, "bad_signature", "signature"),
        (acknowledgement() | {"signature": "00"}, 422, "bad_signature", "signature"),
        (acknowledgement(SHOP), 422, "bad_signature", "signature"),
        (acknowledgement(**passed), 422, "deadline_passed", "deadline"),
        (acknowledgement() | {"deadline": "tomorrow"}, 422, "bad_time", "deadline"),
        (acknowledgement() | {"receivables": []}, 422, "none_named", "receivables"),
        (acknowledgement() | {"receivables": [name, name]}, 422, "named_twice", "receivables"),
        (acknowledgement() | {"receivables": ["x"]}, 422, "bad_receivable", "receivables[0]"),
        (acknowledgement() | {"receivables": ["00" * 32]}, 404, "not_found", None),
        (acknowledgement() | {"nonce": -1}, 400, "bad_value", "nonce"),
        (acknowledgement() | {"nonce": "1"}, 400, "wrong_type", "nonce"),
        (acknowledgement() | {"extra": 1}, 400, "unknown_field", "extra"),
    ):
        answer = await served.post(FACTORY, path, body, status)
        assert (answer["code"], answer.get("field")) == (code, place), answer
    answer = await served.post(PLANT, path, acknowledgement(PLANT), 403)
    assert answer["code"] == "not_a_party"
    assert served.ledger.queued() == []
    body = acknowledgement()
    first = await served.post(FACTORY, path, body)
    assert await served.post(FACTORY, path, body) == first
    assert (await served.post(FACTORY, path, acknowledgement(), 409))["code"] == "act_pending"
    served.ledger.sync()
    assert (await served.post(FACTORY, path, acknowledgement(), 409))["code"] == "illegal_transition"
    for amount, code in (("0", "bad_amount"), ("-1", "bad_amount"), ("0.001", "bad_amount"), ("1.00", "bad_amount")):
        assert (await served.repay(name, amount, 422))["code"] == code


async def test_quotes_that_are_none_and_offers_signed_over_other_amounts(served: Served) -> None:
    (name,) = await served.ids(FACTORY)
    await served.acknowledge(name)
    await served.list_for_sale(name)
    (item,) = (await served.get(BANK, "/v1/receivables"))["items"]
    for changed, code in (
        ({"advance_rate": "1.1"}, "bad_rate"),
        ({"advance_rate": "90%"}, "bad_rate"),
        ({"rate": "-0.01"}, "bad_rate"),
        ({"days_basis": "364"}, "bad_rate"),
        ({"fee": "0.001"}, "bad_amount"),
        ({"fee": "-0.01"}, "bad_fee"),
        ({"fee": "0.63"}, "no_proceeds"),
        ({"rate": "0.24"}, "bad_signature"),
        ({"fee": "0.02"}, "bad_signature"),
        ({"receivable": "0"}, "bad_receivable"),
    ):
        assert (await served.offer(BANK, item, 422, **changed))["code"] == code, changed
    assert (await served.offer(PLANT, item, 403))["code"] == "forbidden"
    assert (await served.get(PLANT, "/v1/offers"))["items"] == []
    body = served.signed(PLANT, lambda **_: bytes(32))
    assert (await served.post(PLANT, "/v1/offers/1/accept", body, 404))["code"] == "not_found"
    assert (await served.offer(BANK, item, days_basis="30E/360"))["offer"]["days"] == 58  # of the 60 actual ones


async def test_a_debtor_rejects_with_its_reason(served: Served) -> None:
    (name,) = await served.ids(FACTORY)
    receivable_id = bytes.fromhex(name)
    body = served.signed(
        FACTORY, lambda **terms: receivable_acts.reject_digest(served.ledger.domain, receivable_id, FACTORY, **terms)
    )
    path = f"/v1/receivables/{name}/reject"
    await served.post(FACTORY, path, body | {"reason": "x" * 501}, 400)
    await served.post(FACTORY, path, body | {"reason": "not our meter"})
    served.ledger.sync()
    whole = await served.get(PLANT, f"/v1/receivables/{name}")
    assert (whole["receivable"]["state"], whole["receivable"]["standing"]) == ("rejected", "ended")
    assert whole["history"][-1]["reason"] == "not our meter"


async def test_lists_come_in_pages_and_filters_are_checked(served: Served) -> None:
    first = await served.get(PLANT, "/v1/receivables?limit=1")
    assert [item["number"] for item in first["items"]] == [1]
    second = await served.get(PLANT, f"/v1/receivables?limit=1&cursor={first['next']}")
    assert [item["number"] for item in second["items"]] == [2]
    await served.acknowledge(first["items"][0]["receivable"])
    third = await served.get(PLANT, f"/v1/receivables?limit=1&cursor={second['next']}")
    assert [(item["number"], item["state"]) for item in third["items"]] == [(1, "acknowledged")]
    assert (await served.get(PLANT, f"/v1/receivables?cursor={third['next']}")) == {"items": [], "next": None}
    now = format_instant(served.ledger.now_s)
    for query, numbers in (
        (f"debtor={SHOP}", [2]),
        (f"creditor={PLANT}&state=acknowledged", [1]),
        ("standing=overdue", []),
        (f"updated_after={now}", [2, 1]),
    ):
        items = (await served.get(PLANT, f"/v1/receivables?{query}"))["items"]
        assert [item["number"] for item in items] == numbers, query
    odd = ["state=odd", "standing=odd", "debtor=x", "cursor=1", "limit=0", "limit=1001", "colour=red"]
    for query in [*odd, "state=issued&state=issued"]:
        status, answer = await served.call(PLANT, "GET", f"/v1/receivables?{query}")
        assert (status, answer["type"]) == (400, "about:blank"), query
    status, answer = await served.call(PLANT, "GET", "/v1/receivables?updated_after=yesterday")
    assert (status, answer["code"]) == (422, "bad_time")


async def test_a_period_is_read_in_pages(served: Served) -> None:
    whole = await served.get(OPERATOR, "/v1/periods/1")
    assert (whole["next"], len(whole["receivables"])) == (None, 2)
    left = whole["remainders"][0]
    after = f"1.{left['creditor']}.{left['debtor']}.{left['terms_days']}"
    rest = await served.get(OPERATOR, f"/v1/periods/1?after={after}")
    assert (rest["receivables"], rest["remainders"]) == (whole["receivables"][1:], whole["remainders"][1:])
    for wrong in ("", "1", "1.2.3", "-1.0.0.0", "1.2.3.99999", "1.2.3.x"):
        status, answer = await served.call(OPERATOR, "GET", f"/v1/periods/1?after={wrong}")
        assert (status, answer["code"]) == (400, "bad_parameter"), wrong


async def test_the_evidence_holds_against_the_chain(served: Served) -> None:
    (name,) = await served.ids(FACTORY)
    await served.acknowledge(name)
    await served.list_for_sale(name)
    await served.repay(name, "0.10")
    served.ledger.sync()
    async with served.http.get(
        f"{served.server}/v1/receivables/{name}/evidence", headers={"Authorization": f"Bearer {served.tokens[FACTORY]}"}
    ) as response:
        evidence = hexjson.load(await response.read(), WholeEvidence)
    events = served.ledger.chain.events(0)
    period_root = next(event.arguments["root"] for event in events if event.event == "PeriodIssued")
    roots = {each.arguments["index"]: each.arguments["trade_root"] for each in events if each.event == "Committed"}
    assert verify_evidence(evidence, cast(bytes, period_root), cast(dict[int, bytes], roots)) == []
    assert evidence.receivable_id.hex() == name
    assert verify_history(evidence, events) == []
    assert evidence.acknowledged is not None and evidence.acknowledged.actor == FACTORY
    forged = [msgspec.structs.replace(each, actor=each.actor + 1) for each in evidence.history]
    assert verify_history(msgspec.structs.replace(evidence, history=tuple(forged)), events) != []
    assert verify_history(msgspec.structs.replace(evidence, history=evidence.history[:1]), events) != []
