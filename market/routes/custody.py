"""The custodian's balance, signed at least daily, beside the supply that it covers; without it nothing is minted."""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_instant, format_money
from market import custody_store, wire
from market.context import CONTEXT
from market.custody_store import Custody
from market.identity import require
from market.openapi.fields import Instant, Money, MoneyGiven, Signature, choice
from market.openapi.operation import ANYONE, operation
from market.problems import refuse
from settlement import acts, custody_acts, outbox, signatures
from settlement.custody_acts import MAX_AGE_S


class BalanceBody(wire.Body, frozen=True):
    """Held for this market at ``as_of``; what was paid out counts until it is burned. Signed over ``AttestBalance``."""

    balance: MoneyGiven
    as_of: Instant
    signature: Signature


class Attested(msgspec.Struct, frozen=True):
    """What the chain took: the balance, and the settlement money there was at that time."""

    as_of: Instant
    balance: Money
    supply: Money


class Sent(msgspec.Struct, frozen=True):
    """What the custodian signed last, and what became of the call that tells the chain."""

    as_of: Instant
    balance: Money
    call: Annotated[str, choice("waiting", "sent", "done", "reverted")]
    refusal: str | None


class CustodyAnswer(msgspec.Struct, frozen=True):
    """``minting``: open, or why it stands still; `late_from`: when it will, unless another balance is signed."""

    minting: Annotated[str, choice("open", "balance_late", "balance_below_supply")]
    late_from: Instant | None
    attested: Attested | None
    signed: Sent | None


@operation(
    CustodyAnswer,
    status=202,
    who=("custodian",),
    scope="office",
    body=BalanceBody,
    refuses=("409 balance_not_newer", "422 bad_amount bad_signature bad_time balance_from_the_future"),
)
async def attest(request: web.Request) -> web.Response:
    """Sign what is held for this market. Late, or below the supply, and nothing is minted until the next one."""
    custodian = require(request, "custodian", scope="office")
    context = request.app[CONTEXT]
    body = await wire.read(request, BalanceBody)
    balance_micro, as_of_s = wire.money_micro(body.balance, "balance"), wire.instant_s(body.as_of, "as_of")
    if balance_micro < 0:
        raise refuse(422, "bad_amount", "a balance is not negative", "balance")
    now_s = context.clock.now_s()
    if as_of_s > now_s:
        raise refuse(422, "balance_from_the_future", "this time has not come yet", "as_of")
    digest = custody_acts.attest_balance_digest(context.chain.domain("Cash"), as_of_s, balance_micro)
    signature = wire.signature(body.signature)
    if not signatures.is_signed(custodian.key, digest, signature):
        raise refuse(422, "bad_signature", "this is not the custodian's signature over this balance", "signature")

    def write(connection: Connection) -> Custody:
        known = custody_store.read(connection)
        if as_of_s <= max((each.as_of_s for each in known if each is not None), default=-1):
            raise refuse(409, "balance_not_newer", "a balance of that time or later is there already", "as_of")
        approval = acts.Approval(custodian.member_id, signature)
        sent = outbox.put(connection, custody_acts.attest_balance(as_of_s, balance_micro, [approval]))
        custody_store.add(connection, as_of_s, balance_micro, sent)
        return custody_store.read(connection)

    answer = await context.write_and_answer(write, lambda found: wire.reply(_shown(found, now_s), status=202))
    context.poke()
    return answer


@operation(CustodyAnswer, who=ANYONE)
async def show(request: web.Request) -> web.Response:
    """Whether the money in the market is covered by what the custodian says it holds, and since when it says so."""
    context = request.app[CONTEXT]
    wire.query(request)
    return wire.reply(_shown(await context.read(custody_store.read), context.clock.now_s()))


def _shown(found: Custody, now_s: int) -> CustodyAnswer:
    signed, attested = found
    return CustodyAnswer(
        minting=found.stopped_by(now_s) or "open",
        late_from=None if attested is None else format_instant(attested.as_of_s + MAX_AGE_S),
        attested=None
        if attested is None
        else Attested(
            format_instant(attested.as_of_s), format_money(attested.balance_micro), format_money(attested.supply_micro)
        ),
        signed=None
        if signed is None
        else Sent(format_instant(signed.as_of_s), format_money(signed.balance_micro), signed.call, signed.refusal),
    )


def routes() -> list[web.RouteDef]:
    return [web.post("/v1/custody/balance", attest), web.get("/v1/custody/balance", show)]
