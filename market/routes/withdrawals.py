"""Money on its way out: asked for and signed by members, paid by the custodian; and free cash into escrow."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_instant, format_money
from market import statement_store, wire, withdrawal_store
from market.context import CONTEXT, Context
from market.identity import Member, require, require_fresh
from market.openapi.fields import PAGE, Instant, Money, MoneyGiven, Number, Signature, choice
from market.openapi.operation import MEMBER, operation
from market.problems import Problem, ProblemError, not_found, refuse
from market.withdrawal_store import Withdrawal
from market.withdrawals import STATES, RequestWithdrawal, payout_of, reference_of
from settlement import acts, outbox, signatures

_OVERSEERS = ("custodian", "operator", "regulator", "checker")
_NUMBERED = {"withdrawal": Number}
_UNSIGNED = ("422 bad_amount bad_time bad_signature deadline_passed",)


_Values = Callable[[Connection], dict[str, Any]]


class WithdrawalBody(wire.Body, frozen=True):
    """From ``escrow``, ``signature`` is over ``RequestExit`` in the domain of Clearing; from ``cash`` there is none."""

    amount: MoneyGiven
    nonce: wire.Id
    deadline: Instant
    source: Literal["escrow", "cash"] = "escrow"
    signature: Signature | None = None


class PayoutBody(wire.Body, frozen=True):
    """The member's signature over ``Burn`` in the domain of Cash."""

    nonce: wire.Id
    deadline: Instant
    signature: Signature


class ConfirmationBody(wire.Body, frozen=True):
    """The custodian's signature over the same ``Burn``, and what its bank calls the payment."""

    bank_reference: wire.Name
    signature: Signature


class EntryBody(wire.Body, frozen=True):
    """``signature`` is over ``Enter`` in the domain of Clearing."""

    amount: MoneyGiven
    nonce: wire.Id
    deadline: Instant
    signature: Signature


class EntryAnswer(msgspec.Struct, frozen=True):
    """What is on its way into escrow."""

    amount: Money


class WithdrawalShown(msgspec.Struct, frozen=True):
    """A withdrawal and how far it is; `payable` is what is left of it once escrow has given it free."""

    withdrawal: int
    member: int
    source: Annotated[str, choice("escrow", "cash")]
    state: Annotated[str, choice(*STATES)]
    amount: Money
    payable: Money | None
    reference: str
    bank_reference: str | None
    requested: Instant
    changed: Instant
    payout_nonce: int | None
    payout_deadline: Instant | None
    refusal: str | None


@operation(
    WithdrawalShown,
    status=202,
    who=MEMBER,
    scope="money",
    body=WithdrawalBody,
    is_sensitive=True,
    headers={"Location": "Where the withdrawal is"},
    refuses=(*_UNSIGNED, "403 frozen", "409 nonce_used", "422 insufficient_funds insufficient_cash"),
)
async def ask(request: web.Request) -> web.Response:
    """Ask for money back. What is in escrow can not be traded with from this answer on; the same again changes nothing.

    Free cash needs no first step: sign its payout next.
    """
    member, context = require(request, scope="money"), request.app[CONTEXT]
    require_fresh(request)
    body = await wire.read(request, WithdrawalBody)
    amount_micro, deadline_s = _amount(body.amount), wire.instant_s(body.deadline, "deadline")
    signature = b""
    if body.source == "escrow":
        digest = acts.request_exit_digest(
            context.chain.domain("Clearing"), member.member_id, amount_micro, nonce=body.nonce, deadline_s=deadline_s
        )
        signature = _signed(member, digest, body.signature or "")
    elif body.signature is not None:
        raise refuse(422, "bad_signature", "free cash is signed for with its payout, not here", "signature")
    else:
        await _check_free(context, member.member_id, amount_micro, known_nonce=body.nonce)
    job = RequestWithdrawal(member.member_id, body.source, amount_micro, body.nonce, deadline_s, signature)
    number: int | Problem = (await context.sequencer.submit(job)).answer
    if isinstance(number, Problem):
        raise ProblemError(number)
    found = await context.read(lambda connection: withdrawal_store.find(connection, number))
    assert found is not None
    if (found.source, found.amount_micro, found.deadline_s) != (body.source, amount_micro, deadline_s):
        raise refuse(409, "nonce_used", "another withdrawal has this nonce", "nonce")
    context.poke()
    return wire.reply(_shown(context, found), status=202, headers={"Location": f"/v1/withdrawals/{number}"})


@operation(
    EntryAnswer,
    status=202,
    who=MEMBER,
    scope="money",
    body=EntryBody,
    refuses=(*_UNSIGNED, "422 insufficient_cash"),
)
async def enter(request: web.Request) -> web.Response:
    """Put free cash behind orders; it counts once the chain has it."""
    member, context = require(request, scope="money"), request.app[CONTEXT]
    body = await wire.read(request, EntryBody)
    amount_micro, deadline_s = _amount(body.amount), wire.instant_s(body.deadline, "deadline")
    once = {"nonce": body.nonce, "deadline_s": deadline_s}
    digest = acts.enter_digest(context.chain.domain("Clearing"), member.member_id, amount_micro, **once)
    signature = _signed(member, digest, body.signature)
    _check_deadline(context, deadline_s)
    await _check_free(context, member.member_id, amount_micro)
    call = acts.enter(member.member_id, amount_micro, signature, **once)
    answer = await context.write_and_answer(
        lambda connection: outbox.put(connection, call),
        lambda _: wire.reply(EntryAnswer(format_money(amount_micro)), status=202),
    )
    context.poke()
    return answer


@operation(WithdrawalShown, who=MEMBER, scope="read", path=_NUMBERED, refuses=("404 not_found",))
async def show(request: web.Request) -> web.Response:
    """One withdrawal, to its member and to those who pay and oversee."""
    context = request.app[CONTEXT]
    return wire.reply(_shown(context, await _find(request, require(request, scope="read"))))


@operation(
    wire.Page[WithdrawalShown],
    who=MEMBER,
    scope="read",
    query={"state": Annotated[str, choice(*STATES)], **PAGE},
    refuses=("400 bad_state",),
)
async def show_all(request: web.Request) -> web.Response:
    """Own withdrawals, oldest first; the custodian and those who oversee see all. ``?state=``"""
    asking, context = require(request, scope="read"), request.app[CONTEXT]
    parameters = wire.query(request, "state", "limit", "cursor")
    state, limit = parameters.get("state"), wire.page_limit(parameters)
    if state is not None and state not in STATES:
        raise refuse(400, "bad_state", f"a withdrawal's state is one of {', '.join(STATES)}", "state")
    whose = None if asking.roles.intersection(_OVERSEERS) else asking.member_id
    after = wire.cursor(parameters)
    found = await context.read(
        lambda connection: withdrawal_store.some(connection, member_id=whose, state=state, after=after, limit=limit)
    )
    last = found[-1].withdrawal if len(found) == limit else None
    return wire.reply(wire.page([_shown(context, each) for each in found], last))


@operation(
    WithdrawalShown,
    status=202,
    who=MEMBER,
    scope="money",
    path=_NUMBERED,
    body=PayoutBody,
    is_sensitive=True,
    refuses=("404 not_found", "409 not_free changed_meanwhile", "422 insufficient_cash", *_UNSIGNED),
)
async def sign_payout(request: web.Request) -> web.Response:
    """The member signs that this money may be paid out and burned."""
    member, context = require(request, scope="money"), request.app[CONTEXT]
    require_fresh(request)
    found = await _find(request, member)
    body = await wire.read(request, PayoutBody)
    if found.member_id != member.member_id:
        raise not_found("withdrawal")
    deadline_s = wire.instant_s(body.deadline, "deadline")
    if (found.payout_nonce, found.payout_deadline_s) == (body.nonce, deadline_s):
        return wire.reply(_shown(context, found), status=202)
    has_lapsed = found.state == "signed" and (found.payout_deadline_s or 0) <= context.clock.now_s()
    if found.state != "free" and not has_lapsed:
        raise refuse(409, "not_free", f"this withdrawal is {found.state}; a payout is signed when it is free")
    _check_deadline(context, deadline_s)
    await _check_payable(context, found)
    payout = payout_of(context.chain.chain_id, found, nonce=body.nonce, deadline_s=deadline_s)
    signature = _signed(member, acts.burn_digest(context.chain.domain("Cash"), payout), body.signature)
    values = {"payout_nonce": body.nonce, "payout_deadline_s": deadline_s, "payout_signature": signature}
    return await _move(context, found, "signed", lambda connection: values)


@operation(
    WithdrawalShown,
    status=202,
    who=("custodian",),
    scope="office",
    path=_NUMBERED,
    body=ConfirmationBody,
    refuses=("404 not_found", "409 not_signed reference_used changed_meanwhile", "422 insufficient_cash", *_UNSIGNED),
)
async def confirm(request: web.Request) -> web.Response:
    """The custodian confirms the payment under its bank's reference, each used once; the money is burned."""
    custodian, context = require(request, "custodian", scope="office"), request.app[CONTEXT]
    found = await _find(request, custodian)
    body = await wire.read(request, ConfirmationBody)
    if found.bank_reference == body.bank_reference:
        return wire.reply(_shown(context, found), status=202)
    if found.state != "signed":
        raise refuse(409, "not_signed", f"this withdrawal is {found.state}; it is paid when its member has signed")
    assert found.payout_nonce is not None and found.payout_deadline_s is not None
    assert found.payout_signature is not None
    member_signature, nonce, deadline_s = found.payout_signature, found.payout_nonce, found.payout_deadline_s
    _check_deadline(context, deadline_s)
    await _check_payable(context, found)
    payout = payout_of(context.chain.chain_id, found, nonce=nonce, deadline_s=deadline_s)
    signature = _signed(custodian, acts.burn_digest(context.chain.domain("Cash"), payout), body.signature)

    def send(connection: Connection) -> dict[str, Any]:
        if withdrawal_store.with_bank_reference(connection, body.bank_reference) is not None:
            raise refuse(409, "reference_used", "another payment has this reference", "bank_reference")
        approvals = [acts.Approval(custodian.member_id, signature)]
        outbox_id = outbox.put(connection, acts.burn(payout, member_signature, approvals))
        return {"bank_reference": body.bank_reference, "outbox_id": outbox_id, "refusal": None}

    return await _move(context, found, "confirmed", send)


async def _move(context: Context, found: Withdrawal, state: str, values: _Values) -> web.Response:
    """To the next state, unless another request was faster."""

    def write(connection: Connection) -> Withdrawal:
        changed = {"state": state, "changed_s": context.clock.now_s(), **values(connection)}
        if not withdrawal_store.change(connection, found.withdrawal, found.state, **changed):
            raise refuse(409, "changed_meanwhile", "this withdrawal has moved on; look at it again")
        moved = withdrawal_store.find(connection, found.withdrawal)
        assert moved is not None
        return moved

    answer = await context.write_and_answer(write, lambda moved: wire.reply(_shown(context, moved), status=202))
    context.poke()
    return answer


async def _find(request: web.Request, asking: Member) -> Withdrawal:
    """The withdrawal in the path. Raises ProblemError when there is none that this member may see."""
    text = request.match_info["withdrawal"]
    number = int(text) if len(text) <= 18 and text.isascii() and text.isdigit() else 0
    found = await request.app[CONTEXT].read(lambda connection: withdrawal_store.find(connection, number))
    if found is None or not (found.member_id == asking.member_id or asking.roles.intersection(_OVERSEERS)):
        raise not_found("withdrawal")
    return found


def _amount(text: str) -> int:
    amount_micro = wire.money_micro(text, "amount")
    if amount_micro <= 0:
        raise refuse(422, "bad_amount", "an amount is positive", "amount")
    return amount_micro


def _signed(signer: Member, digest: bytes, text: str) -> bytes:
    signature = wire.signature(text)
    if not signatures.is_signed(signer.key, digest, signature):
        raise refuse(422, "bad_signature", "this is not your key's signature over these fields", "signature")
    return signature


def _check_deadline(context: Context, deadline_s: int) -> None:
    if deadline_s <= context.clock.now_s():
        raise refuse(422, "deadline_passed", "the deadline of what was signed has passed", "deadline")


async def _check_free(context: Context, member_id: int, amount_micro: int, *, known_nonce: int | None = None) -> None:
    """Free cash must be there beyond what other withdrawals take: for a new one beyond all, else beyond signed ones.

    The contract has the last word on it.
    """
    states = ("signed", "confirmed") if known_nonce is None else ("free", "signed", "confirmed")

    def look(connection: Connection) -> tuple[int, bool]:
        free_micro, _ = statement_store.free_and_arrears(connection, member_id)
        is_known = known_nonce is not None and withdrawal_store.is_known(connection, member_id, known_nonce)
        return free_micro - withdrawal_store.promised_micro(connection, member_id, states), is_known

    free_micro, is_known = await context.read(look)
    if amount_micro > free_micro and not is_known:
        raise refuse(422, "insufficient_cash", f"free cash is {format_money(free_micro)}; see /v1/account", "amount")


async def _check_payable(context: Context, found: Withdrawal) -> None:
    """The member must still have what it wants paid out; a payout that is signed already counts for itself."""
    assert found.payable_micro is not None
    own_micro = found.payable_micro if found.state == "signed" else 0
    await _check_free(context, found.member_id, found.payable_micro - own_micro)


def _shown(context: Context, each: Withdrawal) -> WithdrawalShown:
    return WithdrawalShown(
        withdrawal=each.withdrawal,
        member=each.member_id,
        source=each.source,
        state=each.state,
        amount=format_money(each.amount_micro),
        payable=None if each.payable_micro is None else format_money(each.payable_micro),
        reference=reference_of(context.chain.chain_id, each.withdrawal),
        bank_reference=each.bank_reference,
        requested=format_instant(each.requested_s),
        changed=format_instant(each.changed_s),
        payout_nonce=each.payout_nonce,
        payout_deadline=wire.time_text(each.payout_deadline_s),
        refusal=each.refusal,
    )


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/withdrawals", ask),
        web.get("/v1/withdrawals", show_all),
        web.get("/v1/withdrawals/{withdrawal}", show),
        web.post("/v1/withdrawals/{withdrawal}/payout", sign_payout),
        web.post("/v1/withdrawals/{withdrawal}/confirmation", confirm),
        web.post("/v1/escrow", enter),
    ]
