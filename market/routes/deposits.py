"""Deposits: what reached the custodian's bank account becomes settlement money on the chain, each reference once."""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from market import custody_store, deposit_store, wire
from market.context import CONTEXT
from market.deposit_store import Deposit
from market.identity import require
from market.openapi.fields import MoneyGiven, Signature
from market.openapi.operation import operation
from market.problems import refuse
from settlement import acts, outbox, signatures
from settlement.acts import FUND, Approval, Mint
from settlement.keccak import keccak

AT_ONCE = 100
"""The most that ``Cash.mint_many`` takes."""


class DepositBody(wire.Body, frozen=True):
    """``reference`` is the bank's own; ``to_escrow`` puts the money behind orders at once. Member 0 is the fund."""

    member: wire.Id
    amount: MoneyGiven
    reference: wire.Name
    to_escrow: bool = False


class DepositsBody(wire.Body, frozen=True):
    deposits: Annotated[list[DepositBody], msgspec.Meta(min_length=1, max_length=AT_ONCE)]
    signature: Signature


class DepositTaken(msgspec.Struct, frozen=True):
    reference: str


class DepositsAnswer(msgspec.Struct, frozen=True):
    """The references that are on their way to the chain, or were already."""

    items: list[DepositTaken]


def mint_of(deposit: Deposit) -> Mint:
    """What the custodian signs: on the chain, a reference is the hash of the bank's own."""
    return Mint(deposit.member_id, deposit.amount_micro, keccak(deposit.reference.encode()), deposit.to_escrow)


@operation(
    DepositsAnswer,
    status=202,
    who=("custodian",),
    scope="office",
    body=DepositsBody,
    refuses=(
        "409 balance_below_supply balance_late reference_used",
        "422 bad_amount bad_deposit bad_signature unknown_member",
    ),
)
async def deposit(request: web.Request) -> web.Response:
    """Accept deposits that the custodian signed; the same ones again change nothing."""
    custodian = require(request, "custodian", scope="office")
    context = request.app[CONTEXT]
    body = await wire.read(request, DepositsBody)
    deposits = [_deposit(each, f"deposits[{index}].") for index, each in enumerate(body.deposits)]
    for index, each in enumerate(deposits):
        member = context.directory.members.get(each.member_id)
        if each.member_id != FUND and (member is None or not member.is_admitted):
            raise refuse(422, "unknown_member", "no such member is admitted", f"deposits[{index}].member")
        if each.member_id == FUND and not each.to_escrow:
            raise refuse(422, "bad_deposit", "the guarantee fund is an escrow", f"deposits[{index}].to_escrow")
    if len({each.reference for each in deposits}) < len(deposits):
        raise refuse(409, "reference_used", "a reference stands twice in this request", "deposits")
    mints, now_s = [mint_of(each) for each in deposits], context.clock.now_s()
    signature = wire.signature(body.signature)
    if not signatures.is_signed(custodian.key, acts.mint_many_digest(context.chain.domain("Cash"), mints), signature):
        raise refuse(422, "bad_signature", "this is not the custodian's signature over these deposits", "signature")

    def write(connection: Connection) -> None:
        references = [each.reference for each in deposits]
        deposit_store.forget_reverted(connection, references)
        known = deposit_store.known(connection, references)
        if all(known.get(each.reference) == each for each in deposits):
            return
        used = next((each.reference for each in deposits if each.reference in known), None)
        if used is not None:
            raise refuse(409, "reference_used", f"the reference {used!r} has been used for another deposit", "deposits")
        stopped = custody_store.read(connection).stopped_by(now_s)
        if stopped is not None:
            raise refuse(409, stopped, "sign a balance that covers the supply first: POST /v1/custody/balance")
        outbox_id = outbox.put(connection, acts.mint_many(mints, [Approval(custodian.member_id, signature)]))
        deposit_store.add(connection, deposits, outbox_id)

    taken = DepositsAnswer([DepositTaken(each.reference) for each in deposits])
    answer = await context.write_and_answer(write, lambda _: wire.reply(taken, status=202))
    context.poke()
    return answer


def _deposit(body: DepositBody, at: str) -> Deposit:
    amount_micro = wire.money_micro(body.amount, f"{at}amount")
    if amount_micro <= 0:
        raise refuse(422, "bad_amount", "a deposit is positive", f"{at}amount")
    return Deposit(body.reference, body.member, amount_micro, body.to_escrow)


def routes() -> list[web.RouteDef]:
    return [web.post("/v1/deposits", deposit)]
