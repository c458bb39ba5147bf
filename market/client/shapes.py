"""What the market answers, as typed values; energy, prices and money stay the decimal texts that they are."""

from typing import Any

import msgspec

from data.units import (
    format_energy,
    format_instant,
    format_price,
    parse_energy_lots,
    parse_instant_s,
    parse_price_ticks,
)
from matching.order import Level, Side, Tif
from settlement.intents import Domain, OrderIntent
from settlement.jwk import Jwk


class Fees(msgspec.Struct, frozen=True):
    transformer: str
    feeder: str
    substation: str


class Prices(msgspec.Struct, frozen=True):
    retail: str
    feed_in: str
    shortfall: str


class Collection(msgspec.Struct, frozen=True):
    """The account into which debtors pay, by the hash that they sign."""

    hash: str


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
    collection_account: Collection
    operator_key: Jwk

    def domain(self, contract: str) -> Domain:
        """Where an intent for a contract holds."""
        return Domain(self.chain_id, bytes.fromhex(self.contracts[contract]), bytes.fromhex(self.salt))


class Receipt(msgspec.Struct, frozen=True):
    """The operator's word that what was answered is recorded."""

    sequence: int
    journal_head: str
    signature: str


class CancelReceipt(msgspec.Struct, frozen=True):
    """The operator's word that the order with this digest trades at most so much, from a sequence number on.

    Worth keeping: with it a later trade beyond the limit is proven to the chain.
    """

    order: str
    limit_lots: int
    sequence: int
    operator: int
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
    meter: str = ""
    reach: str = "substation"
    terms: int = 0
    tif: str = "gtc"
    replaces: str = ""
    deadline: str = ""
    reduced: str = "0.00"
    cancel_receipt: CancelReceipt | None = None

    def intent(self, member: int) -> OrderIntent:
        """What its owner signed, if this is that order. Raises UnitError, KeyError."""
        return OrderIntent(
            member=member,
            client_order_id=self.client_order_id,
            meter=self.meter,
            side=Side[self.side.upper()],
            slot=parse_instant_s(self.slot),
            quantity_lots=parse_energy_lots(self.quantity),
            price_ticks=parse_price_ticks(self.price),
            reach=Level[self.reach.upper()],
            terms_days=self.terms,
            tif=Tif[self.tif.upper()],
            replaces=self.replaces,
            deadline=parse_instant_s(self.deadline),
        )


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
