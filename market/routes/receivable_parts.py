"""The parts of receivables: split, transferred, merged, pledged by their owners, released by their pledgees.

A receivable carries two claims, the holder's and the residual; each is held in parts, numbered on the chain.
"""

from typing import Annotated

import msgspec
from aiohttp import web

from data.units import MICRO_PER_FEN
from market import wire
from market.openapi.fields import FenGiven, Hash
from market.receivable_answers import (
    act_operation,
    asked,
    signed_act,
)
from market.receivable_views import REGISTRATION_REFUSED, SignedBody, money_fen
from settlement.part_acts import Pledge, Transfer

PartNumber = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]

MOVE_REFUSED = ("409 receivable_frozen pledged", "403 not_the_owner", "422 no_such_part")
"""What a move of a part can be refused for, beside what every act can."""


class SplitBody(SignedBody, frozen=True):
    part: PartNumber
    amount: FenGiven


class TransferBody(SignedBody, frozen=True):
    part: PartNumber
    amount: FenGiven
    to: wire.Id


class MergeBody(SignedBody, frozen=True):
    part: PartNumber
    other: PartNumber


class PledgeBody(SignedBody, frozen=True):
    """`registration` is the Keccak-256 hash of the number that the registry gave this pledge."""

    part: PartNumber
    pledgee: wire.Id
    registration: Hash


class ReleaseBody(SignedBody, frozen=True):
    part: PartNumber


@act_operation(SplitBody, *MOVE_REFUSED, "422 part_too_small too_many_parts")
async def split(request: web.Request) -> web.Response:
    """Cut ``amount`` off a part; it becomes a part of its own. Both keep at least 1 CNY."""
    member, body = await asked(request, SplitBody, is_moving=True)
    amount_fen = money_fen(body.amount, "amount")
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.parts.split(
            connection, word, receivable_id, part=body.part, amount_fen=amount_fen, now_s=now_s
        ),
    )


@act_operation(TransferBody, *MOVE_REFUSED, "422 part_too_small too_many_parts unknown_member not_a_bank")
async def transfer(request: web.Request) -> web.Response:
    """Give a part, or an amount of it, to another: the holder's claim to a bank or back to the creditor, a residual to
    any admitted member."""
    member, body = await asked(request, TransferBody, is_moving=True)
    amount_micro = money_fen(body.amount, "amount") * MICRO_PER_FEN
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.parts.transfer(
            connection, word, Transfer(receivable_id, body.part, amount_micro, body.to), now_s=now_s
        ),
    )


@act_operation(MergeBody, *MOVE_REFUSED, "422 not_mergeable")
async def merge(request: web.Request) -> web.Response:
    """Put the part ``other`` into ``part``: both of the same claim, and the owner's."""
    member, body = await asked(request, MergeBody, is_moving=True)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.parts.merge(
            connection, word, receivable_id, part=body.part, other=body.other, now_s=now_s
        ),
    )


@act_operation(PledgeBody, *MOVE_REFUSED, *REGISTRATION_REFUSED, "422 not_a_bank bad_registration")
async def pledge(request: web.Request) -> web.Response:
    """Pledge a part to a bank: it stays its owner's and does not move; its money goes to the bank until released."""
    member, body = await asked(request, PledgeBody, is_moving=True)
    registration = wire.hex_bytes(body.registration, 32, "registration", "bad_registration")
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.parts.pledge(
            connection, word, Pledge(receivable_id, body.part, body.pledgee, registration), now_s=now_s
        ),
    )


@act_operation(ReleaseBody, "403 not_the_pledgee", "422 no_such_part not_pledged")
async def release(request: web.Request) -> web.Response:
    """The pledgee gives a pledge back."""
    member, body = await asked(request, ReleaseBody)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.parts.release(
            connection, word, receivable_id, part=body.part, now_s=now_s
        ),
    )


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/receivables/{receivable}/split", split),
        web.post("/v1/receivables/{receivable}/transfer", transfer),
        web.post("/v1/receivables/{receivable}/merge", merge),
        web.post("/v1/receivables/{receivable}/pledge", pledge),
        web.post("/v1/receivables/{receivable}/release", release),
    ]
