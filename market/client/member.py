"""A member's side of the HTTP interface: logs in, signs, sends, and sends again when that is safe."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from data.units import format_instant
from market.client.entry import Act, Method, OrderEntry
from market.client.errors import Refused, RefusedError, refusal_of
from market.client.line import HEARTBEAT_S
from market.client.sending import REPEATABLE, Raw, Request, send
from market.client.shapes import CancelReceipt, Facts, Placed
from market.client.stream import Stream
from settlement import acts, dispute_acts, hexjson, signatures
from settlement.disputable import Disputable
from settlement.intents import LOGIN
from settlement.jwk import Jwk, to_jwk

T = TypeVar("T")

SecondFactor = Callable[[], Mapping[str, object]]


class _Challenge(msgspec.Struct):
    nonce: str


class _Session(msgspec.Struct):
    token: str


class _Page(msgspec.Struct):
    items: list[Any]
    next: str | None = None


class _News(msgspec.Struct):
    items: list[Any]
    last: int
    more: bool


@dataclass
class Client(OrderEntry):
    """One member (or, with ``member`` None, the public) at one market.

    ``patience_s`` is how long a request is repeated before UnreachableError. An ``api_key`` stands in for a session;
    orders are signed with ``key`` all the same. ``second_factor`` is called for what log-in and ``step_up`` show, such
    as ``{"kind": "totp", "code": "123456"}``. Not for use by several threads: that is ``SyncClient``.
    """

    http: aiohttp.ClientSession
    server: str
    member: int | None = None
    key: ec.EllipticCurvePrivateKey | None = None
    patience_s: float = 30.0
    api_key: str | None = None
    second_factor: SecondFactor | None = None
    _token: str | None = None
    _facts: Facts | None = None
    _login: asyncio.Lock = field(default_factory=asyncio.Lock)

    # ------------------------------------------------------------------------------------------ requests

    async def request(
        self, method: Method, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of a successful answer; ``body`` is sent as JSON unless it is Raw.

        Raises RefusedError, UnreachableError.
        """
        payload: bytes | None
        if isinstance(body, Raw):
            headers, payload = dict(body.headers), body.content
        else:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            payload = msgspec.json.encode(body) if body is not None else None
        if method == "POST":
            headers["Idempotency-Key"] = uuid4().hex
        request = Request(method, f"{self.server}{path}", payload, headers, query)
        token = self._token
        status, answer = await self._send(request)
        if status == 401 and self._logs_in and not path.startswith("/v1/sessions"):
            await self._log_in_again(token)
            status, answer = await self._send(request)
        if status >= 400:
            raise RefusedError(refusal_of(status, answer))
        return answer

    async def ask(
        self, kind: type[T], method: Method, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> T:
        """The answer as ``kind``. Raises RefusedError, UnreachableError, msgspec.ValidationError."""
        return msgspec.json.decode(await self.request(method, path, body, query), type=kind)

    async def get(self, /, path: str, **query: str) -> Any:
        """The answer to a GET as plain JSON values."""
        return msgspec.json.decode(await self.request("GET", path, query=query))

    async def post(self, path: str, body: object) -> Any:
        """The answer to a POST as plain JSON values; None when it has no body."""
        answer = await self.request("POST", path, body)
        return msgspec.json.decode(answer) if answer else None

    async def items(self, /, path: str, **query: str) -> list[Any]:
        """All items of a list, page after page."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            items, cursor = await self.page(path, cursor, **query)
            found += items
            if cursor is None:
                return found

    async def page(self, path: str, cursor: str | None = None, /, **query: str) -> tuple[list[Any], str | None]:
        """The items of one page, and the cursor of the next one; None at the end, not where a page is short."""
        page = await self.ask(_Page, "GET", path, query={**query, **({"cursor": cursor} if cursor else {})})
        return page.items, page.next

    async def events(self, after: int = 0, /, **query: str) -> tuple[list[Any], int]:
        """What is there of the feed after an event, and the number to go on after; call again for what comes later."""
        found: list[Any] = []
        while True:
            news = await self.ask(_News, "GET", "/v1/events", query={**query, "after": str(after)})
            found += news.items
            after = news.last
            if not news.more:
                return found, after

    async def _send(self, request: Request) -> tuple[int, bytes]:
        return await send(self.http, request, self._bearer, self.patience_s)

    def _bearer(self) -> dict[str, str]:
        token = self.api_key or self._token
        return {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def _logs_in(self) -> bool:
        return self.key is not None and self.member is not None and self.api_key is None

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
        member, domain = self.whoami(), (await self.facts()).domain("Members")
        challenge = await self.ask(_Challenge, "POST", "/v1/sessions/challenge", {"member": member})
        digest = LOGIN.digest(domain, {"member": member, "nonce": bytes.fromhex(challenge.nonce)})
        answer: dict[str, object] = {"member": member, "nonce": challenge.nonce, "signature": self.sign(digest)}
        if self.second_factor is not None:
            answer["second_factor"] = self.second_factor()
        self._token = (await self.ask(_Session, "POST", "/v1/sessions", answer)).token

    async def step_up(self) -> None:
        """Show the second factor again: for some minutes what is sensitive passes. Raises as ``log_in`` does."""
        assert self.second_factor is not None, "this client has no second factor"
        await self.post("/v1/sessions/step-up", {"second_factor": self.second_factor()})

    async def new_api_key(self, name: str, scopes: Sequence[str]) -> str:
        """A token for a machine, for these scopes; nobody is shown it again. Raises as ``log_in`` does."""
        return str((await self.post("/v1/api-keys", {"name": name, "scopes": list(scopes)}))["token"])

    async def change_key(self, new: ec.EllipticCurvePrivateKey, *, deadline_s: int) -> None:
        """Let this member's key be another from now on; both sign. Raises as ``log_in`` does.

        When that is unreachable, try with the same key again: which one holds is in ``GET /v1/members/{member}/keys``.
        """
        member, nonce, key = self.whoami(), new_nonce(), signatures.public_key(new)
        domain = (await self.facts()).domain("Members")
        digest = acts.rotate_key_digest(domain, member, key, nonce=nonce, deadline_s=deadline_s)
        body = {
            "public_key": to_jwk(key),
            "nonce": nonce,
            "deadline": format_instant(deadline_s),
            "signature": self.sign(digest),
            "proof": signatures.sign(new, digest).hex(),
        }
        await self.post(f"/v1/members/{member}/keys", body)
        self.key, self._token = new, None

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

    def whoami(self) -> int:
        """The member's id."""
        assert self.member is not None, "this client speaks for the public"
        return self.member

    # -------------------------------------------------------------------------------------------- orders

    async def _enter(self, act: Act) -> bytes:
        return await self.request(act.method, act.path, act.body, act.query)

    async def orders(self, /, **query: str) -> list[Placed]:
        """This member's orders."""
        return msgspec.convert(await self.items("/v1/orders", **query), list[Placed])

    # ------------------------------------------------------------------------------------------- disputes

    async def challenge(self, trade: int, *, deadline_s: int) -> str:
        """Have the market show the signed order behind a trade, against a bond. The challenge's name on the chain.

        What is signed is computed here, out of what the market shows. Raises as ``log_in`` does, and ValueError when
        that does not fit together.
        """
        shown = hexjson.load(await self.request("GET", f"/v1/trades/{trade}/challenge"), Disputable)
        opening, member, nonce = shown.opening(), self.whoami(), new_nonce()
        if opening.leaf != shown.leaf or opening.common.trade_id != trade or opening.half.member != member:
            raise ValueError("the market shows another trade than was asked for")
        domain = (await self.facts()).domain("Disputes")
        once = {"nonce": nonce, "deadline_s": deadline_s}
        digest = dispute_acts.challenge_digest(domain, member, shown.cycle, opening.leaf, **once)
        body = {"nonce": nonce, "deadline": format_instant(deadline_s), "signature": self.sign(digest)}
        return str((await self.post(f"/v1/trades/{trade}/challenge", body))["challenge"])

    async def prove_cancelled(self, trade: int, receipt: CancelReceipt) -> int:
        """Strike an own trade that goes beyond a cancel receipt of its order. The cycle that falls with it.

        Raises as ``log_in`` does.
        """
        answer = await self.post(f"/v1/trades/{trade}/wrongs/cancelled", msgspec.to_builtins(receipt))
        return int(answer["cycle"])

    async def prove_overlap(self, trade: int, other: int) -> int:
        """Strike the later of two own trades that fill the same part of one order. The cycle that falls with it.

        Raises as ``log_in`` does.
        """
        return int((await self.post(f"/v1/trades/{trade}/wrongs/overlap", {"other": other}))["cycle"])

    # -------------------------------------------------------------------------------------------- streams

    def stream(self) -> Stream:
        """A stream, to be opened with ``async with``."""
        return Stream(self)

    async def open_socket(self) -> aiohttp.ClientWebSocketResponse:
        """What a stream runs on, with a session that is in force. Raises RefusedError, and what aiohttp raises."""
        token = self._token
        try:
            return await self._connected()
        except aiohttp.WSServerHandshakeError as error:
            if error.status != 401 or not self._logs_in:
                raise _as_refusal(error) from error
        await self._log_in_again(token)
        return await self._connected()

    async def _connected(self) -> aiohttp.ClientWebSocketResponse:
        if self._token is None and self._logs_in:
            await self._log_in_again(None)
        return await self.http.ws_connect(
            f"{self.server}/v1/stream", headers=self._bearer(), heartbeat=HEARTBEAT_S, max_msg_size=0
        )


def _as_refusal(error: aiohttp.WSServerHandshakeError) -> Exception:
    """What a repeat would not change is a refusal."""
    if error.status in REPEATABLE:
        return error
    return RefusedError(Refused(error.status, f"http_{error.status}", error.message))


def jwk_of(key: ec.EllipticCurvePrivateKey) -> Jwk:
    """The public half of a key, as the interface takes it."""
    return to_jwk(signatures.public_key(key))


def new_nonce() -> int:
    """A number that a member has, for all practical purposes, not used before."""
    return secrets.randbits(62)
