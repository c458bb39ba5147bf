"""The client: what it signs the market accepts, what it repeats happens once, and a no is a no."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from market.client import Client, Facts, Placed, Refused, RefusedError, UnreachableError, jwk_of, order_body
from matching.order import Level, Side, Tif
from settlement import intents, merkle, signatures
from settlement.intents import LOGIN, ORDER_BATCH, OrderIntent, Value

KEY = signatures.new_private_key()
OPERATOR = signatures.new_private_key()

MARKET: dict[str, Any] = {
    "now": "2026-07-01T00:00:00Z",
    "slot_minutes": 15,
    "gate_minutes": 5,
    "horizon_slots": 192,
    "time_zone": "Asia/Shanghai",
    "billing_period": "day",
    "fees": {"transformer": "0.0150", "feeder": "0.0300", "substation": "0.0600"},
    "floor": "0.0000",
    "cap": "1.0000",
    "terms": [0, 30, 60],
    "prices": {"retail": "0.5224", "feed_in": "0.4012", "shortfall": "0.5746"},
    "reading_deadline_s": 3600,
    "correction_window_s": 3600,
    "dispute_window_s": 3600,
    "chain_id": 7,
    "contracts": {"Members": "11" * 20, "Clearing": "22" * 20},
    "salt": "33" * 32,
    "members": {"operator": 1},
    "collection_account": {"hash": "44" * 32},
    "operator_key": msgspec.to_builtins(jwk_of(OPERATOR)),
}
FACTS = msgspec.convert(MARKET, Facts)

INTENT = OrderIntent(
    member=100,
    client_order_id="a-1",
    meter="M1",
    side=Side.BUY,
    slot=1_782_864_000,
    quantity_lots=125,
    price_ticks=4500,
    reach=Level.FEEDER,
    terms_days=30,
    tif=Tif.GTC,
    replaces="",
    deadline=1_782_864_000,
)

Handler = Callable[[web.Request], Any]


@asynccontextmanager
async def client_of(*routes: web.RouteDef, patience_s: float = 5.0) -> AsyncIterator[Client]:
    """A client of a server with these routes."""
    app = web.Application()
    app.add_routes([web.get("/v1/market", always(lambda: web.json_response(MARKET))), *routes])
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        yield Client(http, str(server.make_url("")).rstrip("/"), 100, KEY, patience_s=patience_s)


def always(answer: Callable[[], web.Response]) -> Handler:
    """A handler that gives the same answer to everyone."""

    async def handle(_: web.Request) -> web.Response:
        return answer()

    return handle


def problem(status: int, code: str, **headers: str) -> web.Response:
    body = {"type": "about:blank", "title": "no", "status": status, "code": code, "detail": "why", "field": "price"}
    return web.json_response(body, status=status, content_type="application/problem+json", headers=headers)


# ------------------------------------------------------------------------------------------------- repeating


async def test_a_busy_market_is_asked_again_under_the_same_idempotency_key() -> None:
    seen: list[tuple[str, bytes]] = []

    async def busy(request: web.Request) -> web.Response:
        seen.append((request.headers["Idempotency-Key"], await request.read()))
        return problem(503, "busy") if len(seen) < 3 else web.json_response({"done": True})

    async with client_of(web.post("/v1/thing", busy)) as client:
        assert await client.post("/v1/thing", {"a": 1}) == {"done": True}
    assert len(seen) == 3
    assert len(set(seen)) == 1


async def test_what_says_when_to_retry_is_asked_again() -> None:
    calls = 0

    async def under_way(_: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return problem(409, "in_progress", **{"Retry-After": "0"}) if calls == 1 else web.json_response({})

    async with client_of(web.post("/v1/thing", under_way)) as client:
        assert await client.post("/v1/thing", {}) == {}


async def test_each_request_has_an_idempotency_key_of_its_own() -> None:
    keys = []

    async def take(request: web.Request) -> web.Response:
        keys.append(request.headers["Idempotency-Key"])
        return web.json_response({})

    async with client_of(web.post("/v1/thing", take)) as client:
        await client.post("/v1/thing", {})
        await client.post("/v1/thing", {})
    assert len(set(keys)) == 2


async def test_a_lost_connection_is_tried_again() -> None:
    calls = 0

    async def drop_once(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"calls": calls})

    async with client_of(web.post("/v1/thing", drop_once)) as client:
        assert await client.post("/v1/thing", {}) == {"calls": 2}


async def test_patience_ends_with_an_outage_that_says_why() -> None:
    async with client_of(web.get("/v1/thing", always(lambda: problem(503, "busy"))), patience_s=0.3) as client:
        with pytest.raises(UnreachableError, match=r"GET http://.*/v1/thing: busy \(price\): why"):
            await client.get("/v1/thing")


async def test_nobody_there_is_an_outage() -> None:
    async with aiohttp.ClientSession() as http:
        client = Client(http, "http://127.0.0.1:9", 100, KEY, patience_s=0.2)
        with pytest.raises(UnreachableError, match="ClientConnectorError"):
            await client.get("/v1/thing")


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 500])
async def test_a_refusal_is_not_repeated(status: int) -> None:
    calls = 0

    async def refuse(_: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return problem(status, "bad_price")

    async with client_of(web.post("/v1/thing", refuse)) as client:
        with pytest.raises(RefusedError) as caught:
            await client.post("/v1/thing", {})
    assert caught.value.refused == Refused(status, "bad_price", "why", "price")
    assert calls == 1


async def test_an_answer_that_is_no_problem_document_is_told_by_its_status() -> None:
    page = always(lambda: web.Response(status=502, body=b"<html>Bad Gateway</html>"))
    async with client_of(web.get("/v1/thing", page)) as client:
        with pytest.raises(RefusedError, match="http_502: <html>Bad Gateway"):
            await client.get("/v1/thing")


async def test_a_list_is_read_page_after_page() -> None:
    async def page(request: web.Request) -> web.Response:
        assert request.query["state"] == "open"
        last = request.query.get("cursor") == "c2"
        return web.json_response({"items": [3] if last else [1, 2], "next": None if last else "c2"})

    async with client_of(web.get("/v1/thing", page)) as client:
        assert await client.items("/v1/thing", state="open") == [1, 2, 3]


# --------------------------------------------------------------------------------------------------- identity


def login_routes(tokens: list[str]) -> list[web.RouteDef]:
    """Sessions as the market opens them; each log-in gives the next of ``tokens``."""
    nonces: set[str] = set()

    async def challenge(request: web.Request) -> web.Response:
        assert await request.json() == {"member": 100}
        nonces.add("ab" * 32)
        return web.json_response({"nonce": "ab" * 32, "expires": "2026-07-01T00:02:00Z"})

    async def log_in(request: web.Request) -> web.Response:
        body = await request.json()
        digest = LOGIN.digest(FACTS.domain("Members"), {"member": 100, "nonce": bytes.fromhex(body["nonce"])})
        assert body["nonce"] in nonces
        if not signatures.is_signed(signatures.public_key(KEY), digest, bytes.fromhex(body["signature"])):
            return problem(401, "bad_login")
        return web.json_response({"token": tokens.pop(0), "expires": "2026-07-01T01:00:00Z"}, status=201)

    return [web.post("/v1/sessions/challenge", challenge), web.post("/v1/sessions", log_in)]


async def who(request: web.Request) -> web.Response:
    if request.headers.get("Authorization") != "Bearer new":
        return problem(401, "not_logged_in")
    return web.json_response({"member": 100})


async def test_logging_in_signs_the_challenge_and_carries_the_token() -> None:
    async with client_of(*login_routes(["new"]), web.get("/v1/who", who)) as client:
        await client.log_in()
        assert await client.get("/v1/who") == {"member": 100}


async def test_a_session_that_ran_out_is_opened_again_once() -> None:
    tokens = ["old", "new"]
    async with client_of(*login_routes(tokens), web.get("/v1/who", who)) as client:
        await client.log_in()
        assert await client.get("/v1/who") == {"member": 100}
        assert tokens == []


async def test_a_wrong_key_is_refused_and_not_tried_forever() -> None:
    async with client_of(*login_routes(["old", "older"]), web.get("/v1/who", who)) as client:
        client.key = signatures.new_private_key()
        with pytest.raises(RefusedError, match="bad_login"):
            await client.get("/v1/who")


# ----------------------------------------------------------------------------------------------------- orders


def placed(order: dict[str, Any]) -> dict[str, Any]:
    return order | {"state": "open", "remaining": order["quantity"], "trades": [], "sequence": 5}


RECEIPT = {
    "sequence": 5,
    "journal_head": "00" * 32,
    "signature": signatures.sign(
        OPERATOR, intents.RECEIPT.digest(FACTS.domain("Clearing"), {"sequence": 5, "journalHead": bytes(32)})
    ).hex(),
}


def test_an_order_is_written_in_the_units_of_the_interface() -> None:
    assert order_body(INTENT) == {
        "client_order_id": "a-1",
        "meter": "M1",
        "side": "buy",
        "slot": "2026-07-01T00:00:00Z",
        "quantity": "1.25",
        "price": "0.4500",
        "reach": "feeder",
        "terms": 30,
        "tif": "gtc",
        "replaces": "",
        "deadline": "2026-07-01T00:00:00Z",
    }


async def test_an_order_is_signed_over_its_digest() -> None:
    async def take(request: web.Request) -> web.Response:
        body = await request.json()
        signature = bytes.fromhex(body.pop("signature"))
        assert body == order_body(INTENT)
        digest = INTENT.digest(FACTS.domain("Clearing"))
        assert signatures.is_signed(signatures.public_key(KEY), digest, signature)
        return web.json_response({"order": placed(body), "receipt": RECEIPT}, status=201)

    async with client_of(web.post("/v1/orders", take)) as client:
        outcome, receipt = await client.place(INTENT)
    assert isinstance(outcome, Placed)
    assert (outcome.client_order_id, outcome.state, outcome.remaining) == ("a-1", "open", "1.25")
    assert receipt is not None
    assert receipt.sequence == 5


async def test_a_refused_order_is_a_value() -> None:
    async with client_of(web.post("/v1/orders", always(lambda: problem(422, "bad_price")))) as client:
        assert await client.place(INTENT) == (Refused(422, "bad_price", "why", "price"), None)


@pytest.mark.parametrize("is_basket", [False, True])
async def test_a_batch_is_signed_once_over_the_root_of_its_orders(is_basket: bool) -> None:
    other = msgspec.structs.replace(INTENT, client_order_id="a-2", quantity_lots=7)

    async def take(request: web.Request) -> web.Response:
        body = await request.json()
        domain = FACTS.domain("Clearing")
        root = merkle.root([merkle.leaf(intent.digest(domain)) for intent in (INTENT, other)])
        values: dict[str, Value] = {"member": 100, "root": root, "count": 2, "basket": is_basket}
        signature = bytes.fromhex(body["signature"])
        assert signatures.is_signed(signatures.public_key(KEY), ORDER_BATCH.digest(domain, values), signature)
        assert body["basket"] is is_basket
        bad = {"status": 422, "code": "bad_terms", "detail": "why", "field": "terms", "title": "no"}
        results = [{"order": placed(body["orders"][0])}, {"problem": bad}]
        return web.json_response({"results": results, "receipt": RECEIPT})

    async with client_of(web.post("/v1/orders/batch", take)) as client:
        results, _ = await client.place_batch([INTENT, other], is_basket=is_basket)
    assert isinstance(results[0], Placed)
    assert results[1] == Refused(422, "bad_terms", "why", "terms")
