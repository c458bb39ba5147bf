"""Meter readings: thousands at once from the meter operator, each judged; and what was read, day by day."""

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from market import wire
from market.context import CONTEXT, Context
from market.identity import require
from market.openapi.fields import Day, EnergyGiven, Instant, Number, Signature
from market.openapi.operation import operation
from market.problems import not_found, refuse
from settlement import hexjson, publish_readings_store, readings, signatures
from settlement.meters import Code, Status, Submitted, Verdict
from settlement.published import PublishedReadings, SignedReadings
from settlement.reading_leaf import root_digest

AT_ONCE = 50_000


class ReadingBody(wire.Body, frozen=True):
    """Energy that a meter exported and imported in one slot, kWh."""

    meter: wire.Name
    slot: Instant
    export: EnergyGiven
    import_: EnergyGiven = msgspec.field(name="import")


class ReadingsBody(wire.Body, frozen=True):
    readings: Annotated[list[ReadingBody], msgspec.Meta(min_length=1, max_length=AT_ONCE)]
    signature: Signature


class ReadingResult(msgspec.Struct, frozen=True):
    """What became of a reading; `code` says why when it is quarantined."""

    status: Status
    code: Code | UnsetType = UNSET


class ReadingsAnswer(msgspec.Struct, frozen=True):
    """One result for each reading, in their order."""

    results: list[ReadingResult]


@operation(
    ReadingsAnswer,
    who=("meter_operator",),
    scope="office",
    body=ReadingsBody,
    refuses=("422 bad_quantity bad_time bad_signature",),
)
async def submit(request: web.Request) -> web.Response:
    """Take readings under the meter operator's signature; the answer says what became of each, in order."""
    signer = require(request, "meter_operator", scope="office")
    context = request.app[CONTEXT]
    body = await wire.read(request, ReadingsBody)
    submitted = [_submitted(each, f"readings[{index}].") for index, each in enumerate(body.readings)]
    batch = await context.in_thread(
        partial(readings.batch_of, submitted, signer=signer.member_id, signature=wire.signature(body.signature))
    )
    digest = root_digest(context.chain.domain("Clearing"), signer.member_id, batch.root, len(batch.leaves))
    if not signatures.is_signed(signer.key, digest, batch.signature):
        raise refuse(422, "bad_signature", "this is not the signature of these readings by their sender", "signature")
    return await _record(
        context, batch, lambda verdicts: wire.reply(ReadingsAnswer([_result(verdict) for verdict in verdicts]))
    )


async def _record(
    context: Context, batch: readings.Batch, reply: Callable[[list[Verdict]], web.Response]
) -> web.Response:
    """Judge on a snapshot, then write; orders wait only while rows are written."""
    now_s, rules = context.clock.now_s(), context.config.settlement_rules
    judged = await context.read(lambda snapshot: readings.judge_batch(snapshot, batch, now_s=now_s, rules=rules))
    return await context.write_and_answer(
        lambda connection: readings.write(connection, batch, judged, now_s=now_s, rules=rules), reply
    )


def _submitted(body: ReadingBody, at: str) -> Submitted:
    return Submitted(
        body.meter,
        wire.instant_s(body.slot, f"{at}slot"),
        wire.energy_lots(body.export, f"{at}export"),
        wire.energy_lots(body.import_, f"{at}import"),
    )


def _result(verdict: Verdict) -> ReadingResult:
    return ReadingResult(verdict.status, UNSET if verdict.code is None else verdict.code)


@operation(
    PublishedReadings,
    who=("checker", "meter_operator", "operator", "regulator"),
    scope="read",
    query={"day": Day},
    needed=("day",),
    refuses=("400 missing_parameter", "422 bad_time"),
)
async def show(request: web.Request) -> web.Response:
    """All readings of a local day with their signatures, for who checks; see ``settlement/published.py``."""
    require(request, "checker", "meter_operator", "operator", "regulator", scope="read")
    context = request.app[CONTEXT]
    day = local_day(wire.query(request, "day").get("day"))
    zone = context.config.market.time_zone
    found = await context.read(lambda connection: publish_readings_store.readings_of_day(connection, day, zone))
    return await wire.reply_bytes(context.in_thread(hexjson.dumps, found))


@operation(
    SignedReadings,
    who=("checker", "meter_operator", "operator", "regulator"),
    scope="read",
    path={"number": Number},
    refuses=("404 not_found",),
)
async def show_signature(request: web.Request) -> web.Response:
    """One signature over readings, with all leaves that it covers; see ``settlement/published.py``."""
    require(request, "checker", "meter_operator", "operator", "regulator", scope="read")
    context, text = request.app[CONTEXT], request.match_info["number"]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise not_found("signature")
    found = await context.read(lambda connection: publish_readings_store.signed_readings(connection, int(text)))
    if found is None:
        raise not_found("signature")
    return await wire.reply_bytes(context.in_thread(hexjson.dumps, found))


def local_day(text: str | None) -> date:
    """A day such as 2026-07-01 in a query. Raises ProblemError."""
    if text is None:
        raise refuse(400, "missing_parameter", "choose a local day: ?day=2026-07-01", "day")
    wire.instant_s(f"{text}T00:00:00Z", "day")
    return date.fromisoformat(text)


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/readings", submit),
        web.get("/v1/readings", show),
        web.get("/v1/readings/signatures/{number}", show_signature),
    ]
