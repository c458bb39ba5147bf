"""The notice of assignment of a sold receivable, for its debtor, its seller and its holder."""

from datetime import date, datetime
from typing import Any

from aiohttp import web
from sqlalchemy import Connection, Row

from finance import outside, registry_store
from finance.references import receivable_reference
from market import notices, wire
from market.context import CONTEXT, Context
from market.identity import require
from market.notices import Notice, Party
from market.openapi.fields import Hash
from market.openapi.operation import MEMBER, operation
from market.problems import refuse
from market.receivable_views import receivable_id_of, viewer_of
from market.routes.bank_files import sold_to_see
from market.statement_words import Language

HTML = "text/html"


@operation(
    bytes,
    media=(HTML,),
    who=MEMBER,
    scope="read",
    path={"receivable": Hash},
    query={"language": Language},
    refuses=("400 bad_value", "404 not_found", "409 not_sold"),
)
async def show(request: web.Request) -> web.Response:
    """Who owns the debt now, what it is, where to pay; that paying elsewhere does not discharge. One page to print."""
    viewer, context = viewer_of(require(request, scope="read")), request.app[CONTEXT]
    receivable_id = receivable_id_of(request)
    given = wire.query(request, "language").get("language", Language.CHINESE)
    if given not in tuple(Language):
        raise refuse(400, "bad_value", f"the languages are: {', '.join(Language)}", "language")

    def gather(connection: Connection) -> Notice:
        row = sold_to_see(connection, receivable_id, viewer.member, is_overseer=viewer.is_overseer)
        return _notice(context, connection, row)

    page = notices.page_of(await context.read(gather), Language(given))
    return web.Response(
        body=page.html,
        content_type=HTML,
        charset="utf-8",
        headers={"Content-Security-Policy": page.policy, "Cache-Control": "private, no-store"},
    )


def _notice(context: Context, connection: Connection, row: Row[Any]) -> Notice:
    first_day, last_day = registry_store.period_days(connection, row.period)
    invoice = registry_store.fapiao_of(connection, row.receivable_id)
    own = [
        each.number
        for each in registry_store.registrations_of(connection, row.receivable_id)
        if each.party == row.holder
    ]
    return Notice(
        number=row.number,
        receivable=row.receivable_id.hex(),
        seller=_party(connection, row.creditor),
        holder=_party(connection, row.holder),
        debtor=_party(connection, row.debtor),
        first_day=first_day,
        last_day=last_day,
        issued=date.fromisoformat(row.issue_day),
        due=date.fromisoformat(row.due_day),
        face_fen=row.face_fen,
        open_fen=row.face_fen - row.paid_fen,
        invoice="" if invoice is None or invoice.state == "refused" else invoice.number,
        registration=own[-1] if own else "",
        account=context.config.market.collection_account,
        reference=receivable_reference(context.chain.chain_id, row.number),
        made=datetime.fromtimestamp(context.clock.now_s(), context.config.zone),
    )


def _party(connection: Connection, member: int) -> Party:
    known = outside.shown_party_of(connection, member)
    return Party(member, known.name, known.code)


def routes() -> list[web.RouteDef]:
    return [web.get("/v1/receivables/{receivable}/notice", show)]
