"""Order entry as a member sees it: what is signed, what is sent, what came of it; over HTTP and on a stream alike."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import structs

from data.units import format_energy, format_instant, parse_energy_lots
from market.client.errors import ReceiptError, Refused, RefusedError
from market.client.shapes import CancelReceipt, Facts, Placed, Receipt, order_body
from settlement import merkle, signatures
from settlement.dispute_acts import cancel_receipt_digest
from settlement.intents import ORDER_BATCH, RECEIPT, OrderIntent, Value
from settlement.jwk import from_jwk

Method = Literal["GET", "POST", "DELETE", "PATCH"]


class Act(NamedTuple):
    """One thing that is asked for, as an HTTP request and as an operation of a stream."""

    method: Method
    path: str
    body: object
    query: Mapping[str, str]
    op: str
    fields: Mapping[str, object]


class _One(msgspec.Struct):
    order: Placed
    receipt: Receipt


class _Limited(msgspec.Struct):
    order: Placed
    receipt: Receipt | None
    cancel_receipt: CancelReceipt | None = None


class _Result(msgspec.Struct):
    order: Placed | None = None
    problem: Refused | None = None


class _Batch(msgspec.Struct):
    results: list[_Result]
    receipt: Receipt | None = None


class _Cancelled(msgspec.Struct):
    orders: list[Placed]
    receipt: Receipt | None = None


class OrderEntry(ABC):
    """Its two sides are ``Client`` and ``Stream``. Every receipt is held against the operator's key."""

    @abstractmethod
    async def facts(self) -> Facts:
        """What the market fixed once and for all."""

    @abstractmethod
    def whoami(self) -> int:
        """The member's id."""

    @abstractmethod
    def sign(self, digest: bytes) -> str:
        """The member's signature over a digest, as hex."""

    @abstractmethod
    async def _enter(self, act: Act) -> bytes:
        """Do it; the answer's JSON. Raises RefusedError, UnreachableError."""

    async def place(self, intent: OrderIntent) -> tuple[Placed | Refused, Receipt | None]:
        """Send one signed order. A refusal by a rule is a value, with no receipt. Raises UnreachableError."""
        digest = intent.digest((await self.facts()).domain("Clearing"))
        body = order_body(intent) | {"signature": self.sign(digest)}
        try:
            answer = await self._enter(Act("POST", "/v1/orders", body, {}, "place", {"order": body}))
        except RefusedError as error:
            return error.refused, None
        return await self._one(answer)

    async def place_batch(
        self, intents: Sequence[OrderIntent], *, is_basket: bool = False
    ) -> tuple[list[Placed | Refused], Receipt | None]:
        """Send many orders under one signature; what came of each, in their order.

        Raises RefusedError, UnreachableError.
        """
        domain = (await self.facts()).domain("Clearing")
        root = merkle.root([merkle.leaf(intent.digest(domain)) for intent in intents])
        digest = ORDER_BATCH.digest(
            domain, {"member": self.whoami(), "root": root, "count": len(intents), "basket": is_basket}
        )
        body: dict[str, Any] = {
            "orders": [order_body(intent) for intent in intents],
            "basket": is_basket,
            "signature": self.sign(digest),
        }
        answer = await self._enter(Act("POST", "/v1/orders/batch", body, {}, "place_batch", {"batch": body}))
        found = msgspec.json.decode(answer, type=_Batch)
        await self._check(found.receipt)
        return [_outcome(result) for result in found.results], found.receipt

    async def reduce(self, client_order_id: str, remaining_lots: int) -> Placed:
        """Leave so much of an open order, which keeps its place in time; a new one in its place is placed with
        ``replaces``. Raises RefusedError ``not_open``, ``not_less``, UnreachableError.
        """
        body = {"remaining": format_energy(remaining_lots)}
        fields = {"client_order_id": client_order_id, "amendment": body}
        answer = await self._enter(Act("PATCH", f"/v1/orders/{client_order_id}", body, {}, "amend", fields))
        return await self._limited(answer)

    async def cancel(self, client_order_id: str) -> Placed:
        """Take an open order back; what it had become, with the operator's word that it trades no more.

        Raises RefusedError ``not_open``, UnreachableError.
        """
        path = f"/v1/orders/{client_order_id}"
        act = Act("DELETE", path, None, {}, "cancel", {"client_order_id": client_order_id})
        return await self._limited(await self._enter(act))

    async def cancel_all(self, slot_s: int | None = None) -> list[Placed]:
        """Take all open orders back, or those of one slot; what they had become. Raises UnreachableError."""
        chosen = {} if slot_s is None else {"slot": format_instant(slot_s)}
        answer = await self._enter(Act("DELETE", "/v1/orders", None, chosen, "cancel_all", chosen))
        found = msgspec.json.decode(answer, type=_Cancelled)
        await self._check(found.receipt)
        return found.orders

    async def _one(self, answer: bytes) -> tuple[Placed, Receipt]:
        found = msgspec.json.decode(answer, type=_One)
        await self._check(found.receipt)
        return found.order, found.receipt

    async def _limited(self, answer: bytes) -> Placed:
        """An order that was cancelled or reduced; its cancel receipt must be over what the answer says."""
        found = msgspec.json.decode(answer, type=_Limited)
        await self._check(found.receipt)
        receipt, order = found.cancel_receipt, found.order
        if receipt is None:
            return order
        facts = await self.facts()
        domain, key = facts.domain("Clearing"), from_jwk(facts.operator_key)
        back_lots = parse_energy_lots(order.reduced)
        back_lots += 0 if order.state == "open" else parse_energy_lots(order.remaining)
        digest = order.intent(self.whoami()).digest(domain)
        said = cancel_receipt_digest(domain, digest, receipt.limit_lots, receipt.sequence)
        is_meant = receipt.order == digest.hex() and receipt.limit_lots == parse_energy_lots(order.quantity) - back_lots
        if not is_meant or not signatures.is_signed(key, said, bytes.fromhex(receipt.signature)):
            raise ReceiptError("this cancel receipt is not the operator's word on this order; do not rely on it")
        return structs.replace(order, cancel_receipt=receipt)

    async def _check(self, receipt: Receipt | None) -> None:
        """Raises ReceiptError."""
        if receipt is None:
            return
        facts = await self.facts()
        values: dict[str, Value] = {"sequence": receipt.sequence, "journalHead": bytes.fromhex(receipt.journal_head)}
        digest = RECEIPT.digest(facts.domain("Clearing"), values)
        if not signatures.is_signed(from_jwk(facts.operator_key), digest, bytes.fromhex(receipt.signature)):
            raise ReceiptError("this receipt is not signed by the market's operator; do not rely on the answer")


def _outcome(result: _Result) -> Placed | Refused:
    found = result.order or result.problem
    assert found is not None, "a result is an order or a problem"
    return found
