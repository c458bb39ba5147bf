"""Bodies are read strictly; whatever is wrong has a code, and nothing odd gets through."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market import wire
from market.problems import ProblemError
from tests.market.world import neighbours, open_market, order


class Inner(wire.Body, frozen=True):
    name: str
    count: wire.Id = 0


class Outer(wire.Body, frozen=True):
    inner: tuple[Inner, ...] = ()
    text: str = ""


@pytest.mark.parametrize(
    ("payload", "code", "field"),
    [
        (b"", "malformed_json", None),
        (b"{", "malformed_json", None),
        (b"{} {}", "malformed_json", None),
        (b"\xef\xbb\xbf{}", "malformed_json", None),
        (b'{"text": "\xff"}', "malformed_json", None),
        (b'{"text": "\xed\xa0\x80"}', "malformed_json", None),
        (b'{"text": "\\ud800"}', "malformed_json", None),
        (b'{"text": "\\ud800\\u0041"}', "malformed_json", None),
        (b'{"text": "\\udc00"}', "malformed_json", None),
        (b'{"text": NaN}', "malformed_json", None),
        (b'{"text": Infinity}', "malformed_json", None),
        (b"[]", "wrong_type", None),
        (b'"x"', "wrong_type", None),
        (b"null", "wrong_type", None),
        (b'{"text": 1}', "wrong_type", "text"),
        (b'{"inner": [{"name": "x", "count": 1.0}]}', "wrong_type", "inner[0].count"),
        (b'{"inner": [{"name": "x", "count": true}]}', "wrong_type", "inner[0].count"),
        (b'{"inner": [{"name": "x", "count": "7"}]}', "wrong_type", "inner[0].count"),
        (b'{"inner": [{"name": "x", "count": -1}]}', "bad_value", "inner[0].count"),
        (b'{"inner": [{"name": "x", "count": 9223372036854775808}]}', "bad_value", "inner[0].count"),
        (b'{"inner": [{"name": "x", "count": 1e400}]}', "bad_value", "inner[0].count"),
        (b'{"inner": [{"name": "x", "count": 1' + b"0" * 400 + b"}]}", "bad_value", "inner[0].count"),
        (b'{"inner": [{"name": "x", "count": 1' + b"0" * 5000 + b"}]}", "bad_value", "inner[0].count"),
        (b'{"inner": [{}]}', "missing_field", "inner[0].name"),
        (b'{"surprise": 1}', "unknown_field", "surprise"),
        (b'{"inner": [{"name": "x", "surprise": 1}]}', "unknown_field", "inner[0].surprise"),
        (b'{"text": "a", "text": "a"}', "duplicate_key", "text"),
        (b'{"inner": [{"name": "x", "name": "y"}]}', "duplicate_key", "name"),
        (b'{"text": "a", "te\\u0078t": "b"}', "duplicate_key", "text"),
    ],
)
def test_a_wrong_body_is_refused_by_code_and_field(payload: bytes, code: str, field: str | None) -> None:
    with pytest.raises(ProblemError) as refused:
        wire.decode(payload, Outer)
    problem = refused.value.problem
    assert (problem.status, problem.code, problem.field) == (400, code, field)


class Deep(wire.Body, frozen=True):
    deep: "Deep | None" = None


@pytest.fixture(params=[1_000, 100_000])
def recursion_limit(request: pytest.FixtureRequest) -> Iterator[None]:
    """Python's own, and what the executable specification makes of it wherever it is imported: beyond the C stack."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(request.param)
    yield
    sys.setrecursionlimit(before)


class Lax(msgspec.Struct):
    """Unknown fields are skipped, and so parsed, however deep they are."""


@pytest.mark.usefixtures("recursion_limit")
@pytest.mark.parametrize("kind", [Deep, Lax, Outer])
@pytest.mark.parametrize("levels", [40, 1_000, 99_000])
@pytest.mark.parametrize(("opening", "closing"), [(b'{"deep":', b"}"), (b'{"deep":[{"deep":', b"}]}"), (b"[", b"]")])
def test_deep_nesting_is_refused_before_it_is_parsed(kind: Any, levels: int, opening: bytes, closing: bytes) -> None:
    for payload in (
        opening * levels + b"null" + closing * levels,
        opening * levels,
        b'{"text": "\\"", "deep": ' + opening * levels + b"null" + closing * levels + b"}",
        b'{"text": "\\\\", "deep": ' + opening * levels + b"null" + closing * levels + b"}",
        b'{"text": "}]}]", "deep": ' + opening * levels + b"null" + closing * levels + b"}",
    ):
        with pytest.raises(ProblemError) as refused:
            wire.decode(payload, kind)
        assert refused.value.problem.code == "too_deep"


@pytest.mark.parametrize("text", ["[" * 1000, "{" * 1000, '\\"' + "[" * 1000, '"[{' * 500, "[]{}" * 1000])
def test_brackets_in_text_are_no_nesting(text: str) -> None:
    assert wire.decode(msgspec.json.encode({"text": text}), Outer).text == text


def test_a_long_list_is_not_deep() -> None:
    many = {"inner": [{"name": f'[{n}"', "count": n} for n in range(5_000)]}
    assert len(wire.decode(msgspec.json.encode(many), Outer).inner) == 5_000


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_json_is_read_or_refused(value: object) -> None:
    try:
        read = wire.decode(json.dumps({"text": value}).encode(), Outer)
    except ProblemError as error:
        assert error.problem.status == 400
    else:
        assert read.text == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    try:
        wire.decode(payload, Outer)
    except ProblemError as error:
        assert error.problem.status == 400


@pytest.mark.parametrize("text", ["0x" + "ab" * 31, "AB" * 32, "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 31 + " a", ""])
def test_hex_has_one_spelling(text: str) -> None:
    with pytest.raises(ProblemError):
        wire.hex_bytes(text, 32, "root")


@pytest.mark.parametrize("text", ["-1", "1.0", " 1", "1_000", "٣", "9" * 20, "", "0x10", "1001", "0"])
def test_a_limit_is_a_plain_number_in_range(text: str) -> None:
    with pytest.raises(ProblemError):
        wire.page_limit({"limit": text})


async def test_over_http(tmp_path: Path) -> None:
    """What no schema sees: size, slowness, wrong types of content, twice the same parameter."""
    async with open_market(tmp_path, order_bytes=10_000) as world:
        ann, _ = await neighbours(world)
        big = await ann.post("/v1/orders", {"x": "y" * 20_000})
        assert (big.status, big.code) == (413, "too_large")
        form = await ann.post("/v1/orders", {}, **{"Content-Type": "application/x-www-form-urlencoded"})
        assert (form.status, form.code) == (415, "unsupported_media_type")
        for path, code in {
            "/v1/orders?limit=0": "bad_number",
            "/v1/orders?limit=1&limit=2": "duplicate_parameter",
            "/v1/orders?surprise=1": "unknown_parameter",
            "/v1/orders?cursor=7": "bad_cursor",
            "/v1/orders?state=odd": "bad_state",
            "/v1/orders?slot=today": "bad_time",
            "/v1/trades?public=yes": "bad_parameter",
        }.items():
            answer = await ann.get(path)
            assert answer.code == code, (path, answer)
        nowhere = await world.get("/v1/nowhere")
        assert (nowhere.status, nowhere.code) == (404, "no_such_route")
        wrong = await world.call("PUT", "/v1/orders")
        assert (wrong.status, wrong.code) == (405, "method_not_allowed")
        assert "POST" in wrong.headers["Allow"]
        for answer in (big, nowhere, wrong):
            assert answer.headers["X-Request-Id"] == answer.body["request_id"]
            assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert (await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))).status == 201


@pytest.mark.usefixtures("recursion_limit")
async def test_a_stranger_can_not_end_the_server_with_depth(tmp_path: Path) -> None:
    """A JWK may have members that we do not know, so a parser would walk through whatever stands there."""
    async with open_market(tmp_path) as world:
        deep = b"[" * 99_000 + b"]" * 99_000
        raw = b'{"name":"a","kind":"household","roles":["bank"],"public_key":{"kty":"EC","x5c":' + deep + b"}}"
        answer = await world.call("POST", "/v1/members", raw=raw)
        assert (answer.status, answer.code) == (400, "too_deep")
        assert (await world.get("/healthz")).status == 200


@pytest.mark.parametrize("more", ["", "Idempotency-Key: k1\r\n"])
async def test_a_slow_sender_is_told(tmp_path: Path, more: str) -> None:
    async with open_market(tmp_path, body_s=1) as world:
        custodian = await world.institution("custodian")
        host, port = world.server.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /v1/deposits HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {custodian.token}\r\n"
            f"{more}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
        )
        writer.write(head.encode())
        await writer.drain()
        status = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        assert b"408" in status
