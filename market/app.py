"""The HTTP application over a context: routes, middlewares, limits."""

from types import ModuleType

from aiohttp import web

from market import idempotency, streams
from market.context import CONTEXT, Context
from market.holding import hold_strangers
from market.idempotency import answer_once
from market.identity import DIRECTORY
from market.overload import shed
from market.problems import answer_problems
from market.requests import follow, name
from market.routes import (
    account,
    admission,
    api_keys,
    areas,
    auctions,
    bank_files,
    candles,
    consents,
    controls,
    credit,
    criteria,
    custody,
    cycles,
    deposits,
    disputes,
    documentation,
    events,
    exports,
    factors,
    fapiao,
    grid,
    halts,
    journal,
    keys,
    market,
    members,
    meters,
    metrics,
    notices,
    offers,
    orders,
    particulars,
    personal_offers,
    portfolio,
    programs,
    reading_disputes,
    readings,
    receivable_fates,
    receivable_parts,
    receivables,
    recoveries,
    registry,
    residuals,
    sessions,
    statements,
    status,
    stream,
    trades,
    webhooks,
    withdrawals,
    witnesses,
)

ROUTES: tuple[ModuleType, ...] = (
    market,
    candles,
    stream,
    members,
    admission,
    keys,
    recoveries,
    sessions,
    controls,
    api_keys,
    factors,
    grid,
    orders,
    trades,
    account,
    credit,
    statements,
    residuals,
    deposits,
    custody,
    withdrawals,
    reading_disputes,
    readings,
    meters,
    areas,
    journal,
    cycles,
    disputes,
    witnesses,
    receivable_fates,
    receivable_parts,
    receivables,
    particulars,
    registry,
    personal_offers,
    fapiao,
    notices,
    bank_files,
    offers,
    consents,
    criteria,
    portfolio,
    events,
    webhooks,
    auctions,
    programs,
    exports,
    halts,
    status,
    metrics,
    documentation,
)


_LARGEST = 10**9
"""aiohttp's limit of a body, which is the same for all routes; ours is by route, see ``wire.payload_of``."""


def build(context: Context) -> web.Application:
    """The application; it starts and stops nothing by itself."""
    middlewares = [follow, answer_problems, shed, hold_strangers, answer_once]
    app = web.Application(middlewares=middlewares, client_max_size=_LARGEST)
    app[CONTEXT] = context
    app.on_response_prepare.append(name)
    app[DIRECTORY] = context.directory
    idempotency.install(app)
    app.cleanup_ctx.append(api_keys.writing_used)
    app.cleanup_ctx.append(webhooks.delivering)
    streams.install(app, context)
    for module in ROUTES:
        app.add_routes(module.routes())
    documentation.install(app)
    return app
