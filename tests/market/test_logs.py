"""What is logged: a line for each request with its id, everywhere that its work goes; and no word about anyone."""

import asyncio
import io
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from market import order_store
from market.app import ROUTES
from market.logs import log, set_level, start_logging, stop_logging
from tests.market.world import Answer, Person, World, neighbours, open_market, order

ID = "my-own-id-0001"
NAMES = ("Wilhelmina Ottokar", "Balthasar Quince")


class Written(io.BytesIO):
    """A stream that the log is written to."""

    def lines(self) -> list[dict[str, Any]]:
        """All that was logged; nothing is after that."""
        stop_logging()
        return [msgspec.json.decode(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def written() -> Iterator[Written]:
    stream = Written()
    start_logging(logging.DEBUG, stream)
    yield stream
    stop_logging()


async def test_a_request_carries_its_id_everywhere(
    tmp_path: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_a_thread(*_: Any) -> None:
        log(logging.INFO, "in_a_thread")
        raise KeyError(ID)

    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        monkeypatch.setattr(order_store, "order_of", in_a_thread)
        for method, path in [("DELETE", "/v1/orders"), ("GET", "/v1/orders/x"), ("GET", "/v1/nothing")]:
            answer = await world.call(method, path, token=ann.token, headers={"X-Request-Id": ID})
            assert answer.headers["X-Request-Id"] == ID
            assert answer.status == 200 or answer.body["request_id"] == ID
        for odd in ("short", "x" * 65, "with space 1", "naïve-naïve"):
            answer = await world.call("GET", "/healthz", headers={"X-Request-Id": odd})
            assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-Id"])
    lines = written.lines()
    assert len([line for line in lines if line["event"] == "batch" and ID in line["requests"]]) == 1
    told = [line for line in lines if line.get("id") == ID]
    assert [line["event"] for line in told] == ["request", "in_a_thread", "bug", "request", "request"]
    assert [(line["route"], line["status"], line["code"]) for line in told if line["event"] == "request"] == [
        ("/v1/orders", 200, None),
        ("/v1/orders/{client_order_id}", 500, "internal_error"),
        ("unknown", 404, "no_such_route"),
    ]
    trace = told[2]["trace"]
    assert trace[-1] == "KeyError" and any("in_a_thread" in each for each in trace) and ID not in "".join(trace)


def strings(value: Any) -> Iterable[str]:
    """Every text in a JSON value that could tell something of someone."""
    match value:
        case str() if len(value) >= 12 and not re.match(r"\d{4}-\d\d-\d\dT", value):
            yield value
        case dict():
            for key, each in value.items():
                if key not in ("request_id", "code", "field", "detail", "title", "type"):
                    yield from strings(each)
        case list():
            for each in value:
                yield from strings(each)


async def test_no_word_about_anyone(tmp_path: Path, written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy market, every kind of request and of failure: nothing that was sent or answered is in the log."""
    said: set[str] = {*NAMES, "127.0.0.1"}
    call = World.call

    async def listening(world: World, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        answer = await call(world, method, path, body, **more)
        said.update(strings(body), strings(answer.body), {more["token"]} if more.get("token") else ())
        return answer

    def fail(error: Exception) -> Any:
        def failing(*_: Any, **__: Any) -> None:
            raise error

        return failing

    monkeypatch.setattr(World, "call", listening)
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        caro = await world.newcomer(NAMES[0])
        await caro.post("/v1/members", {"name": NAMES[1], "kind": "household", "roles": [], "public_key": {}})
        await bo.place(order("s1", "A2", "sell", "3.00", "0.40"))
        await ann.place_batch([order(f"b{number}", "A1", "buy", "1.00", "0.45") for number in range(5)])
        await ann.place(order("b0", "A1", "buy", "1.00", "0.44"))
        await ann.delete("/v1/orders/b4")
        for path in ("/v1/account", "/v1/orders", "/v1/trades", f"/v1/members/{ann.member}", "/v1/journal", "/metrics"):
            await world.http.get(f"{world.server}{path}", headers={"Authorization": f"Bearer {ann.token}"})
        await world.get(f"/v1/orders?state={NAMES[0].replace(' ', '')}")
        await world.get(f"/v1/{NAMES[0].replace(' ', '')}")
        await world.call("POST", "/v1/orders", token=ann.token, raw=f'{{"{NAMES[0]}": '.encode())
        await world.call("GET", "/v1/account", token="no-such-token-at-all")
        await malformed(world, f"GET / HTTP/1.1\r\nX{NAMES[0]}: 1\r\n\r\n")
        await malformed(world, f"{NAMES[0]}\r\n\r\n")
        operator = await world.institution("operator")
        await operator.post("/v1/credit-limits", {"limits": [{"member": ann.member, "limit": NAMES[0]}]})
        for error in (ValueError(NAMES[0]), OperationalError(NAMES[0], {"name": NAMES[1]}, Exception(NAMES[0]))):
            monkeypatch.setattr(order_store, "order_of", fail(error))
            assert (await ann.get("/v1/orders/s1")).status >= 500
        await everywhere(ann)
        logging.getLogger("a.library").warning("it met %s", NAMES[0])
        asyncio.get_running_loop().call_exception_handler({"message": "odd", "who": NAMES[0]})
    lines = written.lines()
    text = written.getvalue().decode()
    events = {line["event"] for line in lines}
    assert {"request", "bug", "outage", "batch", "it met %s", "odd"} <= events
    assert len(said) > 30
    assert [each for each in sorted(said) if each in text] == []


async def everywhere(person: Person) -> None:
    """Each route there is, with a name wherever one fits: in the path, the query, the body, the headers."""
    name = NAMES[0].replace(" ", "%20")
    for module in ROUTES:
        for route in module.routes():
            path = re.sub(r"\{\w+\}", name, route.path)
            body = {"name": NAMES[0], "member": NAMES[1], "signature": NAMES[0]}
            headers = {"Idempotency-Key": NAMES[0], "Authorization": f"Bearer {person.token}"}
            url = f"{person.world.server}{path}?{name}={name}"
            payload = None if route.method == "GET" else msgspec.json.encode(body)
            async with person.world.http.request(route.method, url, data=payload, headers=headers) as answer:
                assert answer.status < 500, (route, await answer.text())


async def malformed(world: World, text: str) -> None:
    """Something that is not HTTP."""
    host, port = world.server.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(text.encode())
    await asyncio.wait_for(reader.read(), 10)
    writer.close()


async def test_levels_and_samples(tmp_path: Path, written: Written) -> None:
    async with open_market(tmp_path, log_every=10) as world:
        for _ in range(30):
            await world.get("/healthz")
            await world.get("/v1/nothing")
        set_level("error")
        await world.get("/v1/nothing")
    statuses = [line["status"] for line in written.lines() if line["event"] == "request"]
    assert (statuses.count(200), statuses.count(404)) == (3, 30)


def test_a_log_that_nobody_reads_does_not_hold_the_market() -> None:
    class Broken(io.BytesIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError

    sink = start_logging(logging.INFO, Broken())
    for number in range(50_000):
        log(logging.INFO, "line", number=number)
    log(logging.ERROR, "still here")
    sink.flush()
    stop_logging()
    assert not sink._lines
