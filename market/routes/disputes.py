"""Disputes about trades: what a side can challenge, its challenge on the way to the chain, and how each one stands."""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from data.units import format_instant, format_money
from market import statement_store, wire
from market.context import CONTEXT, Context
from market.identity import Member, require, require_fresh
from market.openapi.fields import Hash, Instant, Number, Signature, choice
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse
from matching.order import Side
from settlement import cycle_store, dispute_acts, dispute_store, disputing, hexjson, outbox, signatures
from settlement.disputable import Disputable

_OVERSEERS = ("checker", "operator", "regulator")
_NOT_NOW = ("404 not_found", "409 not_disputable")


class ChallengeBody(wire.Body, frozen=True):
    """``signature`` is over ``Challenge`` in the domain of Disputes."""

    nonce: wire.Id
    deadline: Instant
    signature: Signature


class ChallengeSent(msgspec.Struct, frozen=True):
    """A challenge on its way to the chain, by the name that it has there."""

    challenge: Hash
    cycle: int


class ChallengeShown(msgspec.Struct, frozen=True):
    """A challenge as the chain has it. Who asked is shown to itself and to those who oversee the market; to these also
    why the market has no answer.
    """

    challenge: Hash
    cycle: int
    trade: int
    side: Annotated[str, choice("buy", "sell")]
    state: Annotated[str, choice(dispute_store.OPEN, dispute_store.ANSWERED, dispute_store.UPHELD)]
    opened: Instant
    due: Instant
    challenger: int | None
    problem: str | None


@operation(Disputable, who=MEMBER, scope="read", path={"trade": Number}, refuses=("400 bad_number", *_NOT_NOW))
async def show_disputable(request: web.Request) -> web.Response:
    """What there is to sign to challenge an own trade, and all that it takes to do it past the market."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    return await wire.reply_bytes(context.in_thread(hexjson.dumps, await _disputable(request, context, member)))


@operation(
    ChallengeSent,
    status=202,
    who=MEMBER,
    scope="money",
    path={"trade": Number},
    body=ChallengeBody,
    is_sensitive=True,
    refuses=(
        "400 bad_number",
        *_NOT_NOW,
        "409 already_challenged",
        "422 bad_time bad_signature deadline_passed insufficient_funds",
    ),
)
async def challenge(request: web.Request) -> web.Response:
    """Have the market show the signed order behind an own trade, against a bond out of escrow.

    It goes to the chain as any relayer could send it; whoever is right gets the bond.
    """
    context, member = request.app[CONTEXT], require(request, scope="money")
    require_fresh(request)
    body = await wire.read(request, ChallengeBody)
    shown = await _disputable(request, context, member)
    opening, deadline_s = shown.opening(), wire.instant_s(body.deadline, "deadline")
    once = {"nonce": body.nonce, "deadline_s": deadline_s}
    domain = context.chain.domain("Disputes")
    digest = dispute_acts.challenge_digest(domain, member.member_id, shown.cycle, opening.leaf, **once)
    signature = wire.signature(body.signature)
    if deadline_s <= context.clock.now_s():
        raise refuse(422, "deadline_passed", "the deadline of what was signed has passed", "deadline")
    if not signatures.is_signed(member.key, digest, signature):
        raise refuse(422, "bad_signature", "this is not your key's signature over these fields", "signature")

    def send(connection: Connection) -> web.Response:
        if any(row.name == shown.challenge for row in dispute_store.open_challenges(connection, shown.cycle)):
            raise refuse(409, "already_challenged", "this challenge is open; see /v1/cycles/{number}/challenges")
        escrow_micro = statement_store.escrow_micro(connection, member.member_id)
        if escrow_micro < shown.bond_micro:
            raise refuse(422, "insufficient_funds", f"the bond is {format_money(shown.bond_micro)} CNY out of escrow")
        outbox.put(connection, dispute_acts.challenge(shown.cycle, opening, signature, **once))
        return wire.reply(ChallengeSent(shown.challenge.hex(), shown.cycle), status=202)

    answer = await context.write_and_answer(send, lambda answer: answer)
    context.poke()
    return answer


@operation(wire.Page[ChallengeShown], who=MEMBER, scope="read", path={"number": Number}, refuses=("404 not_found",))
async def show_challenges(request: web.Request) -> web.Response:
    """The challenges of a cycle, oldest first, those of rounds that fell included."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    wire.query(request)
    number = wire.whole_number(request.match_info["number"], "number")

    def look(connection: Connection) -> list[Row[tuple[object, ...]]]:
        if cycle_store.cycle(connection, number) is None and not dispute_store.void_rounds(connection, number):
            raise not_found("cycle")
        return list(dispute_store.challenges_of(connection, number))

    rows = await context.read(look)
    return wire.reply(wire.page([_shown(row, member) for row in rows], None))


async def _disputable(request: web.Request, context: Context, member: Member) -> Disputable:
    """Of the trade in the path. Raises ProblemError."""
    trade_id = wire.whole_number(request.match_info["trade"], "trade")
    now_s, domain = context.clock.now_s(), context.chain.domain("Disputes")
    bond_micro = context.config.challenge_bond_micro
    found = await context.read(
        lambda connection: disputing.disputable(
            connection, trade_id, member.member_id, now_s, domain=domain, bond_micro=bond_micro
        )
    )
    if found == "not_disputable":
        raise refuse(409, "not_disputable", "a trade can be challenged while its cycle is proposed; see /v1/cycles")
    if isinstance(found, str):
        raise not_found("such a trade of yours")
    return found


def _shown(row: Row[tuple[object, ...]], member: Member) -> ChallengeShown:
    is_overseer = bool(member.roles.intersection(_OVERSEERS))
    return ChallengeShown(
        challenge=row.name.hex(),
        cycle=row.cycle,
        trade=row.trade_id,
        side=Side(row.side).name.lower(),
        state=row.state,
        opened=format_instant(row.opened_s),
        due=format_instant(row.due_s),
        challenger=row.challenger if is_overseer or row.challenger == member.member_id else None,
        problem=row.problem if is_overseer else None,
    )


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/trades/{trade}/challenge", show_disputable),
        web.post("/v1/trades/{trade}/challenge", challenge),
        web.get("/v1/cycles/{number}/challenges", show_challenges),
    ]
