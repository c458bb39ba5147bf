"""Commands that go into the engine and events that come out.

Both are frozen tagged arrays of whole numbers, so that their JSON (``encode``) is canonical: the same commands
are the same bytes on every machine. The journal stores those bytes, the audit replays them.

A value that the wire could not read (off the step, no decimal) still reaches the engine, as ``BAD_QUANTITY_LOTS`` or
``BAD_PRICE_TICKS``, so that refusals come in the order that ``docs/market_rules.md`` prescribes.
"""

from enum import IntEnum

import msgspec

BAD_QUANTITY_LOTS = 0
BAD_PRICE_TICKS = -(2**62)


class Side(IntEnum):
    BUY = 1
    SELL = 2


class Tif(IntEnum):
    """Time in force."""

    GTC = 1
    IOC = 2
    FOK = 3


class Level(IntEnum):
    """Levels of the grid tree. The distance of two meters is the level of their lowest common ancestor."""

    METER = 0
    TRANSFORMER = 1
    FEEDER = 2
    SUBSTATION = 3


class Reason(IntEnum):
    """Why a command was refused. The names, in lower case, are the stable codes."""

    DUPLICATE_ORDER_ID = 1
    UNKNOWN_METER = 2
    SLOT_CLOSED = 3
    BAD_QUANTITY = 4
    BAD_PRICE = 5
    BAD_TERMS = 6
    BASKET_REJECTED = 7
    NOT_OPEN = 8

    @property
    def code(self) -> str:
        return self.name.lower()


class Ended(IntEnum):
    """Why an order left the book, or never rested, without being filled."""

    BY_OWNER = 1
    UNFILLED_IOC = 2
    UNFILLED_FOK = 3
    UNFILLED_BASKET = 4
    SELF_TRADE = 5
    SLOT_CLOSED = 6

    @property
    def code(self) -> str:
        return self.name.lower()


class Rules(msgspec.Struct, frozen=True):
    """What a market fixes for all its orders.

    ``fee_ticks[level - 1]`` is the wheeling fee at transformer, feeder and substation distance; never falling.
    """

    fee_ticks: tuple[int, int, int]
    floor_ticks: int = 0
    cap_ticks: int = 20_000
    terms_days: tuple[int, ...] = (0, 30, 60)

    def __post_init__(self) -> None:
        if not 0 <= self.fee_ticks[0] <= self.fee_ticks[1] <= self.fee_ticks[2]:
            raise ValueError(f"wheeling fees must not be negative nor fall with distance: {self.fee_ticks}")
        if self.floor_ticks > self.cap_ticks:
            raise ValueError(f"the price floor {self.floor_ticks} is above the cap {self.cap_ticks}")


# ---------------------------------------------------------------------------------------------- commands


class Connect(msgspec.Struct, frozen=True, array_like=True, tag="connect"):
    """A new node under ``parent`` (-1: the root). Limits are lots per slot; None is no limit."""

    node: int
    parent: int
    level: Level
    export_lots: int | None = None
    import_lots: int | None = None


class New(msgspec.Struct, frozen=True, array_like=True, tag="new"):
    """A new order. ``meter`` -1 is an unknown meter."""

    order_id: int
    member: int
    meter: int
    side: Side
    slot: int
    quantity_lots: int
    price_ticks: int
    tif: Tif = Tif.GTC
    reach: Level = Level.SUBSTATION
    terms_days: int = 0


class Basket(msgspec.Struct, frozen=True, array_like=True, tag="basket"):
    """Orders that trade all at once, each in full, or not at all. Each leg takes a sequence number of its own."""

    legs: tuple[New, ...]


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    order_id: int


class Amend(msgspec.Struct, frozen=True, array_like=True, tag="amend"):
    """New remaining quantity, new price, or both; None leaves it as it is."""

    order_id: int
    quantity_lots: int | None = None
    price_ticks: int | None = None


class Close(msgspec.Struct, frozen=True, array_like=True, tag="close"):
    """Gate closure: the slot's open orders expire; later orders for it are refused."""

    slot: int


class Capacity(msgspec.Struct, frozen=True, array_like=True, tag="capacity"):
    """New limits of the link from ``node`` to its parent, for one slot or (None) for all."""

    node: int
    slot: int | None
    export_lots: int | None = None
    import_lots: int | None = None


Command = Connect | New | Basket | Cancel | Amend | Close | Capacity


def encode_commands(commands: list[Command]) -> bytes:
    """The canonical bytes of a batch, as the journal stores and hashes them."""
    return msgspec.json.encode(commands)


def decode_commands(payload: bytes) -> list[Command]:
    """The inverse of ``encode_commands``. Raises msgspec.ValidationError on bytes that no engine wrote."""
    return msgspec.json.decode(payload, type=list[Command])


def sequences_of(command: Command) -> int:
    """How many sequence numbers a command takes: one, or one for each leg of a basket."""
    return len(command.legs) if isinstance(command, Basket) else 1


# ------------------------------------------------------------------------------------------------ events


class Rejected(msgspec.Struct, frozen=True, array_like=True, tag="rejected"):
    """Refused, with no other effect."""

    sequence: int
    order_id: int
    reason: Reason


class Accepted(msgspec.Struct, frozen=True, array_like=True, tag="accepted"):
    """A new order passed all checks; its trades and its end, if any, follow."""

    sequence: int
    order_id: int


class Traded(msgspec.Struct, frozen=True, array_like=True, tag="traded"):
    """``taker`` is the side of the order with the higher sequence number; ``level`` the distance."""

    sequence: int
    slot: int
    buy_order: int
    sell_order: int
    quantity_lots: int
    seller_price_ticks: int
    buyer_price_ticks: int
    taker: Side
    level: Level


class Removed(msgspec.Struct, frozen=True, array_like=True, tag="removed"):
    """An order ended with ``remaining_lots`` unfilled."""

    sequence: int
    order_id: int
    remaining_lots: int
    ended: Ended


class Amended(msgspec.Struct, frozen=True, array_like=True, tag="amended"):
    """``priority_sequence`` is the order's place in time from now on."""

    sequence: int
    order_id: int
    remaining_lots: int
    price_ticks: int
    priority_sequence: int


class Closed(msgspec.Struct, frozen=True, array_like=True, tag="closed"):
    sequence: int
    slot: int


class Limited(msgspec.Struct, frozen=True, array_like=True, tag="limited"):
    """A link's limits are now these, for one slot or (None) for all."""

    sequence: int
    node: int
    slot: int | None
    export_lots: int | None
    import_lots: int | None


class Connected(msgspec.Struct, frozen=True, array_like=True, tag="connected"):
    sequence: int
    node: int


Event = Rejected | Accepted | Traded | Removed | Amended | Closed | Limited | Connected
"""``sequence`` is always that of the command (or basket leg) that caused the event."""
