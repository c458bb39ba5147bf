"""Witnesses: the chain's headers for whoever keeps an eye on it, and what outside parties said of its head."""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection, RowMapping

from market import wire
from market.context import CONTEXT, Context
from market.openapi.fields import Limit, Number
from market.openapi.operation import ANYONE, operation
from market.problems import ProblemError, not_found, refuse, unavailable
from settlement import hexjson, witness_store, witnesses
from settlement.chain import Chain, ChainError
from settlement.event_proof import EventNotProvableError
from settlement.hexjson import Hex
from settlement.jwk import Jwk, to_jwk
from settlement.witness import AT_ONCE, PublishedHeaders
from settlement.witnesses import Statement

Name = Annotated[str, msgspec.Meta(max_length=40)]


class StatementBody(wire.Body, frozen=True):
    """A statement as `jinsha witness` signs it, EIP-712 `WitnessedHead` in the domain of Clearing."""

    witness: Name
    number: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    block: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    block_hash: str
    block_s: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    witnessed_s: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    previous: str
    signature: str


class WitnessShown(msgspec.Struct, frozen=True):
    """A witness: its key, how many statements it made, and the newest."""

    witness: str
    public_key: Jwk
    statements: int
    newest: Statement | None


class WitnessesAnswer(msgspec.Struct, frozen=True):
    """The witnesses of this market."""

    witnesses: list[WitnessShown]


class StatementsAnswer(msgspec.Struct, frozen=True):
    """Statements of one witness, in order; ask for more after the last number."""

    statements: list[Statement]


@operation(PublishedHeaders, who=ANYONE, query={"from": Number, "limit": Limit}, refuses=("503 chain_unavailable",))
async def headers(request: web.Request) -> web.Response:
    """The chain's headers from block `from` on: bytes whose keccak is the block's hash; each names the one before."""
    context = request.app[CONTEXT]
    parameters = wire.query(request, "from", "limit")
    first, limit = wire.whole_number(parameters.get("from", "0"), "from"), wire.page_limit(parameters)
    return await wire.reply_bytes(context.in_thread(_headers, context.chain, first, min(limit, AT_ONCE)))


def _headers(chain: Chain, first: int, limit: int) -> bytes:
    try:
        found = chain.headers(first, first + limit - 1)
        head = chain.head().number
    except (ChainError, EventNotProvableError) as error:
        raise unavailable("chain_unavailable", "the chain does not show its blocks now; ask again") from error
    return hexjson.dumps(PublishedHeaders(tuple(Hex(each.encoded) for each in found), head))


@operation(WitnessesAnswer, who=ANYONE)
async def show(request: web.Request) -> web.Response:
    """Who countersigns the chain's head, and the newest that each said."""
    context = request.app[CONTEXT]
    keys = context.config.witness_keys
    newest = await context.read(lambda connection: {name: witness_store.newest(connection, name) for name in keys})
    return _reply(WitnessesAnswer([_shown(name, to_jwk(key), newest[name]) for name, key in keys.items()]))


def _shown(name: str, key: Jwk, newest: RowMapping | None) -> WitnessShown:
    if newest is None:
        return WitnessShown(name, key, 0, None)
    return WitnessShown(name, key, newest["number"], witnesses.of_row(newest))


@operation(
    StatementsAnswer,
    who=ANYONE,
    query={"witness": Name, "after": Number, "limit": Limit},
    refuses=("404 not_found",),
)
async def statements(request: web.Request) -> web.Response:
    """What a witness said, in order, after a number."""
    context = request.app[CONTEXT]
    parameters = wire.query(request, "witness", "after", "limit")
    name, limit = parameters.get("witness", ""), wire.page_limit(parameters)
    if name not in context.config.witness_keys:
        raise not_found("such a witness")
    after = wire.whole_number(parameters.get("after", "0"), "after")
    rows = await context.read(lambda connection: witness_store.statements_after(connection, name, after, limit))
    return _reply(StatementsAnswer([witnesses.of_row(row) for row in rows]))


@operation(
    Statement,
    status=201,
    who=ANYONE,
    body=StatementBody,
    refuses=("404 unknown_witness", "409 out_of_order", "422 bad_hex bad_signature"),
)
async def say(request: web.Request) -> web.Response:
    """Publish a witness's next statement. The same again changes nothing; who sends it means nothing."""
    context = request.app[CONTEXT]
    body = await wire.read(request, StatementBody)
    said = Statement(
        witness=body.witness,
        number=body.number,
        block=body.block,
        block_hash=Hex(wire.hex_bytes(body.block_hash, 32, "block_hash")),
        block_s=body.block_s,
        witnessed_s=body.witnessed_s,
        previous=Hex(wire.hex_bytes(body.previous, 32, "previous")),
        signature=Hex(wire.hex_bytes(body.signature, 64, "signature", "bad_signature")),
    )
    await context.write(lambda connection: _keep(context, connection, said))
    return _reply(said, 201)


def _keep(context: Context, connection: Connection, said: Statement) -> None:
    key = context.config.witness_keys.get(said.witness)
    if key is None:
        raise refuse(404, "unknown_witness", "market.toml names no such witness", "witness")
    row = witness_store.newest(connection, said.witness)
    last = None if row is None else witnesses.of_row(row)
    if last == said:
        return
    wrong = witnesses.problem(said, last, key, context.chain.domain("Clearing"))
    if wrong == "signature":
        raise refuse(422, "bad_signature", "this is not the witness's signature over this statement", "signature")
    if wrong is not None:
        raise _out_of_order(wrong, last)
    witness_store.add(connection, {**msgspec.structs.asdict(said), "received_s": context.clock.now_s()})


def _out_of_order(field: str, last: Statement | None) -> ProblemError:
    number = 0 if last is None else last.number
    return refuse(409, "out_of_order", f"the newest statement of this witness is number {number}", field)


def _reply(value: object, status: int = 200) -> web.Response:
    return web.Response(body=hexjson.dumps(value), status=status, content_type="application/json")


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/chain/headers", headers),
        web.get("/v1/witnesses", show),
        web.get("/v1/witnesses/statements", statements),
        web.post("/v1/witnesses/statements", say),
    ]
