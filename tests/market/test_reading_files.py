"""Readings by the file: each kind of broken row told by number and column, the others sent, once, and after a kill."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from sqlalchemy import func, select

from data import tables
from data.database import reading
from data.units import format_energy, format_instant, parse_instant_s
from market import reading_rows
from market.reading_rows import Broken, Rows, read_csv, write_csv
from settlement import signatures
from settlement.meters import Submitted
from settlement.reading_leaf import reading_leaves, signing_digest
from tests.market.world import KEYS, World, neighbours, open_market

on_both_databases = pytest.mark.usefixtures("database_url")
SLOT_S = parse_instant_s("2026-07-01T00:00:00Z")
NOON = "2026-07-01T12:00:00Z"
DAY = [(meter, SLOT_S + 900 * slot, 10 * slot, slot) for slot in range(40) for meter in ("A1", "A2", "B1")]


def csv_of(rows: Iterable[tuple[str, int, int, int]]) -> list[str]:
    return [
        f"{meter},{format_instant(slot_s)},{format_energy(export)},{format_energy(imported)}"
        for meter, slot_s, export, imported in rows
    ]


def write(path: Path, rows: Iterable[str], header: str = "meter,slot,export,import") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


async def jinsha(*arguments: object) -> tuple[int, str]:
    """Exit code and what was printed."""
    process = await start(*arguments)
    told, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, told.decode()


async def start(*arguments: object) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "market.main", "readings", *map(str, arguments))
    return await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "200"},
    )


def key_file(folder: Path) -> Path:
    path = folder / "meter_operator.pem"
    path.write_bytes(signatures.private_to_pem(KEYS["meter_operator"]))
    return path


def kept(world: World) -> tuple[int, int]:
    """How many readings and how many signatures there are."""
    with reading(world.context.database) as connection:
        counts = [
            connection.scalar(select(func.count()).select_from(table)) or 0
            for table in (tables.readings, tables.reading_signatures)
        ]
        return counts[0], counts[1]


# ------------------------------------------------------------------------------------------------ rows


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (("", "2026-07-01T10:00:00Z", "1.00", "0.00"), "meter"),
        (("A" * 101, "2026-07-01T10:00:00Z", "1.00", "0.00"), "meter"),
        ((b"\xff", b"2026-07-01T10:00:00Z", b"1.00", b"0.00"), "meter"),
        ((None, "2026-07-01T10:00:00Z", "1.00", "0.00"), "meter"),
        (("A1", "2026-07-01T10:00:00+08:00", "1.00", "0.00"), "slot"),
        (("A1", "1969-07-01T10:00:00Z", "1.00", "0.00"), "slot"),
        (("A1", "2026-02-30T10:00:00Z", "1.00", "0.00"), "slot"),
        (("A1", "2026-07-01T10:00:00Z", "1.234", "0.00"), "export"),
        (("A1", "2026-07-01T10:00:00Z", "1e3", "0.00"), "export"),
        (("A1", "2026-07-01T10:00:00Z", 1.25, "0.00"), "export"),
        (("A1", "2026-07-01T10:00:00Z", "9" * 30, "0.00"), "export"),
        (("A1", "2026-07-01T10:00:00Z", "1.00", "NaN"), "import"),
        (("A1", "2026-07-01T10:00:00Z", "1.00", None), "import"),
        (("A1", "2026-07-01T10:00:00Z", "1.00"), "-"),
    ],
)
def test_a_broken_row_says_in_which_column(row: tuple[Any, ...], column: str) -> None:
    good = ("A1", "2026-07-01T10:00:00Z", "1.25", "-0.50")
    first, broken, last = Rows().read([good, row, good])
    assert first == last == Submitted("A1", parse_instant_s("2026-07-01T10:00:00Z"), 125, -50)
    assert isinstance(broken, Broken) and broken.column == column


def test_what_is_written_as_csv_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_rows, "_REMEMBERED", 3)
    given = [Submitted(f'{meter}, "quoted" 电', slot_s, export, imported) for meter, slot_s, export, imported in DAY]
    assert read_csv(write_csv(given)) == given


# ------------------------------------------------------------------------------------------------ files


async def test_every_kind_of_broken_row_is_told_and_the_others_are_sent(tmp_path: Path) -> None:
    rows = csv_of(DAY)
    rows[3] = "A1,2026-07-01T00:15:00Z,0.10"
    rows[5] = "A1,yesterday,0.10,0.00"
    rows[7] = "A1,2026-07-01T00:15:00Z,0.101,0.00"
    rows[9] = "A1,2026-07-01T00:45:00Z,0.30,-1.00"
    rows[11] = "nobody,2026-07-01T00:45:00Z,0.30,0.00"
    rows[13] = "A1,2026-07-01T23:45:00Z,0.30,0.00"
    rows[15] = "A1,2026-07-01T01:00:00Z,9000.30,0.00"
    file, rejected = write(tmp_path / "day.csv", rows), tmp_path / "rejected.csv"
    async with open_market(tmp_path, now=NOON) as world:
        await neighbours(world)
        sending = ("send", file, "--server", world.server, "--key", key_file(tmp_path), "--at-once", 50)
        code, told = await jinsha(*sending, "--rejected", rejected)
        assert code == 1
        for line in (
            "row 4, -: has 3 columns, not 4",
            "row 6, slot: 'yesterday' is not a UTC instant",
            "row 8, export: '0.101' is off the step of 0.01",
            "row 10, -: quarantined: negative",
            "row 12, -: quarantined: unknown_meter",
            "row 14, -: quarantined: slot_not_over",
            "row 16, -: quarantined: above_capacity",
            "113 accepted; 7 left out",
        ):
            assert line in told
        assert kept(world) == (113, 3)
        assert len(rejected.read_text().splitlines()) == 8
        assert (await jinsha(*sending))[1].endswith("113 duplicate; 7 left out\n")
        assert kept(world)[0] == 113
        code, told = await jinsha("check", file)
        assert (code, "117 rows are readings; 3 left out" in told) == (1, True)


async def test_parquet_with_timestamps_and_decimals(tmp_path: Path) -> None:
    columns = {
        "import": pa.array([Decimal(row[3]).scaleb(-2) for row in DAY], pa.decimal128(12, 2)),
        "meter": pa.array([row[0] for row in DAY]).dictionary_encode(),
        "slot": pa.array([row[1] for row in DAY], pa.timestamp("s", tz="UTC")),
        "export": pa.array([format_energy(row[2]) for row in DAY]),
        "quality": pa.array([0] * len(DAY)),
    }
    file = tmp_path / "day.parquet"
    pa_parquet.write_table(pa.table(columns), file)
    async with open_market(tmp_path, now=NOON) as world:
        await neighbours(world)
        code, told = await jinsha("send", file, "--server", world.server, "--key", key_file(tmp_path))
        assert (code, told.splitlines()[-1]) == (0, f"{file}: 120 accepted; 0 left out")
        assert kept(world)[0] == 120


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"meter,slot,export\n", "the columns are meter, slot, export, import"),
        ("a.csv", b"", "the columns are"),
        ("a.parquet", b"PAR1 not really", "Parquet"),
        ("b.csv", None, "is not there"),
    ],
)
async def test_a_file_that_is_no_readings_is_refused_as_a_whole(
    tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, told = await jinsha("check", tmp_path / name)
    assert (code, why in told) == (2, True), told


async def test_what_was_interrupted_goes_on_where_it_was_acknowledged(tmp_path: Path) -> None:
    file = write(tmp_path / "day.csv", csv_of(DAY))
    async with open_market(tmp_path, now=NOON) as world:
        await neighbours(world)
        sending = ("send", file, "--server", world.server, "--key", key_file(tmp_path), "--at-once", 1)
        process = await start(*sending)
        for _ in range(600):
            if await asyncio.to_thread(kept, world) >= (10, 0):
                break
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        before = kept(world)[0]
        assert 10 <= before < 120
        code, told = await jinsha(*sending)
        assert code == 0 and "going on after row" in told
        assert kept(world) == (120, 120), "nothing twice, and no signature without a reading of its own"
        assert not file.with_name("day.csv.sent").exists()


async def test_a_server_that_is_away_is_waited_for_and_then_told(tmp_path: Path) -> None:
    file = write(tmp_path / "day.csv", csv_of(DAY))
    code, told = await jinsha(
        "send", file, "--server", "http://127.0.0.1:9", "--key", key_file(tmp_path), "--patience", 0.2
    )
    assert (code, "goes on after row 0" in told) == (1, True), told


# ------------------------------------------------------------------------------------------------- HTTP


def signed(world: World, rows: list[Submitted]) -> str:
    digest = signing_digest(world.chain.domain("Clearing"), 3, reading_leaves(rows))
    return signatures.sign(KEYS["meter_operator"], digest).hex()


@on_both_databases
async def test_csv_over_http_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    rows = [Submitted(*each) for each in DAY[:9]]
    async with open_market(tmp_path, now=NOON) as world:
        await neighbours(world)
        meter_operator = await world.institution("meter_operator")

        async def post(payload: bytes, **headers: str) -> Any:
            sent = {"Content-Type": "text/csv", **{name.replace("_", "-"): text for name, text in headers.items()}}
            return await world.call("POST", "/v1/readings/csv", raw=payload, token=meter_operator.token, headers=sent)

        good = {"Readings_Signature": signed(world, rows)}
        answer = await post(write_csv(rows), **good)
        assert (answer.status, answer.body["accepted"], answer.body["left_out"]) == (200, 9, [])
        assert (await post(write_csv(rows), **good)).body["duplicate"] == 9
        assert (await post(write_csv(rows))).code == "missing_header"
        assert (await post(write_csv(rows[:8]), **good)).code == "bad_signature"
        assert (await post(b"meter,slot\n", **good)).code == "malformed_csv"
        assert (await post(b"\xff\xfe", **good)).code == "malformed_csv"
        broken = await post(write_csv(rows).replace(b"0.10", b"0.101", 1), **good)
        assert (broken.code, broken.body["field"]) == ("bad_row", "rows[4].export")
        ann = world.people["ann"]
        refused = await world.call("POST", "/v1/readings/csv", raw=b"", token=ann.token)
        assert refused.status == 403
        assert kept(world)[0] == 9


# ----------------------------------------------------------------------------------------------- memory


def largest_mib(file: Path) -> float:
    """What a process that checks a file held at most."""
    command = [sys.executable, "-m", "market.main", "readings", "check", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def day(meters: int) -> Path:
        numbers = ((meter, slot) for meter in range(meters) for slot in range(96))
        rows = csv_of((f"M{meter:06d}", SLOT_S + 900 * slot, meter % 400, slot) for meter, slot in numbers)
        return write(tmp_path / f"{meters}.csv", rows)

    small, large = day(500), day(2_500)
    assert large.stat().st_size > 8 * 2**20, "240,000 rows"
    assert largest_mib(large) - largest_mib(small) < 25, "of a file that is five times as large"
