"""What the operator publishes to a checker: enough to compute everything again, and the same for an auditor.

These structs are the JSON of ``GET /v1/journal``, ``/v1/readings`` and ``/v1/cycles/{n}`` (``hexjson.dumps``), and
what the audit reads from the database, so that both run the same checks. Rows that come in thousands are arrays.
Numbers are whole: lots, ticks, micro-yuan, seconds; bytes are hex.
"""

import msgspec

from settlement.delivery import Delivery, Estimate, Line
from settlement.hexjson import Hex
from settlement.intents import OrderIntent
from settlement.jwk import Jwk
from settlement.netting import Delta


class JournalLink(msgspec.Struct, frozen=True, array_like=True):
    """One batch of the journal, column for column; ``commands`` is ``matching.order.encode_commands``."""

    batch: int
    first_sequence: int
    last_sequence: int
    recorded_s: int
    previous_head: Hex
    commands: Hex
    head: Hex
    signature: Hex
    salt: Hex


class PublishedJournal(msgspec.Struct, frozen=True):
    """Some links in order; ``last_batch`` is the newest there is: ask for more after the last of ``links``."""

    links: tuple[JournalLink, ...]
    last_batch: int


class PublishedKey(msgspec.Struct, frozen=True):
    """A member's key for the commands with ``from_sequence <= sequence < to_sequence``."""

    member: int
    from_sequence: int
    to_sequence: int | None
    key: Jwk


class PublishedMeter(msgspec.Struct, frozen=True, array_like=True):
    node: int
    name: str
    member: int
    export_lots: int
    import_lots: int


class PublishedOrder(msgspec.Struct, frozen=True, array_like=True):
    """An order with its place under the signature that it came with."""

    order_id: int
    sequence: int
    node: int
    intent: OrderIntent
    digest: Hex
    signature_id: int
    leaf_index: int
    received_s: int


class PublishedSignature(msgspec.Struct, frozen=True, array_like=True):
    """A signature over one order (``kind`` order) or over a batch; ``leaves`` are the batch's, end to end."""

    signature_id: int
    member: int
    kind: str
    root: Hex
    leaves: Hex
    count: int
    basket: bool
    signature: Hex


class PublishedTrade(msgspec.Struct, frozen=True, array_like=True):
    """A trade, column for column."""

    trade_id: int
    sequence: int
    slot_s: int
    buy_order: int
    sell_order: int
    buyer: int
    seller: int
    buy_node: int
    sell_node: int
    quantity_lots: int
    seller_price_ticks: int
    buyer_price_ticks: int
    taker: int
    level: int
    terms_days: int
    traded_s: int
    salts: Hex
    buy_filled_before_lots: int
    sell_filled_before_lots: int


class PublishedReading(msgspec.Struct, frozen=True, array_like=True):
    """One version of a reading with its meter's name; ``by_meter`` if the meter itself signed it."""

    node: int
    meter: str
    slot_s: int
    version: int
    export_lots: int
    import_lots: int
    received_s: int
    signature_id: int
    leaf_index: int
    by_meter: bool


class PublishedReadingSignature(msgspec.Struct, frozen=True, array_like=True):
    """A signature over readings, of a ``signer`` (the meter operator) or of the meter ``node`` with a key of its own.

    ``leaves`` are all that it covers, end to end.
    """

    signature_id: int
    signer: int | None
    node: int | None
    root: Hex
    leaves: Hex
    count: int
    signature: Hex


class PublishedMeterKey(msgspec.Struct, frozen=True, array_like=True):
    """A key of a meter, for its signatures over readings with ``from_signature <= signature_id < to_signature``.

    ``signer`` registered it with ``signature`` over ``MeterKey``; ``proof`` is the meter's own over the same.
    """

    node: int
    number: int
    from_signature: int
    to_signature: int | None
    x: Hex
    y: Hex
    signer: int
    signature: Hex
    proof: Hex


class PublishedArea(msgspec.Struct, frozen=True, array_like=True):
    """The terms of an area meter (``areas.AreaMeter``), which ``signer`` signed as ``AreaMeter``."""

    node: int
    number: int
    from_s: int
    export_lots: int
    import_lots: int
    tolerance_bp: int
    tolerance_lots: int
    name: str
    signer: int
    signature: Hex


class PublishedReadings(msgspec.Struct, frozen=True):
    """All versions of all readings of a local day, with their signatures; the highest version counts."""

    day: str
    readings: tuple[PublishedReading, ...]
    signatures: tuple[PublishedReadingSignature, ...]
    keys: tuple[PublishedKey, ...]
    meter_keys: tuple[PublishedMeterKey, ...]


class SignedReadings(msgspec.Struct, frozen=True):
    """One signature over readings, with the keys of its signer, and of its meter where that signed for itself."""

    signature: PublishedReadingSignature
    keys: tuple[PublishedKey, ...]
    meter_keys: tuple[PublishedMeterKey, ...]


class PublishedCycle(msgspec.Struct, frozen=True):
    """A cycle as the operator drafted and signed it; what it was computed from comes slot by slot, and so do its lines.

    ``parts`` are lists of [account, amount_micro]. ``slots`` are those with trades or readings, ``late_slots`` those of
    earlier days that this cycle puts right, for a reading of them came since the cycle before. What falls due out of
    earlier cycles is not published again: the checker knows it from them. ``areas`` are the terms of all area meters
    there ever were, ``area_keys`` the keys of who set them.
    """

    cycle: int
    day: str
    start_s: int
    end_s: int
    state: str
    salt: Hex
    trades_root: Hex
    readings_root: Hex
    statements_root: Hex
    parts: tuple[tuple[Delta, ...], ...]
    parts_hash: Hex
    operator_signature: Hex
    checker_signature: Hex | None
    slots: tuple[int, ...]
    late_slots: tuple[int, ...]
    meters: tuple[PublishedMeter, ...]
    areas: tuple[PublishedArea, ...]
    area_keys: tuple[PublishedKey, ...]


class PublishedSlot(msgspec.Struct, frozen=True):
    """One slot of a cycle, or one that it puts right: its trades with the signed orders behind them, all versions of
    its readings. ``deliveries``, by trade id, and ``estimates`` are of this cycle: of a slot that is put right none.
    ``struck`` are the trades that are left out because the chain has struck them.
    """

    slot_s: int
    deliveries: tuple[Delivery, ...]
    estimates: tuple[Estimate, ...]
    trades: tuple[PublishedTrade, ...]
    orders: tuple[PublishedOrder, ...]
    order_signatures: tuple[PublishedSignature, ...]
    readings: tuple[PublishedReading, ...]
    keys: tuple[PublishedKey, ...]
    struck: tuple[PublishedTrade, ...] = ()


class PublishedLines(msgspec.Struct, frozen=True):
    """Some of a cycle's statement lines, in their order; none after the last."""

    lines: tuple[Line, ...]


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The checker's answer, the body of ``POST /v1/cycles/{n}/signature``: a signature, or why there is none."""

    signature: str = ""
    refusal: str = ""
