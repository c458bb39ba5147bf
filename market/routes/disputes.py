"""Disputes about trades: what a side can challenge, its challenge on the way to the chain, and how each one stands."""

from collections.abc import Callable
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
from settlement import cycle_store, dispute_acts, dispute_store, disputing, hexjson, outbox, proving, signatures
from settlement.chain import Call
from settlement.disputable import Disputable
from settlement.dispute_acts import CancelReceipt

_OVERSEERS = ("checker", "operator", "regulator")
_NOT_NOW = ("404 not_found", "409 not_disputable")
_NO_WRONG = {
    "other_order": "the receipt is about another order than your side of this trade",
    "within_receipt": "the receipt allows this trade",
    "receipt_not_older": "the receipt came after the trade",
    "bad_signature": "the operator did not sign this receipt between the placing of the order and the trade",
    "not_one_order": "these trades are under two orders",
    "no_overlap": "these trades fill different parts of the order",
}


class ChallengeBody(wire.Body, frozen=True):
    """``signature`` is over ``Challenge`` in the domain of Disputes."""

    nonce: wire.Id
    deadline: Instant
    signature: Signature


class ChallengeSent(msgspec.Struct, frozen=True):
    """A challenge on its way to the chain, by the name that it has there."""

    challenge: Hash
    cycle: int


class CancelReceiptGiven(wire.Body, frozen=True):
    """A cancel receipt as the market gave it: the operator's ``signature`` over ``CancelReceipt``."""

    order: Hash
    limit_lots: wire.Id
    sequence: wire.Id
    operator: wire.Id
    signature: Signature


class OverlapBody(wire.Body, frozen=True):
    """``other`` is another trade under the same order."""

    other: wire.Id


class WrongSent(msgspec.Struct, frozen=True):
    """A proof on its way to the chain: of two trades that overlap the later one falls, and the cycle with it."""

    trade: int
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
    return await wire.reply_bytes(
        context.in_thread(hexjson.dumps, await _disputable(context, member, _trade_of(request)))
    )


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
    shown = await _disputable(context, member, _trade_of(request))
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


@operation(
    WrongSent,
    status=202,
    who=MEMBER,
    scope="money",
    path={"trade": Number},
    body=CancelReceiptGiven,
    refuses=("400 bad_number", *_NOT_NOW, "422 bad_hex other_order within_receipt receipt_not_older bad_signature"),
)
async def prove_cancelled(request: web.Request) -> web.Response:
    """Strike an own trade that goes beyond a cancel receipt of its order; without a bond or a window for an answer."""
    context, member = request.app[CONTEXT], require(request, scope="money")
    body = await wire.read(request, CancelReceiptGiven)
    order, signature = wire.hex_bytes(body.order, 32, "order"), wire.signature(body.signature)
    receipt = CancelReceipt(order, body.limit_lots, body.sequence, body.operator, 0, signature)
    shown = await _disputable(context, member, _trade_of(request))
    domain, is_operator = context.chain.domain("Clearing"), body.operator == context.operator.member

    def prove(connection: Connection) -> Call | str:
        if not is_operator:
            return "bad_signature"
        return proving.cancelled(connection, shown.cycle, shown.opening(), receipt, domain)

    return await _send_proof(context, shown, prove)


@operation(
    WrongSent,
    status=202,
    who=MEMBER,
    scope="money",
    path={"trade": Number},
    body=OverlapBody,
    refuses=("400 bad_number", *_NOT_NOW, "422 not_one_order no_overlap"),
)
async def prove_overlap(request: web.Request) -> web.Response:
    """Strike the later of two own trades that fill the same part of one order; without a bond."""
    context, member = request.app[CONTEXT], require(request, scope="money")
    body = await wire.read(request, OverlapBody)
    shown = await _disputable(context, member, _trade_of(request))
    other = await _disputable(context, member, body.other)
    return await _send_proof(context, shown, lambda _: proving.overlap(shown.cycle, shown.opening(), other.opening()))


async def _send_proof(context: Context, shown: Disputable, prove: Callable[[Connection], Call | str]) -> web.Response:
    """Put a proof into the outbox. Raises ProblemError where it proves nothing."""

    def send(connection: Connection) -> web.Response:
        proof = prove(connection)
        if isinstance(proof, str):
            raise refuse(422, proof, _NO_WRONG[proof])
        outbox.put(connection, proof)
        return wire.reply(WrongSent(shown.common.trade_id, shown.cycle), status=202)

    answer = await context.write_and_answer(send, lambda answer: answer)
    context.poke()
    return answer


@operation(
    wire.Page[ChallengeShown],
    who=MEMBER,
    scope="read",
    path={"number": Number},
    refuses=("400 bad_number", "404 not_found"),
)
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


def _trade_of(request: web.Request) -> int:
    return wire.whole_number(request.match_info["trade"], "trade")


async def _disputable(context: Context, member: Member, trade_id: int) -> Disputable:
    """Of a member's own trade. Raises ProblemError."""
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
        web.post("/v1/trades/{trade}/wrongs/cancelled", prove_cancelled),
        web.post("/v1/trades/{trade}/wrongs/overlap", prove_overlap),
        web.get("/v1/cycles/{number}/challenges", show_challenges),
    ]
