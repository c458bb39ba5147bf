"""ISO 20022 files for banks and the custodian: requests and notices of assignment, payments, money that came in.

What each file holds is in ``finance/iso20022/``. A credit that the custodian's bank reports is consumed once; what does
not match is listed with the reason, here and in ``GET /v1/custody/entries``.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from data.units import MICRO_PER_FEN
from finance import assigning, entry_store, reconciliation, registry_store, store
from finance.iso20022 import assignment, camt_054, pain_001
from finance.iso20022.assignment import Kind
from finance.iso20022.camt_054 import Entry
from finance.iso20022.messages import plain
from finance.iso20022.pain_001 import Account, Payment, PaymentOrder
from finance.iso20022.xml import MessageError
from finance.reconciliation import Match
from market import wire, withdrawal_store
from market.config import CollectionAccount
from market.context import CONTEXT, Context
from market.identity import require
from market.openapi.fields import PAGE, Day, Fen, Hash, Number, choice, text
from market.openapi.operation import MEMBER, operation
from market.problems import ProblemError, not_found, refuse
from market.receivable_answers import seen, today_of
from market.receivable_views import fen_text, receivable_id_of, viewer_of
from market.withdrawals import reference_of
from settlement.keccak import keccak

XML = "application/xml"
LEFT_OUT = "Left-Out"
AT_ONCE = 5_000
"""Payments in one file."""

_NAMED = {"receivable": Hash}
_STATUS = {"too_large": 413, "bad_xml": 400, "document_type": 400}
_REFUSED = ("400 bad_xml document_type", "422 unknown_message bad_structure bad_content")

Camt054 = Annotated[str, text("A camt.054.001.08 message, UTF-8", "", "<Document/>")]


class DepositMeant(msgspec.Struct, frozen=True):
    """The deposit that a credit is for: the custodian signs it with ``POST /v1/deposits``."""

    member: int
    amount: Fen
    reference: str


class EntryShown(msgspec.Struct, frozen=True):
    """A credit on the account. `state`: `deposited`, the custodian minted for it; `expected`, mint what `deposit` says;
    `unmatched`, `reason` says why; `taken_before`, another message had it; `not_money`, no booked credit.

    `receivable` is the one that the payer quoted.
    """

    account: str
    reference: str
    amount: Fen
    booked: Day | None
    payer: str
    quoted: list[str]
    state: Annotated[str, choice("deposited", "expected", "unmatched", "taken_before", "not_money")]
    reason: str
    receivable: Hash | None
    deposit: DepositMeant | None


class EntriesAnswer(msgspec.Struct, frozen=True):
    """What became of each entry of a message, in its order."""

    message: str
    items: list[EntryShown]


# --------------------------------------------------------------------------------------------- receivables


@operation(
    bytes,
    media=(XML,),
    who=MEMBER,
    scope="read",
    path=_NAMED,
    query={"bank": Number},
    refuses=("400 bad_number", "403 forbidden", "404 not_found", "422 bank_needed bad_structure"),
)
async def financing_request(request: web.Request) -> web.Response:
    """tsin.006.001.01: the seller asks a bank (the one that asks, or ``?bank=``) to take over a receivable."""
    member, context = require(request, scope="read"), request.app[CONTEXT]
    viewer, receivable_id = viewer_of(member), receivable_id_of(request)
    asked = wire.query(request, "bank").get("bank")
    if asked is None and not viewer.is_bank:
        raise refuse(422, "bank_needed", "say to which bank: ?bank=", "bank")
    bank = viewer.member if asked is None else wire.whole_number(asked, "bank")
    known = context.directory.members.get(bank)
    if known is None or "bank" not in known.roles:
        raise not_found("bank")

    def build(connection: Connection) -> bytes:
        row = seen(connection, context, viewer, receivable_id)
        if not (viewer.is_bank or viewer.is_overseer or viewer.member == row.creditor):
            raise refuse(403, "forbidden", "the request is for the seller and for banks")
        return _assignment(context, connection, row, Kind.REQUEST, bank)

    return _file(await context.read(build), f"tsin.006-{receivable_id.hex()[:16]}.xml")


@operation(
    bytes,
    media=(XML,),
    who=MEMBER,
    scope="read",
    path=_NAMED,
    refuses=("404 not_found", "409 not_sold", "422 bad_structure"),
)
async def assignment_notification(request: web.Request) -> web.Response:
    """tsin.008.001.01: the debtor is told whose its debt is now; to debtor, seller, holder and overseers."""
    viewer, context = viewer_of(require(request, scope="read")), request.app[CONTEXT]
    receivable_id = receivable_id_of(request)

    def build(connection: Connection) -> bytes:
        row = sold_to_see(connection, receivable_id, viewer.member, is_overseer=viewer.is_overseer)
        return _assignment(context, connection, row, Kind.NOTIFICATION, row.holder)

    return _file(await context.read(build), f"tsin.008-{receivable_id.hex()[:16]}.xml")


def sold_to_see(connection: Connection, receivable_id: bytes, member: int, *, is_overseer: bool) -> Row[Any]:
    """A receivable that was sold, for its parties. Raises ProblemError."""
    row = store.receivable(connection, receivable_id)
    if row is None or not (is_overseer or member in (row.creditor, row.debtor, row.holder)):
        raise not_found("receivable")
    if not row.advance_fen or row.bought_back:
        raise refuse(409, "not_sold", "nobody but its seller holds this receivable: there is nothing to notify of")
    return row


def _assignment(context: Context, connection: Connection, row: Row[Any], kind: Kind, bank: int) -> bytes:
    account = context.config.market.collection_account.number
    sheet = assigning.Sheet(context.chain.chain_id, account, today_of(context))
    return _built(lambda: assignment.build(assigning.assignment_of(connection, row, kind, bank, sheet)))


def _built(build: Any) -> bytes:
    try:
        made: bytes = build()
    except MessageError as error:
        raise message_problem(error) from error
    return made


def message_problem(error: MessageError) -> ProblemError:
    """A message that is not taken, or can not be made, as it is answered."""
    return refuse(_STATUS.get(error.code, 422), error.code, str(error)[:300])


def _file(data: bytes, name: str, **headers: str) -> web.Response:
    disposition = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return web.Response(body=data, content_type=XML, charset="utf-8", headers={**disposition, **headers})


# ------------------------------------------------------------------------------------------------- payments


@operation(
    bytes,
    media=(XML,),
    who=("custodian",),
    scope="office",
    query={"day": Day},
    headers={LEFT_OUT: "Numbers of withdrawals that are not in the file: no bank account is known, or a part of a fen"},
    refuses=("404 not_found", "409 no_account", "422 bad_day bad_structure"),
)
async def payments(request: web.Request) -> web.Response:
    """pain.001.001.09: the withdrawals that their members have signed and that are to be paid, on ``?day=`` or today.

    Proceeds of sales are members' cash here, and leave as withdrawals. The same payments on a day have one message id.
    """
    context = request.app[CONTEXT]
    require(request, "custodian", scope="office")
    day = _day(wire.query(request, "day").get("day"), today_of(context))
    account = context.config.market.collection_account
    if not account.number:
        raise refuse(409, "no_account", "market.collection_account names no account to pay from")
    chain_id, now_s = context.chain.chain_id, context.clock.now_s()

    def gather(connection: Connection) -> tuple[list[Payment], list[int]]:
        return _payments(connection, chain_id, now_s)

    found, left_out = await context.read(gather)
    if not found:
        raise not_found("payment")
    name = keccak("\n".join(f"{each.reference} {each.amount_fen} {each.payee}" for each in found).encode()).hex()
    made = datetime.fromtimestamp(now_s, UTC).replace(tzinfo=None)
    order = PaymentOrder(f"JINSHA-{name[:16]}-{day:%Y%m%d}", made, day, _payer(account), tuple(found))
    return _file(
        _built(lambda: pain_001.build(order)),
        f"pain.001-{day}.xml",
        **({LEFT_OUT: ",".join(map(str, left_out))} if left_out else {}),
    )


def _payer(account: CollectionAccount) -> Account:
    return Account(account.name, account.number, account.bank_code, account.bank_name)


def _payments(connection: Connection, chain_id: int, now_s: int) -> tuple[list[Payment], list[int]]:
    found, left_out = [], []
    for each in withdrawal_store.some(connection, member_id=None, state="signed", after=0, limit=AT_ONCE):
        payee = registry_store.particulars_of(connection, each.member_id)
        amount_micro = each.payable_micro or 0
        if (each.payout_deadline_s or 0) <= now_s:
            continue
        if payee is None or not payee.account or amount_micro % MICRO_PER_FEN:
            left_out.append(each.withdrawal)
            continue
        account = Account(plain(payee.legal_name, 140), payee.account, payee.bank_code, plain(payee.bank_name, 140))
        reference = reference_of(chain_id, each.withdrawal)
        found.append(Payment(reference, amount_micro // MICRO_PER_FEN, account, f"提现 withdrawal {each.withdrawal}"))
    return found, left_out


def _day(given: str | None, today: date) -> date:
    try:
        return today if given is None else date.fromisoformat(given)
    except ValueError as error:
        raise refuse(422, "bad_day", "expected a day such as 2026-07-01", "day") from error


# ------------------------------------------------------------------------------------------------- credits


@operation(
    EntriesAnswer,
    who=("custodian",),
    scope="office",
    body=Camt054,
    body_media=XML,
    refuses=_REFUSED,
)
async def take_credits(request: web.Request) -> web.Response:
    """camt.054.001.08: money that came in is matched with deposits and receivables, each entry once."""
    context = request.app[CONTEXT]
    require(request, "custodian", scope="office")
    if request.content_type not in (XML, "text/xml", "application/octet-stream"):
        raise refuse(415, "unsupported_media_type", f"send {XML}")
    payload = await wire.payload_of(request)
    try:
        news = await context.in_thread(camt_054.read, payload)
    except MessageError as error:
        raise message_problem(error) from error
    now_s = context.clock.now_s()

    def write(connection: Connection) -> EntriesAnswer:
        taken = _taken_before(connection, news.entries)
        matches = _matches(context, connection, [_plain_entry(each) for each in news.entries])
        shown, fresh = [], []
        for entry, match in zip(news.entries, matches, strict=True):
            key = (entry.account, entry.reference)
            state = "taken_before" if key in taken else match.state if entry.is_money else "not_money"
            shown.append(_shown(_plain_entry(entry), match, state))
            if entry.is_money and key not in taken:
                taken.add(key)
                fresh.append((entry, match.receivable_id))
        entry_store.add(connection, news.message, fresh, now_s)
        return EntriesAnswer(news.message, shown)

    return await context.write_and_answer(write, wire.reply)


def _taken_before(connection: Connection, entries: Sequence[Entry]) -> set[tuple[str, str]]:
    accounts = {entry.account for entry in entries}
    return {
        (account, reference)
        for account in accounts
        for reference in entry_store.known(connection, account, [e.reference for e in entries if e.account == account])
    }


class _Plain(msgspec.Struct, frozen=True):
    """A credit, out of a message or out of the database."""

    account: str
    reference: str
    amount_fen: int
    booked: str
    payer: str
    quoted: tuple[str, ...]


def _plain_entry(entry: Entry) -> _Plain:
    booked = "" if entry.booked_day is None else entry.booked_day.isoformat()
    return _Plain(entry.account, entry.reference, entry.amount_fen, booked, entry.payer, entry.quoted)


def _plain_row(row: Row[Any]) -> _Plain:
    quoted = msgspec.json.decode(row.quoted, type=tuple[str, ...])
    return _Plain(row.account, row.reference, row.amount_fen, row.booked_day, row.payer, quoted)


def _matches(context: Context, connection: Connection, entries: Sequence[_Plain]) -> list[Match]:
    """What credits are for, as the market knows it now. Those on another account are for nothing here."""
    chain_id, own = context.chain.chain_id, context.config.market.collection_account.number
    quoted = [reconciliation.quoted_of(each.quoted, chain_id) for each in entries]
    deposits = entry_store.deposited(connection, [each.reference for each in entries])
    debts = entry_store.debts(connection, [each.number for each in quoted if each is not None and each.is_receivable])
    members = {member.member_id for member in context.directory.members.values() if member.is_admitted}
    return [
        Match("unmatched", "other_account")
        if own and each.account != own
        else reconciliation.match(each.amount_fen, names, deposits.get(each.reference), debts, members)
        for each, names in zip(entries, quoted, strict=True)
    ]


def _shown(entry: _Plain, match: Match, state: str) -> EntryShown:
    is_due = state == "expected" and match.member is not None
    amount = fen_text(entry.amount_fen)
    return EntryShown(
        account=entry.account,
        reference=entry.reference,
        amount=amount,
        booked=entry.booked or None,
        payer=entry.payer,
        quoted=list(entry.quoted),
        state=state,
        reason=match.reason if state == "unmatched" else "",
        receivable=None if match.receivable_id is None else match.receivable_id.hex(),
        deposit=DepositMeant(match.member or 0, amount, entry.reference) if is_due else None,
    )


@operation(wire.Page[EntryShown], who=("custodian", "operator", "regulator"), scope="read", query={**PAGE})
async def entries(request: web.Request) -> web.Response:
    """The credits that were consumed, the oldest first, each with what it is for by now."""
    context = request.app[CONTEXT]
    require(request, "custodian", "operator", "regulator", scope="read")
    parameters = wire.query(request, "limit", "cursor")
    limit, after = wire.page_limit(parameters), wire.cursor(parameters)

    def look(connection: Connection) -> tuple[list[EntryShown], int | None]:
        rows = entry_store.some(connection, after=after, limit=limit)
        found = [_plain_row(row) for row in rows]
        matches = _matches(context, connection, found)
        shown = [_shown(each, match, match.state) for each, match in zip(found, matches, strict=True)]
        return shown, rows[-1].entry if len(rows) == limit else None

    return wire.reply(wire.page(*await context.read(look)))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/receivables/{receivable}/financing_request", financing_request),
        web.get("/v1/receivables/{receivable}/assignment_notification", assignment_notification),
        web.get("/v1/custody/payments", payments),
        web.post("/v1/custody/credits", take_credits),
        web.get("/v1/custody/entries", entries),
    ]
