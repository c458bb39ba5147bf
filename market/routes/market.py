"""What everyone may know: the market's terms, its slots, and the book as one meter sees it."""

from typing import Annotated

import msgspec
from aiohttp import web

from data.units import format_instant, format_price
from finance.outside import FapiaoNeed
from market import wire
from market.collar import Band
from market.config import INSTITUTIONS, CollectionAccount, Fees, Prices
from market.context import CONTEXT, Context
from market.openapi.fields import Address, Decimal, Hash, Instant, Price, choice
from market.openapi.operation import ANYONE, operation
from market.problems import not_found, refuse
from market.routes.halts import HaltShown, standing
from market.state import MarketState
from market.views import DepthBody, depth_body
from matching.book import Depth
from settlement.jwk import Jwk, to_jwk

CLOSED_SLOTS_SHOWN = 4


class CollectionShown(msgspec.Struct, frozen=True):
    """The account that debtors pay into; `hash` is what they sign with an acknowledgement. Empty: there is none."""

    name: str
    number: str
    bank_name: str
    bank_code: str
    hash: Hash


class MarketBody(msgspec.Struct, frozen=True):
    """The market's terms; `members` are the ids of its institutions, `contracts` the addresses on the chain.

    `collar` is how far a price may be from the last trades of its slot, `halts` is what takes no orders now.
    `has_registry`: whether the registry of movable-property financing is searched before receivables are listed and
    sold; without, whoever buys one searches it itself. `fapiao_need`: what a listing asks of the tax invoice.
    """

    now: Instant
    slot_minutes: int
    gate_minutes: int
    horizon_slots: int
    time_zone: str
    billing_period: str
    fees: Fees
    floor: Decimal
    cap: Decimal
    collar: Decimal | None
    terms: tuple[int, ...]
    prices: Prices
    reading_deadline_s: int
    correction_window_s: int
    late_readings_s: int
    dispute_window_s: int
    chain_id: int
    contracts: dict[str, Address]
    salt: Hash
    members: dict[str, int]
    operator_key: Jwk
    halted: bool
    halts: list[HaltShown]
    has_registry: bool
    fapiao_need: FapiaoNeed
    collection_account: CollectionShown


class BandBody(msgspec.Struct, frozen=True):
    """Prices that are taken now, around that of the last trades."""

    reference: Price
    lowest: Price
    highest: Price


class SlotBody(msgspec.Struct, frozen=True):
    """A delivery slot, by its start."""

    slot: Instant
    gate_closure: Instant
    state: Annotated[str, choice("open", "closed", "not_yet")]
    collar: BandBody | None


class BookBody(DepthBody, frozen=True, kw_only=True):
    """The book as one meter sees it after the command numbered `sequence`."""

    slot: Instant
    meter: str
    sequence: int


@operation(MarketBody, who=ANYONE)
async def show(request: web.Request) -> web.Response:
    """The terms, where intents hold, and what is halted."""
    context = request.app[CONTEXT]
    halts = await context.read(standing)
    config, terms, windows = context.config, context.config.market, context.config.settlement
    return wire.reply(
        MarketBody(
            now=format_instant(context.clock.now_s()),
            slot_minutes=terms.slot_minutes,
            gate_minutes=terms.gate_minutes,
            horizon_slots=terms.horizon_slots,
            time_zone=terms.time_zone,
            billing_period=terms.billing_period,
            fees=config.fees,
            floor=terms.floor,
            cap=terms.cap,
            collar=config.limits.collar or None,
            terms=terms.terms,
            prices=config.prices,
            reading_deadline_s=windows.reading_deadline_s,
            correction_window_s=windows.correction_window_s,
            late_readings_s=windows.late_readings_s,
            dispute_window_s=windows.dispute_window_s,
            chain_id=context.chain.chain_id,
            contracts={name: address.hex() for name, address in context.chain.addresses.items()},
            salt=config.chain.salt,
            members=INSTITUTIONS,
            operator_key=to_jwk(config.key_of("operator")),
            halted=halts.halted,
            halts=halts.halts,
            has_registry=context.outside.registry is not None,
            fapiao_need=context.outside.fapiao_need,
            collection_account=_collection(terms.collection_account),
        )
    )


def _collection(account: CollectionAccount) -> CollectionShown:
    return CollectionShown(account.name, account.number, account.bank_name, account.bank_code, account.hash.hex())


@operation(wire.Page[SlotBody], who=ANYONE, query={"slot": Instant}, refuses=("404 not_found", "422 bad_time"))
async def slots(request: web.Request) -> web.Response:
    """The slots that take orders now and the last few that no longer do; with ``?slot=`` that one alone."""
    context = request.app[CONTEXT]
    parameters = wire.query(request, "slot")
    now_s, timing = context.clock.now_s(), context.timing
    if "slot" in parameters:
        shown = [wire.instant_s(parameters["slot"], "slot")]
    else:
        open_slots = timing.open_slots(now_s)
        closed_from = open_slots.start - CLOSED_SLOTS_SHOWN * timing.slot_s
        shown = list(range(closed_from, open_slots.stop, timing.slot_s))
    bands = await _bands(context, [slot for slot in shown if timing.refusal(slot, now_s) is None])
    items = [_slot_body(context, slot, now_s, bands) for slot in shown]
    return wire.reply(wire.page(items, None))


async def _bands(context: Context, slots: list[int]) -> dict[int, Band]:
    """The price collar of these slots; none where there is no collar."""
    if context.config.collar_ticks is None or not slots:
        return {}
    return await context.sequencer.look(lambda state: {slot: state.collar.band(slot) for slot in slots})


def _slot_body(context: Context, slot: int, now_s: int, bands: dict[int, Band]) -> SlotBody:
    timing = context.timing
    if slot % timing.slot_s:
        raise not_found("slot")
    state = {None: "open", "slot_closed": "closed"}.get(timing.refusal(slot, now_s), "not_yet")
    return SlotBody(format_instant(slot), format_instant(timing.gate_of(slot)), state, _band_body(bands.get(slot)))


def _band_body(band: Band | None) -> BandBody | None:
    return None if band is None else BandBody(*map(format_price, band))


@operation(
    BookBody,
    who=ANYONE,
    query={"slot": Instant, "meter": wire.Name},
    needed=("slot", "meter"),
    refuses=("400 missing_parameter", "404 not_found", "422 bad_time"),
)
async def book(request: web.Request) -> web.Response:
    """What this meter would pay or get in this slot, fees inside, as far as the grid has room."""
    parameters = wire.query(request, "slot", "meter")
    if parameters.keys() != {"slot", "meter"}:
        raise refuse(400, "missing_parameter", "the book is that of one meter and slot: ?slot=&meter=")
    slot, meter = wire.instant_s(parameters["slot"], "slot"), parameters["meter"]

    def depth(state: MarketState) -> tuple[Depth, int] | None:
        known = state.meters.get(meter)
        return None if known is None else (state.engine.depth(slot, known.node_id), state.engine.sequence)

    found = await request.app[CONTEXT].sequencer.look(depth)
    if found is None:
        raise not_found("meter")
    shown = depth_body(found[0])
    return wire.reply(
        BookBody(asks=shown.asks, bids=shown.bids, slot=format_instant(slot), meter=meter, sequence=found[1])
    )


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/market", show),
        web.get("/v1/slots", slots),
        web.get("/v1/book", book),
    ]
