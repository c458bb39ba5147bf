"""Cancel receipts: the operator's word on the most that an order can trade, given to whoever takes some of it back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from market.client import Client, ReceiptError
from settlement import dispute_acts, signatures
from tests.market.world import KEYS, Person, World, neighbours, open_market, order


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_market(tmp_path) as world:
        yield world


def is_word_on(person: Person, receipt: dict[str, Any], placed: dict[str, Any], limit_lots: int) -> bool:
    """Whether the operator signed that this order trades so much at most."""
    domain = person.world.chain.domain("Clearing")
    digest = person.intent(placed).digest(domain)
    said = dispute_acts.cancel_receipt_digest(domain, digest, limit_lots, receipt["sequence"])
    key = signatures.public_key(KEYS["operator"])
    return (
        receipt["order"] == digest.hex()
        and receipt["limit_lots"] == limit_lots
        and signatures.is_signed(key, said, bytes.fromhex(receipt["signature"]))
    )


async def test_whoever_takes_something_back_gets_the_operators_word_on_the_rest(world: World) -> None:
    ann, bo = await neighbours(world)
    selling, buying = order("s1", "A2", "sell", "1.00", "0.40"), order("b1", "A1", "buy", "3.00", "0.50")
    await bo.place(selling)
    assert (await ann.place(buying)).body["order"]["remaining"] == "2.00"
    assert (await ann.get("/v1/orders/b1/cancel-receipt")).code == "nothing_cancelled"
    reduced = await ann.patch("/v1/orders/b1", {"remaining": "0.50"})
    assert is_word_on(ann, reduced.body["cancel_receipt"], buying, 150)
    assert is_word_on(ann, (await ann.get("/v1/orders/b1/cancel-receipt")).body, buying, 150)
    ended = await ann.delete("/v1/orders/b1")
    assert is_word_on(ann, ended.body["cancel_receipt"], buying, 100)
    assert ended.body["cancel_receipt"]["sequence"] == ended.body["order"]["sequence"] + 2
    assert is_word_on(ann, (await ann.get("/v1/orders/b1/cancel-receipt")).body, buying, 100)
    assert is_word_on(bo, (await bo.get("/v1/orders/s1/cancel-receipt")).body, selling, 100), "it is filled"
    assert (await bo.get("/v1/orders/b1/cancel-receipt")).code == "not_found"


async def test_the_client_holds_the_receipt_against_its_own_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, _ = await neighbours(world)
    client = Client(world.http, world.server, member=ann.member, key=ann.key)
    for name in ("b1", "b2"):
        await client.place(ann.intent(order(name, "A1", "buy", "3.00", "0.50")))
    assert (await client.reduce("b1", 100)).cancel_receipt is not None
    ended = await client.cancel("b1")
    assert ended.cancel_receipt is not None and ended.cancel_receipt.limit_lots == 0
    enter = client._enter

    async def lying(act: Any) -> bytes:
        answer = msgspec.json.decode(await enter(act))
        answer["cancel_receipt"]["limit_lots"] += 1
        return msgspec.json.encode(answer)

    monkeypatch.setattr(client, "_enter", lying)
    with pytest.raises(ReceiptError, match="cancel receipt"):
        await client.cancel("b2")
