"""Exceptional input is normal input: each gets a clear refusal in bounded time, and the market goes on.

``test_wire.py`` has what one decoder makes of bytes, ``test_overload.py`` what comes too large, too slow or is no HTTP,
``test_schemathesis.py`` what the schemas allow. Here odd things go to the routes that move orders and money, on both
kinds of database.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from market import wire
from market.problems import ProblemError
from settlement.signatures import ORDER_N
from tests.market.world import Person, World, neighbours, open_market, order

DIGITS = "9" * 400

ODD_ORDERS: list[tuple[str, bytes, str]] = [
    ("price", b"NaN", "malformed_json"),
    ("price", b"Infinity", "malformed_json"),
    ("price", b"-Infinity", "malformed_json"),
    ("price", b"0.45", "wrong_type"),
    ("price", b'"NaN"', "bad_price"),
    ("price", b'"1e400"', "bad_price"),
    ("price", f'"{DIGITS}"'.encode(), "bad_price"),
    ("price", b'"0.00001"', "bad_price"),
    ("quantity", b'"-1.00"', "bad_quantity"),
    ("quantity", b'"1.00 "', "bad_quantity"),
    ("quantity", '"１.00"'.encode(), "bad_quantity"),
    ("terms", b"1e400", "bad_value"),
    ("terms", DIGITS.encode(), "bad_value"),
    ("terms", b"-0.0", "wrong_type"),
    ("terms", b"-1", "bad_value"),
    ("terms", b"true", "wrong_type"),
    ("slot", b'"2026-07-01T10:15:00+00:00"', "bad_time"),
    ("slot", b'"2026-02-30T10:15:00Z"', "bad_time"),
    ("deadline", b'"1969-12-31T23:59:59Z"', "bad_time"),
    ("meter", b'"\\ud800"', "malformed_json"),
    ("meter", b'"\xff"', "malformed_json"),
    ("meter", b'"A1\\u0000"', "bad_value"),
    ("client_order_id", b'"a b"', "bad_value"),
    ("client_order_id", b'""', "bad_value"),
    ("signature", b'"' + b"0" * 128 + b'"', "bad_signature"),
    ("signature", b'"' + b"f" * 128 + b'"', "bad_signature"),
    ("signature", b'"' + b"F" * 128 + b'"', "bad_signature"),
    ("signature", b"null", "wrong_type"),
    ("surprise", b"1", "unknown_field"),
    ("surprise", b"[" * 1000 + b"]" * 1000, "too_deep"),
]

ODD_AND_SIGNED = [
    ("quantity", "-0", "bad_quantity"),
    ("quantity", "-0.00", "bad_quantity"),
    ("quantity", "999999999999.99", "over_capacity"),
    ("price", "-0.0001", "bad_price"),
    ("price", "999999999999", "bad_price"),
    ("slot", "9999-12-31T23:45:00Z", "slot_not_open"),
    ("slot", "1970-01-01T00:00:00Z", "slot_closed"),
    ("meter", "😀", "unknown_meter"),
]


def signed(ann: Person, client_order_id: str) -> dict[str, Any]:
    """An order as it must be."""
    fields = {**order(client_order_id, "A1", "buy", "1.00", "0.45"), "terms": 0}
    digest = ann.intent(fields).digest(ann.world.chain.domain("Clearing"))
    return {**fields, "signature": ann.sign(digest)}


async def goes_on(world: World, ann: Person, name: str) -> None:
    """The market answers as if nothing had been."""
    assert (await world.get("/healthz")).status == 200
    assert (await world.call("POST", "/v1/orders", signed(ann, name), token=ann.token)).status == 201


def with_odd(body: dict[str, Any], field: str, value: bytes) -> bytes:
    """The body as JSON with the bytes of one value as they are."""
    raw = json.dumps({**body, field: "@"}).encode()
    return raw.replace(f'"{field}": "@"'.encode(), f'"{field}": '.encode() + value)


@pytest.mark.usefixtures("database_url")
async def test_odd_orders_are_refused_by_code_and_the_market_goes_on(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        for field, value, code in ODD_ORDERS:
            raw = with_odd(signed(ann, "odd"), field, value)
            answer = await world.call("POST", "/v1/orders", raw=raw, token=ann.token)
            assert 400 <= answer.status < 500, (field, value, answer)
            assert answer.code == code, (field, value, answer)
        for name, text, code in ODD_AND_SIGNED:
            answer = await ann.place({**order("odd", "A1", "buy", "1.00", "0.45"), name: text})
            assert (answer.status, answer.code) == (422, code), (name, text, answer)
        await goes_on(world, ann, "good")


@pytest.mark.usefixtures("database_url")
async def test_a_signature_holds_for_its_own_bytes_alone(tmp_path: Path) -> None:
    """Over other fields, by another key, or in its second form (s and n - s both verify in plain ECDSA)."""
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        body = signed(ann, "b1")
        r, s = body["signature"][:64], int(body["signature"][64:], 16)
        twin = f"{r}{ORDER_N - s:064x}"
        others: list[dict[str, Any]] = [
            {**body, "price": "0.4501"},
            {**body, "client_order_id": "b2"},
            {**body, "signature": twin},
            {**body, "signature": signed(ann, "b2")["signature"]},
        ]
        for other in others:
            answer = await world.call("POST", "/v1/orders", other, token=ann.token)
            assert (answer.status, answer.code) == (422, "bad_signature"), other
        stolen = await world.call("POST", "/v1/orders", body, token=bo.token)
        assert (stolen.status, stolen.code) == (422, "bad_signature")
        await goes_on(world, ann, "b1")


@pytest.mark.usefixtures("database_url")
async def test_odd_addresses_are_not_there(tmp_path: Path) -> None:
    """NUL, bytes that are no UTF-8, and more digits than any number has; PostgreSQL would stumble over some."""
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        for path, status in {
            "/v1/orders/a%00b": 404,
            "/v1/orders/%ED%A0%80": 404,
            "/v1/orders/..%2F..": 404,
            f"/v1/orders/{'a' * 65}": 404,
            f"/v1/members/{DIGITS}": 404,
            "/v1/members/%D9%A3": 404,
            f"/v1/trades/{DIGITS}/proof": 400,
            f"/v1/orders?cursor=c{'f' * 17}": 400,
            "/v1/orders?cursor=cffffffffffffffff": 400,
            "/v1/orders?cursor=c7fffffffffffffff": 200,
            "/v1/orders?state=%00": 400,
            "/v1/book?slot=2026-07-01T10:15:00Z&meter=%00": 400,
            "/v1/candles?slot=9999-12-31T23:45:00Z": 200,
        }.items():
            answer = await ann.get(path)
            assert answer.status == status, (path, answer)
        await goes_on(world, ann, "b1")


@pytest.mark.usefixtures("database_url")
async def test_text_that_a_database_could_not_keep_is_refused(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        operator = await world.institution("operator")
        for path, body in {
            "/v1/grid": {"nodes": [{"node": "N\0", "parent": "A", "level": "transformer"}]},
            f"/v1/members/{ann.member}/kill": {"reason": "\0"},
            f"/v1/members/{ann.member}/admission": {"record": "seen\0"},
        }.items():
            answer = await operator.post(path, body)
            assert (answer.status, answer.code) == (400, "bad_value"), (path, answer)
        await goes_on(world, ann, "b1")


@pytest.mark.parametrize(
    ("payload", "is_refused"),
    [
        (rb'{"a": "\u0000"}', True),
        (rb'{"a": "x\\\u0000"}', True),
        (rb'{"a": "\\u0000"}', False),
        (rb'{"a": "\\\\u0000"}', False),
        (rb'{"a": "\u00001"}', True),
        (rb'{"a": "\u0001"}', False),
    ],
)
def test_nul_is_told_from_a_backslash(payload: bytes, is_refused: bool) -> None:
    assert ("\0" in json.loads(payload)["a"]) == is_refused
    if is_refused:
        with pytest.raises(ProblemError):
            wire.decode(payload, dict[str, str])
    else:
        assert wire.decode(payload, dict[str, str]) == json.loads(payload)


async def test_a_body_without_end_is_cut_off(tmp_path: Path) -> None:
    """In chunks, so that nothing says beforehand how large it is; what was read is bounded, and the sender is told."""
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        host, port = world.server.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /v1/orders HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {ann.token}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        writer.write(head.encode())
        answered = asyncio.ensure_future(reader.readline())
        chunk, sent = b"10000\r\n" + b" " * 65_536 + b"\r\n", 0
        while not answered.done() and sent < 2**30:
            writer.write(chunk)
            sent += 65_536
            try:
                await writer.drain()
            except ConnectionError:
                break
        assert b"413" in await asyncio.wait_for(answered, 10)
        assert sent < 2**27, "a server that reads on takes a gigabyte"
        writer.close()
        await goes_on(world, ann, "b1")
