"""What a client may send on a stream: one JSON object with ``op`` and ``id``, read as strictly as any body.

Orders stand in it as HTTP takes them, with the same signatures.
"""

from typing import Annotated

import msgspec

from market import wire
from market.entry import Amendment, OneOrder, OrderBatch
from market.problems import ProblemError

# ------------------------------------------------------------------------------------------- what is read


class Book(wire.Body, frozen=True, tag_field="channel", tag="book"):
    """The book of one meter in one slot."""

    slot: str
    meter: wire.Name


class Trades(wire.Body, frozen=True, tag_field="channel", tag="trades"):
    """Everyone's trades: those after this number, or the next ones."""

    after: wire.Id | None = None


class Mine(wire.Body, frozen=True, tag_field="channel", tag="mine"):
    """Own orders: after this message of this run of the server, or from a snapshot."""

    run: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    after: wire.Id | None = None


class AllTrades(wire.Body, frozen=True, tag_field="channel", tag="trades"):
    """A subscription to ``Trades`` by its name."""


class AllMine(wire.Body, frozen=True, tag_field="channel", tag="mine"):
    """A subscription to ``Mine`` by its name."""


# ------------------------------------------------------------------------------------------------- operations


class Op(wire.Body, frozen=True, tag_field="op"):
    """``id`` is the client's own; the answer carries it."""

    id: wire.ClientId


class LogIn(Op, frozen=True, tag="log_in"):
    token: Annotated[str, msgspec.Meta(max_length=200)]


class Subscribe(Op, frozen=True, tag="subscribe"):
    to: Book | Trades | Mine


class Unsubscribe(Op, frozen=True, tag="unsubscribe"):
    to: Book | AllTrades | AllMine


class Resync(Op, frozen=True, tag="resync"):
    to: Book | AllMine


class Place(Op, frozen=True, tag="place"):
    order: OneOrder


class PlaceBatch(Op, frozen=True, tag="place_batch"):
    batch: OrderBatch


class Amend(Op, frozen=True, tag="amend"):
    client_order_id: wire.ClientId
    amendment: Amendment


class Cancel(Op, frozen=True, tag="cancel"):
    client_order_id: wire.ClientId


class CancelAll(Op, frozen=True, tag="cancel_all"):
    slot: str | None = None


class CancelOnDisconnect(Op, frozen=True, tag="cancel_on_disconnect"):
    enabled: bool


class Ping(Op, frozen=True, tag="ping"):
    pass


AnyOp = (
    LogIn
    | Subscribe
    | Unsubscribe
    | Resync
    | Place
    | PlaceBatch
    | Amend
    | Cancel
    | CancelAll
    | CancelOnDisconnect
    | Ping
)


class _OnlyId(msgspec.Struct):
    id: wire.ClientId | None = None


def read(payload: bytes) -> AnyOp:
    """Raises ProblemError."""
    return wire.decode(payload, AnyOp)  # type: ignore[arg-type]  # a union is no type to mypy


def id_of(payload: bytes) -> str | None:
    """The id of a message that is not understood otherwise, so that its sender knows which one is meant."""
    try:
        return wire.decode(payload, _OnlyId).id
    except ProblemError:
        return None
