"""The journal, link by link: whoever has it computes every trade again."""

from aiohttp import web

from market import wire
from market.context import CONTEXT
from market.identity import require
from market.openapi.fields import Limit, Number
from market.openapi.operation import operation
from settlement import hexjson, publish_store
from settlement.published import PublishedJournal


@operation(
    PublishedJournal,
    who=("checker", "operator", "regulator"),
    scope="read",
    query={"after": Number, "limit": Limit},
)
async def show(request: web.Request) -> web.Response:
    """The links after batch ``?after=``; see ``settlement/published.py``."""
    require(request, "checker", "operator", "regulator", scope="read")
    context = request.app[CONTEXT]
    parameters = wire.query(request, "after", "limit")
    after = wire.whole_number(parameters.get("after", "0"), "after")
    limit = wire.page_limit(parameters)
    found = await context.read(lambda connection: publish_store.journal_after(connection, after, limit))
    return await wire.reply_bytes(context.in_thread(hexjson.dumps, found))


def routes() -> list[web.RouteDef]:
    return [web.get("/v1/journal", show)]
