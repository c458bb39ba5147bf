"""Meter readings: thousands at once from the meter operator, each judged; and what was read, day by day."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from market import reading_rows, wire
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
SIGNATURE_HEADER = "Readings-Signature"


class ReadingBody(wire.Body, frozen=True):
    """Energy that a meter exported and imported in one slot, kWh."""

    meter: wire.Name
    slot: Instant
    export: EnergyGiven
    import_: EnergyGiven = msgspec.field(name="import")


class ReadingsBody(wire.Body, frozen=True):
    readings: Annotated[list[ReadingBody], msgspec.Meta(min_length=1, max_length=AT_ONCE)]
    signature: Signature


CsvText = Annotated[
    str,
    msgspec.Meta(
        description="A header that names the columns meter, slot, export and import, then a row for each reading",
        examples=["meter,slot,export,import\nA1,2026-07-01T10:00:00Z,1.25,0.00\n"],
    ),
]


class ReadingResult(msgspec.Struct, frozen=True):
    """What became of a reading; `code` says why when it is quarantined."""

    status: Status
    code: Code | UnsetType = UNSET


class LeftOut(msgspec.Struct, frozen=True):
    """A reading that was quarantined: its row, the first after the header is 1, and why."""

    row: int
    code: Code


class ReadingsSummary(msgspec.Struct, frozen=True):
    """How many readings came to what; `duplicate` are those that were known already. `left_out` names the others."""

    accepted: int
    corrected: int
    confirmed: int
    late: int
    duplicate: int
    quarantined: int
    left_out: list[LeftOut]


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
    return await record(
        context, batch, lambda verdicts: wire.reply(ReadingsAnswer([result_of(verdict) for verdict in verdicts]))
    )


@operation(
    ReadingsSummary,
    who=("meter_operator",),
    scope="office",
    body=CsvText,
    body_media="text/csv",
    needs_headers={SIGNATURE_HEADER: Signature},
    refuses=("400 malformed_csv missing_header", "422 bad_row bad_signature"),
)
async def submit_csv(request: web.Request) -> web.Response:
    """Take readings as CSV, with the meter operator's signature over all rows in a header; a summary answers.

    The signature is what it is for JSON: over the leaves of the readings in the order of the rows.
    """
    signer = require(request, "meter_operator", scope="office")
    context = request.app[CONTEXT]
    if request.content_type not in ("text/csv", "application/octet-stream"):
        raise refuse(415, "unsupported_media_type", "send text/csv")
    given = request.headers.get(SIGNATURE_HEADER)
    if given is None:
        raise refuse(400, "missing_header", "send the signature over all rows in this header", SIGNATURE_HEADER)
    signature = wire.signature(given, SIGNATURE_HEADER)
    payload = await wire.payload_of(request)
    batch = await context.in_thread(_batch_of_csv, payload, signer.member_id, signature)
    digest = root_digest(context.chain.domain("Clearing"), signer.member_id, batch.root, len(batch.leaves))
    if not signatures.is_signed(signer.key, digest, signature):
        raise refuse(422, "bad_signature", "this is not the signature of these rows by their sender", SIGNATURE_HEADER)
    return await record(context, batch, lambda verdicts: wire.reply(_summary(verdicts)))


def _batch_of_csv(payload: bytes, signer: int, signature: bytes) -> readings.Batch:
    """Raises ProblemError: a signature covers all rows or none, so that one broken row refuses them all."""
    try:
        rows = reading_rows.read_csv(payload)
    except reading_rows.CsvError as error:
        raise refuse(400, "malformed_csv", str(error)) from error
    if not 1 <= len(rows) <= AT_ONCE:
        raise refuse(400, "malformed_csv", f"send 1 to {AT_ONCE} rows; here are {len(rows)}")
    for number, row in enumerate(rows, start=1):
        if isinstance(row, reading_rows.Broken):
            raise refuse(422, "bad_row", row.why[:200], f"rows[{number}].{row.column}")
    taken = [row for row in rows if isinstance(row, Submitted)]
    return readings.batch_of(taken, signer=signer, signature=signature)


def _summary(verdicts: Sequence[Verdict]) -> ReadingsSummary:
    counts = Counter(verdict.status for verdict in verdicts)
    left_out = [LeftOut(row, each.code) for row, each in enumerate(verdicts, start=1) if each.code is not None]
    return ReadingsSummary(
        accepted=counts[Status.ACCEPTED],
        corrected=counts[Status.CORRECTED],
        confirmed=counts[Status.CONFIRMED],
        late=counts[Status.LATE],
        duplicate=counts[Status.DUPLICATE],
        quarantined=counts[Status.QUARANTINED],
        left_out=left_out,
    )


async def record(
    context: Context,
    batch: readings.Batch,
    reply: Callable[[list[Verdict]], web.Response],
    check: Callable[[Connection], None] = lambda _: None,
) -> web.Response:
    """Judge on a snapshot, then write; orders wait only while rows are written.

    ``check`` may refuse in the transaction that writes.
    """
    now_s, rules = context.clock.now_s(), context.config.settlement_rules
    judged = await context.read(lambda snapshot: readings.judge_batch(snapshot, batch, now_s=now_s, rules=rules))

    def write(connection: Connection) -> list[Verdict]:
        check(connection)
        return readings.write(connection, batch, judged, now_s=now_s, rules=rules)

    return await context.write_and_answer(write, reply)


def _submitted(body: ReadingBody, at: str) -> Submitted:
    return Submitted(
        body.meter,
        wire.instant_s(body.slot, f"{at}slot"),
        wire.energy_lots(body.export, f"{at}export"),
        wire.energy_lots(body.import_, f"{at}import"),
    )


def result_of(verdict: Verdict) -> ReadingResult:
    """A verdict as it is answered."""
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
        web.post("/v1/readings/csv", submit_csv),
        web.get("/v1/readings", show),
        web.get("/v1/readings/signatures/{number}", show_signature),
    ]
