"""A member's side of the HTTP interface: logs in, signs, sends, and sends again when that is safe.

Every POST carries an ``Idempotency-Key`` and every order its own id, so a request whose answer was lost is simply
repeated: the market answers a repeat with the first answer. Repeated are lost connections, 503, 429, 408, and whatever
says ``Retry-After``; a session that has run out is opened again once.

Exceptions::

    ClientError
    +-- RefusedError      the market understood and said no; ``refused.code`` is the stable code
    +-- UnreachableError  no answer within the patience given: whether it happened is not known, ask again later
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from uuid import uuid4

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from data.units import format_energy, format_instant, format_price
from matching.order import Level, Side, Tif
from settlement import merkle, signatures
from settlement.intents import LOGIN, ORDER_BATCH, Domain, OrderIntent
from settlement.jwk import Jwk, to_jwk

T = TypeVar("T")
Method = Literal["GET", "POST", "DELETE", "PATCH"]

REPEATABLE = frozenset({408, 429, 503})
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0


class Refused(msgspec.Struct, frozen=True):
    """The market's no, as RFC 9457 carries it: a stable ``code``, what to do, and the field at fault, if any."""

    status: int
    code: str
    detail: str = ""
    field: str | None = None


class ClientError(Exception):
    """The request did not do what was asked."""


class RefusedError(ClientError):
    def __init__(self, refused: Refused) -> None:
        at = f" ({refused.field})" if refused.field else ""
        super().__init__(f"{refused.code}{at}: {refused.detail}")
        self.refused = refused


class UnreachableError(ClientError):
    pass


class Fees(msgspec.Struct, frozen=True):
    transformer: str
    feeder: str
    substation: str


class Prices(msgspec.Struct, frozen=True):
    retail: str
    feed_in: str
    shortfall: str


class Facts(msgspec.Struct, frozen=True):
    """What ``GET /v1/market`` says once and for all; decimals as text, contracts and salt as hex."""

    slot_minutes: int
    gate_minutes: int
    time_zone: str
    chain_id: int
    contracts: dict[str, str]
    salt: str
    fees: Fees
    floor: str
    cap: str
    terms: list[int]
    prices: Prices
    members: dict[str, int]
    dispute_window_s: int
    reading_deadline_s: int
    correction_window_s: int
    horizon_slots: int
    billing_period: str
    operator_key: Jwk

    def domain(self, contract: str) -> Domain:
        """Where an intent for a contract holds."""
        return Domain(self.chain_id, bytes.fromhex(self.contracts[contract]), bytes.fromhex(self.salt))


class Receipt(msgspec.Struct, frozen=True):
    """The operator's word that what was answered is recorded."""

    sequence: int
    journal_head: str
    signature: str


class Placed(msgspec.Struct, frozen=True):
    """An order as the market holds it; ``remaining`` is what has not traded, in kWh."""

    client_order_id: str
    state: str
    remaining: str
    quantity: str
    price: str
    slot: str
    side: str
    trades: list[dict[str, Any]] = []


class _One(msgspec.Struct):
    order: Placed
    receipt: Receipt


class _Result(msgspec.Struct):
    order: Placed | None = None
    problem: Refused | None = None


class _Batch(msgspec.Struct):
    results: list[_Result]
    receipt: Receipt | None = None


class _Challenge(msgspec.Struct):
    nonce: str


class _Session(msgspec.Struct):
    token: str


class _Page(msgspec.Struct):
    items: list[Any]
    next: str | None = None


@dataclass
class Client:
    """One member (or, with ``member`` None, the public) at one market.

    ``patience_s`` is how long a request is repeated before UnreachableError. Not for use by several threads.
    """

    http: aiohttp.ClientSession
    server: str
    member: int | None = None
    key: ec.EllipticCurvePrivateKey | None = None
    patience_s: float = 30.0
    _token: str | None = None
    _facts: Facts | None = None
    _login: asyncio.Lock = field(default_factory=asyncio.Lock)

    # ------------------------------------------------------------------------------------------ requests

    async def request(
        self, method: Method, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of a successful answer. Raises RefusedError, UnreachableError."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if method == "POST":
            headers["Idempotency-Key"] = uuid4().hex
        payload = msgspec.json.encode(body) if body is not None else None
        token = self._token
        status, answer = await self._repeated(method, path, payload, headers, query)
        if status == 401 and self.key is not None and not path.startswith("/v1/sessions"):
            await self._log_in_again(token)
            status, answer = await self._repeated(method, path, payload, headers, query)
        if status >= 400:
            raise RefusedError(_refusal(status, answer))
        return answer

    async def ask(
        self, kind: type[T], method: Method, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> T:
        """The answer as ``kind``. Raises RefusedError, UnreachableError, msgspec.ValidationError."""
        return msgspec.json.decode(await self.request(method, path, body, query), type=kind)

    async def get(self, path: str, **query: str) -> Any:
        """The answer to a GET as plain JSON values."""
        return msgspec.json.decode(await self.request("GET", path, query=query))

    async def post(self, path: str, body: object) -> Any:
        """The answer to a POST as plain JSON values; None when it has no body."""
        answer = await self.request("POST", path, body)
        return msgspec.json.decode(answer) if answer else None

    async def items(self, path: str, **query: str) -> list[Any]:
        """All items of a list, page after page."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            page = await self.ask(_Page, "GET", path, query={**query, **({"cursor": cursor} if cursor else {})})
            found += page.items
            cursor = page.next
            if cursor is None:
                return found

    async def _repeated(
        self, method: str, path: str, payload: bytes | None, headers: dict[str, str], query: Mapping[str, str] | None
    ) -> tuple[int, bytes]:
        """Send until there is an answer that a repeat would not change."""
        give_up = asyncio.get_running_loop().time() + self.patience_s
        pause_s = FIRST_PAUSE_S
        reason = ""
        while True:
            try:
                async with self.http.request(
                    method, f"{self.server}{path}", data=payload, params=query, headers={**headers, **self._bearer()}
                ) as response:
                    answer = await response.read()
                    if response.status not in REPEATABLE and "Retry-After" not in response.headers:
                        return response.status, answer
                    reason = str(RefusedError(_refusal(response.status, answer)))
                    asked_s = _seconds(response.headers.get("Retry-After"))
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
                reason, asked_s = f"{type(error).__name__}: {error}", 0.0
            wait_s = max(pause_s * (1 + secrets.randbelow(1000) / 1000), min(asked_s, LONGEST_PAUSE_S))
            if asyncio.get_running_loop().time() + wait_s > give_up:
                raise UnreachableError(f"{method} {self.server}{path}: {reason}")
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    # ------------------------------------------------------------------------------------------ identity

    async def facts(self) -> Facts:
        """What the market fixed once and for all; asked for once."""
        if self._facts is None:
            self._facts = await self.ask(Facts, "GET", "/v1/market")
        return self._facts

    def know(self, facts: Facts) -> None:
        """Take the facts from someone who has asked already."""
        self._facts = facts

    async def register(self, name: str, kind: str, roles: Sequence[str]) -> int:
        """Ask to become a member with this client's key; the operator still has to admit it. The member's id."""
        answer = await self.post(
            "/v1/members",
            {"name": name, "kind": kind, "roles": list(roles), "public_key": jwk_of(self._private())},
        )
        self.member = int(answer["member"])
        return self.member

    async def log_in(self) -> None:
        """Open a session: sign the market's challenge. Raises RefusedError, UnreachableError."""
        member, domain = self._whoami(), (await self.facts()).domain("Members")
        challenge = await self.ask(_Challenge, "POST", "/v1/sessions/challenge", {"member": member})
        digest = LOGIN.digest(domain, {"member": member, "nonce": bytes.fromhex(challenge.nonce)})
        answer = {"member": member, "nonce": challenge.nonce, "signature": self.sign(digest)}
        self._token = (await self.ask(_Session, "POST", "/v1/sessions", answer)).token

    async def _log_in_again(self, stale: str | None) -> None:
        """One log-in for all the requests that found the same session gone."""
        async with self._login:
            if self._token == stale:
                self._token = None
                await self.log_in()

    def sign(self, digest: bytes) -> str:
        """This member's signature over a digest, as hex."""
        return signatures.sign(self._private(), digest).hex()

    def _private(self) -> ec.EllipticCurvePrivateKey:
        assert self.key is not None, "this client speaks for the public and has no key"
        return self.key

    def _whoami(self) -> int:
        assert self.member is not None, "this client speaks for the public"
        return self.member

    # -------------------------------------------------------------------------------------------- orders

    async def place(self, intent: OrderIntent) -> tuple[Placed | Refused, Receipt | None]:
        """Send one signed order. A refusal by a rule is a value, with no receipt."""
        digest = intent.digest((await self.facts()).domain("Clearing"))
        try:
            answer = await self.ask(_One, "POST", "/v1/orders", order_body(intent) | {"signature": self.sign(digest)})
        except RefusedError as error:
            return error.refused, None
        return answer.order, answer.receipt

    async def place_batch(
        self, intents: Sequence[OrderIntent], *, is_basket: bool = False
    ) -> tuple[list[Placed | Refused], Receipt | None]:
        """Send many orders under one signature; what came of each, in their order."""
        domain = (await self.facts()).domain("Clearing")
        root = merkle.root([merkle.leaf(intent.digest(domain)) for intent in intents])
        digest = ORDER_BATCH.digest(
            domain, {"member": self._whoami(), "root": root, "count": len(intents), "basket": is_basket}
        )
        body = {
            "orders": [order_body(intent) for intent in intents],
            "basket": is_basket,
            "signature": self.sign(digest),
        }
        answer = await self.ask(_Batch, "POST", "/v1/orders/batch", body)
        return [_outcome(result) for result in answer.results], answer.receipt

    async def cancel(self, client_order_id: str) -> Placed:
        """Take an open order back; what it had become. Raises RefusedError ``not_open``."""
        return (await self.ask(_One, "DELETE", f"/v1/orders/{client_order_id}")).order

    async def orders(self, **query: str) -> list[Placed]:
        """This member's orders."""
        return msgspec.convert(await self.items("/v1/orders", **query), list[Placed])


def _outcome(result: _Result) -> Placed | Refused:
    found = result.order or result.problem
    assert found is not None, "a result is an order or a problem"
    return found


def order_body(intent: OrderIntent) -> dict[str, Any]:
    """An order's fields as the interface takes them, without a signature."""
    return {
        "client_order_id": intent.client_order_id,
        "meter": intent.meter,
        "side": Side(intent.side).name.lower(),
        "slot": format_instant(intent.slot),
        "quantity": format_energy(intent.quantity_lots),
        "price": format_price(intent.price_ticks),
        "reach": Level(intent.reach).name.lower(),
        "terms": intent.terms_days,
        "tif": Tif(intent.tif).name.lower(),
        "replaces": intent.replaces,
        "deadline": format_instant(intent.deadline),
    }


def jwk_of(key: ec.EllipticCurvePrivateKey) -> Jwk:
    """The public half of a key, as the interface takes it."""
    return to_jwk(signatures.public_key(key))


def new_nonce() -> int:
    """A number that a member has, for all practical purposes, not used before."""
    return secrets.randbits(62)


def _refusal(status: int, answer: bytes) -> Refused:
    """The problem in an answer; an answer that holds none (a proxy's page) is told by its status."""
    try:
        body = msgspec.json.decode(answer, type=dict[str, Any])
        return Refused(status, str(body["code"]), str(body.get("detail", "")), body.get("field"))
    except (msgspec.DecodeError, KeyError):
        return Refused(status, f"http_{status}", answer[:200].decode("utf-8", "replace"))


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdigit() else 0.0
