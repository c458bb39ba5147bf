"""A small market over real HTTP on a real database, with a clock moved by hand and people who sign.

The chain is only named here (its domains and addresses): what reaches it is tested where the chain is.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Engine, insert

from data import tables
from data.database import open_database
from data.units import format_instant, parse_energy_lots, parse_instant_s, parse_price_ticks
from market.clock import Clock, ManualClock
from market.config import (
    INSTITUTIONS,
    ChainTerms,
    Config,
    Fees,
    Institution,
    MarketTerms,
    Prices,
    Witness,
    check,
)
from market.connections import Runner
from market.context import Context
from market.serving import Parts, assemble
from market.settings import Limits, Server, Streams
from matching.order import Level, Side, Tif
from settlement import merkle, signatures
from settlement.chain import CONTRACTS, BlockHeader, Chain, Head
from settlement.intents import LOGIN, ORDER_BATCH, RECEIPT, Domain, OrderIntent
from settlement.jwk import to_jwk
from settlement.officer import Officer
from tests.databases import made
from tests.market import documented

START = "2026-07-01T00:00:00Z"
SLOT = "2026-07-01T10:15:00Z"
SALT = bytes(range(32))
SECRET = bytes(range(100, 132))
KEYS = {role: ec.derive_private_key(7_000 + member, ec.SECP256R1()) for role, member in INSTITUTIONS.items()}


class NamedChain:
    """Where intents hold, and nothing more."""

    chain_id = 20260
    addresses: ClassVar = {name: bytes([number]) * 20 for number, name in enumerate(CONTRACTS, start=1)}

    def domain(self, contract: str) -> Domain:
        return Domain(self.chain_id, self.addresses[contract], SALT)

    def headers(self, _first: int, _last: int) -> list[BlockHeader]:
        return []

    def head(self) -> Head:
        return Head(0, bytes(32), 0)


def config_of(
    limits: Limits | None = None,
    streams: Streams | None = None,
    witnesses: dict[str, Witness] | None = None,
    *,
    time_zone: str = "Asia/Shanghai",
    **server: Any,
) -> Config:
    config = Config(
        market=MarketTerms(time_zone=time_zone, floor="0", cap="2", terms=(0, 30, 60)),
        fees=Fees("0.02", "0.05", "0.11"),
        prices=Prices(retail="0.55", feed_in="0.35", shortfall="0.60"),
        chain=ChainTerms(chain_id=NamedChain.chain_id, salt=SALT.hex()),
        institutions={
            role: Institution(role.replace("_", " ").title(), to_jwk(signatures.public_key(key)))
            for role, key in KEYS.items()
        },
        server=Server(**server),
        limits=limits or Limits(),
        streams=streams or Streams(),
        witnesses=witnesses or {},
    )
    check(config)
    return config


@dataclass
class Answer:
    """What the server said."""

    status: int
    body: Any
    headers: Any

    @property
    def code(self) -> str | None:
        return self.body.get("code") if isinstance(self.body, dict) else None


@dataclass
class Person:
    """A member with its key and, once logged in, its token."""

    world: "World"
    member: int
    key: ec.EllipticCurvePrivateKey
    token: str = ""

    async def log_in(self) -> "Person":
        answer = await self.world.post("/v1/sessions", await self.login_body())
        assert answer.status == 201, answer
        self.token = answer.body["token"]
        return self

    async def login_body(self) -> dict[str, Any]:
        """A challenge, signed."""
        challenge = await self.world.post("/v1/sessions/challenge", {"member": self.member})
        assert challenge.status == 200, challenge
        nonce = challenge.body["nonce"]
        digest = LOGIN.digest(
            self.world.chain.domain("Members"), {"member": self.member, "nonce": bytes.fromhex(nonce)}
        )
        return {"member": self.member, "nonce": nonce, "signature": self.sign(digest)}

    def sign(self, digest: bytes) -> str:
        return signatures.sign(self.key, digest).hex()

    async def get(self, path: str) -> Answer:
        return await self.world.call("GET", path, token=self.token)

    async def post(self, path: str, body: Any, **headers: str) -> Answer:
        return await self.world.call("POST", path, body, token=self.token, headers=headers)

    async def put(self, path: str, body: Any) -> Answer:
        return await self.world.call("PUT", path, body, token=self.token)

    async def patch(self, path: str, body: Any) -> Answer:
        return await self.world.call("PATCH", path, body, token=self.token)

    async def delete(self, path: str) -> Answer:
        return await self.world.call("DELETE", path, token=self.token)

    def intent(self, order: dict[str, Any]) -> OrderIntent:
        return OrderIntent(
            member=self.member,
            client_order_id=order["client_order_id"],
            meter=order["meter"],
            side=Side[order["side"].upper()],
            slot=parse_instant_s(order["slot"]),
            quantity_lots=parse_energy_lots(order["quantity"]),
            price_ticks=parse_price_ticks(order["price"]),
            reach=Level[order.get("reach", "substation").upper()],
            terms_days=order.get("terms", 0),
            tif=Tif[order.get("tif", "gtc").upper()],
            replaces=order.get("replaces", ""),
            deadline=parse_instant_s(order["deadline"]),
        )

    def signed(self, order: dict[str, Any]) -> dict[str, Any]:
        digest = self.intent(order).digest(self.world.chain.domain("Clearing"))
        return {**order, "signature": self.sign(digest)}

    async def place(self, order: dict[str, Any]) -> Answer:
        return await self.post("/v1/orders", self.signed(order))

    async def place_batch(self, orders: Sequence[dict[str, Any]], basket: bool = False) -> Answer:
        domain = self.world.chain.domain("Clearing")
        root = merkle.root([merkle.leaf(self.intent(order).digest(domain)) for order in orders])
        digest = ORDER_BATCH.digest(
            domain, {"member": self.member, "root": root, "count": len(orders), "basket": basket}
        )
        body = {"orders": list(orders), "basket": basket, "signature": self.sign(digest)}
        return await self.post("/v1/orders/batch", body)


@dataclass
class World:
    server: str
    http: aiohttp.ClientSession
    context: Context
    chain: Chain
    people: dict[str, Person] = field(default_factory=dict)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        payload = raw if raw is not None else msgspec.json.encode(body) if body is not None else None
        async with self.http.request(method, f"{self.server}{path}", data=payload, headers=sent) as response:
            text = await response.read()
            answer = Answer(response.status, msgspec.json.decode(text) if text else None, response.headers)
            documented.check(method, path, answer.status, response.content_type, answer.body)
            return answer

    async def get(self, path: str) -> Answer:
        return await self.call("GET", path)

    async def post(self, path: str, body: Any) -> Answer:
        return await self.call("POST", path, body)

    async def institution(self, role: str) -> Person:
        if role not in self.people:
            self.people[role] = await Person(self, INSTITUTIONS[role], KEYS[role]).log_in()
        return self.people[role]

    async def newcomer(self, name: str, *roles: str, admitted: bool = True) -> Person:
        """A member of the market, logged in."""
        key = signatures.new_private_key()
        body = {
            "name": name,
            "kind": "household",
            "roles": list(roles or ("consumer", "producer")),
            "public_key": to_jwk(signatures.public_key(key)),
        }
        answer = await self.post("/v1/members", body)
        assert answer.status == 201, answer
        member = answer.body["member"]
        if admitted:
            operator = await self.institution("operator")
            answer = await operator.post(f"/v1/members/{member}/admission", {"record": "seen"})
            assert answer.status == 200, answer
        self.people[name] = await Person(self, member, key).log_in()
        return self.people[name]

    async def connect(self, *meters: tuple[str, str, str], capacity_kw: str = "40") -> None:
        """(meter, transformer, name of its owner): on a grid of feeder F with transformers A and B, and G with C."""
        operator = await self.institution("operator")
        nodes = [("S", None, "substation"), ("F", "S", "feeder"), ("G", "S", "feeder")]
        nodes += [("A", "F", "transformer"), ("B", "F", "transformer"), ("C", "G", "transformer")]
        answer = await operator.post(
            "/v1/grid", {"nodes": [{"node": n, "parent": p, "level": level} for n, p, level in nodes]}
        )
        assert answer.status == 201, answer
        rows = [
            {
                "meter": meter,
                "parent": parent,
                "member": self.people[owner].member,
                "kind": "household",
                "export_kw": capacity_kw,
                "import_kw": capacity_kw,
            }
            for meter, parent, owner in meters
        ]
        answer = await operator.post("/v1/meters", {"meters": rows})
        assert answer.status == 201, answer

    async def give(self, name: str, escrow_micro: int, credit_micro: int = 0) -> None:
        """Money as the chain's mirror would write it."""

        def write() -> None:
            with self.context.database.begin() as connection:
                member = self.people[name].member
                connection.execute(tables.cash.delete().where(tables.cash.c.member_id == member))
                connection.execute(
                    insert(tables.cash).values(
                        member_id=member, free_micro=0, escrow_micro=escrow_micro, arrears_micro=0
                    )
                )
                connection.execute(
                    tables.members.update()
                    .where(tables.members.c.member_id == member)
                    .values(credit_limit_micro=credit_micro)
                )

        await asyncio.to_thread(write)
        await self.context.learn()

    def is_receipt(self, receipt: dict[str, Any]) -> bool:
        """Whether the operator signed it."""
        digest = RECEIPT.digest(
            self.chain.domain("Clearing"),
            {"sequence": receipt["sequence"], "journalHead": bytes.fromhex(receipt["journal_head"])},
        )
        key = signatures.public_key(KEYS["operator"])
        return signatures.is_signed(key, digest, bytes.fromhex(receipt["signature"]))


def order(client_order_id: str, meter: str, side: str, *quantity_price_slot: str, **more: Any) -> dict[str, Any]:
    """``order("b1", "A1", "buy", "1.00", "0.45")``, and a slot if it is not SLOT."""
    quantity, price, slot = (*quantity_price_slot, SLOT)[:3]
    return {
        "client_order_id": client_order_id,
        "meter": meter,
        "side": side,
        "slot": slot,
        "quantity": quantity,
        "price": price,
        "deadline": slot,
        **more,
    }


@asynccontextmanager
async def open_market(
    folder: Path,
    *,
    now: str = START,
    database: Engine | None = None,
    limits: Limits | None = None,
    chain: Chain | None = None,
    clock: Clock | None = None,
    **server: Any,
) -> AsyncIterator[World]:
    """A server of this process, on a free port; the same folder again is the same market. ``chain``: a real one."""
    failures: list[str] = []
    parts = Parts(
        config_of(limits, **server),
        database or open_database(made(folder)),
        clock or ManualClock(parse_instant_s(now)),
        chain or NamedChain(),  # type: ignore[arg-type]
        Officer(INSTITUTIONS["operator"], KEYS["operator"]),
        lambda: failures.append("stopped"),
        SECRET,
    )
    loop = asyncio.get_running_loop()
    context = await loop.run_in_executor(None, assemble, parts, loop)
    runner = Runner(context)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as http:
            yield World(f"http://127.0.0.1:{port}", http, context, parts.chain)
    finally:
        await runner.cleanup()
        await loop.run_in_executor(None, context.sequencer.stop)
        parts.database.dispose()


async def neighbours(world: World, capacity_kw: str = "40") -> tuple[Person, Person]:
    """Ann with meter A1 and Bo with A2, both under transformer A, with 1,000 CNY each and 100 CNY of credit."""
    ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
    await world.connect(("A1", "A", "ann"), ("A2", "A", "bo"), ("B1", "B", "bo"), capacity_kw=capacity_kw)
    for name in ("ann", "bo"):
        await world.give(name, 1_000_000_000, 100_000_000)
    return ann, bo


def later(slot: str, minutes: int) -> str:
    return format_instant(parse_instant_s(slot) + 60 * minutes)
