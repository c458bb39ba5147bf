"""Webhooks bring each event at least once, in order, signed, and reach nobody inside the operator's network."""

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from data.database import open_database, reading
from finance import telling
from finance.telling import Content, Told
from market import outgoing, webhook_store
from market.client import WebhookError, read_webhook
from market.outgoing import ForbiddenAddressError, OutsideResolver, is_outside, refusal_of
from market.webhook_store import Webhook
from market.webhooks import GIVE_UP_S, LONGEST_PAUSE_S, pause_s, sign
from tests.databases import made
from tests.finance.many import add_people
from tests.market.receiving import VAULT, child, deliveries_on, receiver, running
from tests.market.world import open_market

BANK, OTHER = 20, 21
SECRET = bytes(range(32))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(made(tmp_path))
    with engine.begin() as connection:
        add_people(connection, [BANK, OTHER])
    yield engine
    engine.dispose()


def tell(database: Engine, *members: int, kind: str = "receivable") -> None:
    """One event for each of some members."""
    with database.begin() as connection:
        telling.append(
            connection, [Told(kind, 0, bytes(32), None, Content(after="listed"), frozenset({each})) for each in members]
        )


def hook(database: Engine, url: str, **more: Any) -> Webhook:
    sealed = VAULT.seal("webhook:w1", SECRET)
    given = {"kinds": (), "created_s": 0, "position": 0} | more
    made = Webhook("w1", BANK, url, secret=sealed, **given)
    with database.begin() as connection:
        webhook_store.add(connection, made)
    return made


def standing(database: Engine) -> Webhook:
    with reading(database) as connection:
        found = webhook_store.webhook(connection, BANK, "w1")
    assert found is not None
    return found


async def settled(database: Engine, position: int) -> Webhook:
    """The webhook once it stands after an event."""
    async with asyncio.timeout(60):
        while (found := standing(database)).position < position:  # noqa: ASYNC110 - it is in the database
            await asyncio.sleep(0.005)
    return found


async def test_each_event_comes_once_in_order_and_signed(database: Engine) -> None:
    tell(database, *[BANK, OTHER] * 60)
    async with receiver() as there:
        hook(database, there.url)
        deliveries = deliveries_on(database)
        async with running(deliveries):
            await settled(database, 120)
            assert there.numbers == list(range(1, 121, 2)), "its own alone"
            tell(database, OTHER, BANK)
            deliveries.wake()
            found = await settled(database, 122)
    assert (there.numbers[-1], found.delivered, found.attempts, found.last_status) == (122, 61, 0, 200)
    headers, body = there.heard[-1]
    now_s = int(headers["Jinsha-Timestamp"])
    event = read_webhook(SECRET.hex(), headers, body, now_s=now_s)
    assert (event["event"], event["after"], event["receivable"]) == (122, "listed", "00" * 32)
    for changed, text, later_s in (
        (headers, body + b" ", 0),
        (headers, body, 301),
        (headers | {"Jinsha-Timestamp": str(now_s + 1)}, body, 0),
        (headers | {"Jinsha-Signature": "v1=" + "00" * 32}, body, 0),
        ({}, body, 0),
    ):
        with pytest.raises(WebhookError):
            read_webhook(SECRET.hex(), changed, text, now_s=now_s + later_s)


async def test_what_is_not_taken_holds_back_what_is_later_and_is_given_up_after_three_days(database: Engine) -> None:
    tell(database, BANK, BANK, BANK)
    now = [1_000.0]
    async with receiver() as there:
        there.answers = [200, 500, 302]
        hook(database, there.url)
        deliveries = deliveries_on(database, now_s=lambda: now[0])
        async with running(deliveries):
            await settled(database, 1)
            await failed(database, 1)
            assert there.numbers == [1, 2], "the third waits"
            for attempts in (2, 3):
                now[0] += LONGEST_PAUSE_S
                there.answers = [302]
                deliveries.wake()
                found = await failed(database, attempts)
            assert there.numbers == [1, 2, 2, 2], "a redirect is not followed"
            assert (found.state, found.last_status, found.last_error) == ("active", 302, "it answered 302")
            now[0] += GIVE_UP_S
            there.answers = [500]
            deliveries.wake()
            assert (await failed(database, 4)).state == "given_up"
            with database.begin() as connection:
                webhook_store.set_back(connection, "w1", 0)
            deliveries.wake()
            found = await settled(database, 3)
    assert there.numbers == [1, 2, 2, 2, 2, 1, 2, 3]
    assert (found.state, found.attempts, found.failing_s) == ("active", 0, None)


async def test_a_look_that_began_before_a_delivery_ended_begins_no_other(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it read is how the webhook stood before: the same event would be tried again at once."""
    tell(database, BANK)
    async with receiver() as there:
        there.answers = [500, 500]
        hook(database, there.url)
        deliveries = deliveries_on(database, now_s=lambda: 1_000.0)
        read = deliveries._read

        async def slowly(ask: Any) -> Any:
            found = await read(ask)
            await asyncio.sleep(0.05)
            return found

        monkeypatch.setattr(deliveries, "_read", slowly)
        async with running(deliveries):
            for _ in range(20):
                deliveries.wake()
                await asyncio.sleep(0.02)
            await failed(database, 1)
    assert there.numbers == [1]


async def failed(database: Engine, attempts: int) -> Webhook:
    async with asyncio.timeout(60):
        while (found := standing(database)).attempts < attempts:  # noqa: ASYNC110 - it is in the database
            await asyncio.sleep(0.005)
    return found


async def test_only_the_kinds_asked_for_are_sent(database: Engine) -> None:
    tell(database, BANK, kind="offer")
    tell(database, BANK, kind="payment")
    async with receiver() as there:
        hook(database, there.url, kinds=("payment",))
        async with running(deliveries_on(database)):
            await settled(database, 2)
    assert there.numbers == [2]


async def test_killed_at_any_moment_it_loses_nothing(database: Engine, tmp_path: Path) -> None:
    """Killed while its third delivery is being taken: all events come all the same, in order but for repeats."""
    tell(database, *[BANK] * 5)
    async with receiver() as there:
        hook(database, there.url)
        async with child(made(tmp_path)) as first:

            async def kill(number: int) -> None:
                if number == 3 and first.returncode is None:
                    first.kill()
                    await first.wait()

            there.on_event = kill
            await there.has_heard(3)
            await first.wait()
        assert standing(database).delivered == 0, "nothing was noted yet"
        async with running(deliveries_on(database)):
            await settled(database, 5)
    assert there.numbers == [1, 2, 3, 1, 2, 3, 4, 5]


# ------------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
    ],
)
def test_which_addresses_are_outside(address: str, expected: bool) -> None:
    assert is_outside(ip_address(address)) is expected


@pytest.mark.parametrize(
    ("url", "inside", "is_refused"),
    [
        ("https://bank.example/hook", False, False),
        ("https://8.8.8.8/hook", False, False),
        ("http://bank.example/hook", False, True),
        ("http://127.0.0.1:8000/hook", True, False),
        ("https://127.0.0.1/", False, True),
        ("https://[::1]/", False, True),
        ("https://[::ffff:10.0.0.1]/", False, True),
        ("https://user:word@bank.example/", False, True),
        ("https://bank.example/#part", False, True),
        ("ftp://bank.example/", True, True),
        ("file:///etc/passwd", True, True),
        ("https://", True, True),
        ("not a url", True, True),
        ("https://bank.example/" + "a" * outgoing.LONGEST_URL, True, True),
    ],
)
def test_which_urls_are_taken(url: str, inside: bool, is_refused: bool) -> None:
    assert (refusal_of(url, inside=inside) is not None) is is_refused


@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433"])
async def test_a_name_that_leads_inside_is_not_connected_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ForbiddenAddressError):
        await OutsideResolver(inside=False).resolve(name, 443)
    assert await OutsideResolver(inside=True).resolve(name, 443)


async def test_one_address_inside_is_enough_to_refuse_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("8.8.8.8", "10.0.0.1")]

    async def answer(*_: Any, **__: Any) -> Any:
        return places

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer, raising=False)
    with pytest.raises(ForbiddenAddressError):
        await OutsideResolver(inside=False).resolve("bank.example", 443)
    del places[1]
    assert [each["host"] for each in await OutsideResolver(inside=False).resolve("bank.example", 443)] == ["8.8.8.8"]


def test_pauses_grow_to_an_hour_and_differ_by_chance() -> None:
    assert [pause_s(attempts, 0) for attempts in (1, 2, 3, 9, 10, 1_000)] == [10, 20, 40, 2_560, 3_600, 3_600]
    assert pause_s(10, 0.999) == 1_802


def test_a_signature_is_hmac_sha256_of_time_and_body() -> None:
    """As ``printf '%s' '17.{}' | openssl dgst -sha256 -hmac key`` says."""
    assert sign(b"key", 17, b"{}") == "v1=e66392eac42eafc68c35a01c712811e016386c12456975fc3af80c9268568e3a"


# ---------------------------------------------------------------------------------------------------- routes


async def test_a_bank_keeps_its_webhooks_over_http(tmp_path: Path) -> None:
    async with open_market(tmp_path, webhooks_inside=True, webhook_s=30) as world, receiver() as there:
        bank, other = await world.newcomer("bank", "bank"), await world.newcomer("other", "bank")
        for body, code in (
            ({"url": "ftp://x"}, "bad_url"),
            ({"url": there.url, "kinds": ["weather"]}, "bad_kind"),
        ):
            assert (await bank.post("/v1/webhooks", body)).code == code
        created = await bank.post("/v1/webhooks", {"url": there.url, "after": 0})
        assert created.status == 201, created
        name, secret = created.body["webhook"], created.body["secret"]
        trial = await bank.post(f"/v1/webhooks/{name}/test", {})
        assert trial.body == {"taken": True, "status": 200, "error": None}
        headers, body = there.heard[-1]
        event = read_webhook(secret, headers, body, now_s=int(headers["Jinsha-Timestamp"]))
        assert (event["kind"], event["event"]) == ("test", 0)
        tell(world.context.database, bank.member, other.member, telling.EVERY_BANK)
        world.context.hear()
        await there.has_heard(3)
        events = await bank.get("/v1/events")
        assert [each["event"] for each in events.body["items"]] == there.numbers[1:] == [1, 3]
        assert (events.body["last"], events.body["more"]) == (3, False)
        assert (await bank.get("/v1/events?after=1&limit=1")).body["more"] is True
        assert (await bank.get("/v1/events?kind=offer")).body["items"] == []
        shown = (await bank.get("/v1/webhooks")).body["items"]
        assert [each["webhook"] for each in shown] == [name]
        assert "secret" not in shown[0]
        for method, path, sent in (
            ("POST", f"/v1/webhooks/{name}/replay", {"after": 0}),
            ("POST", f"/v1/webhooks/{name}/test", {}),
            ("DELETE", f"/v1/webhooks/{name}", None),
        ):
            assert (await world.call(method, path, sent, token=other.token)).status == 404
        assert (await other.get("/v1/webhooks")).body["items"] == []
        assert (await bank.post(f"/v1/webhooks/{name}/replay", {"after": 1})).status == 200
        await there.has_heard(4)
        assert there.numbers[3] == 3
        assert (await bank.delete(f"/v1/webhooks/{name}")).status == 204
        assert (await bank.get("/v1/webhooks")).body["items"] == []
        for _ in range(10):
            assert (await bank.post("/v1/webhooks", {"url": there.url})).status == 201
        assert (await bank.post("/v1/webhooks", {"url": there.url})).code == "too_many_webhooks"
