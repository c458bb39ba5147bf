"""What members read about their days, and the grid company about its bills: the sums are those of the lines."""

import csv
import io
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet
import pytest
import pytest_asyncio
from sqlalchemy import insert

from data import tables
from data.units import format_instant, format_money
from market import monthly, statement_files
from market.monthly import Month
from market.statement_store import StatementLine
from market.statement_words import Language, Words, energy, money
from settlement import calendar
from settlement.cycle_store import LINE_COLUMNS
from tests.market.browser import needs_chromium, show
from tests.market.world import Person, World, neighbours, open_market

pytestmark = pytest.mark.asyncio(loop_scope="module")

ZONE = "Asia/Shanghai"
GRID = 5


def slot(day: int, hour: int) -> int:
    return calendar.start_of(date(2026, 7, 1), ZONE) + ((day - 1) * 24 + hour) * 3_600


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_market(tmp_path_factory.mktemp("market")) as world:
        ann, bob = await neighbours(world)
        world.people |= {"ann": ann, "bob": bob}
        await world.context.write(lambda connection: _settle(connection, ann.member, bob.member))
        yield world


def _settle(connection: Any, ann: int, bob: int) -> None:
    """Two cycles: Ann bought from Bob, Bob was not read in time; the second puts the first right."""
    nodes = {row.name: row.node_id for row in connection.execute(tables.nodes.select())}
    a1, b1 = nodes["A1"], nodes["A2"]
    for number, day in ((1, date(2026, 7, 1)), (2, date(2026, 7, 31)), (3, date(2026, 8, 1))):
        start_s, end_s = calendar.bounds(day, ZONE)
        blank = {name: bytes(32) for name in ("salt", "trades_root", "readings_root", "statements_root", "parts_hash")}
        row = {"cycle": number, "day": day.isoformat(), "start_s": start_s, "end_s": end_s, "state": "applied"}
        connection.execute(insert(tables.cycles), {**row, **blank, "parts": "[]", "operator_signature": bytes(64)})
    lines = [
        (1, slot(1, 10), ann, a1, "energy", bob, 1, 300, 4_000, -1_200_000, "cycle", None),
        (1, slot(1, 10), ann, a1, "wheeling", GRID, 1, 300, 200, -60_000, "cycle", None),
        (1, slot(1, 11), ann, a1, "energy", bob, 2, 100, 4_000, -400_000, "terms", None),
        (1, slot(1, 11), ann, a1, "wheeling", GRID, 2, 100, 200, -20_000, "bill", None),
        (1, slot(1, 10), ann, a1, "over_consumed", GRID, None, 7, 5_500, -38_500, "bill", None),
        (1, slot(1, 10), bob, b1, "shortfall", GRID, None, 300, 6_000, -1_800_000, "cycle", None),
        (2, slot(31, 9), ann, a1, "under_consumed", GRID, None, 5, 3_500, 17_500, "bill", None),
        (2, slot(1, 10), bob, b1, "shortfall", GRID, None, 300, 6_000, 1_800_000, "cycle", 1),
        (2, slot(1, 10), bob, b1, "surplus", GRID, None, 20, 3_500, 70_000, "bill", 1),
        (
            3,
            slot(32, 0),
            ann,
            a1,
            "over_consumed",
            GRID,
            None,
            1,
            5_500,
            -5_500,
            "bill",
            None,
        ),
    ]
    rows, places = [], Counter[int]()
    for cycle, slot_s, member, node, kind, other, *rest in lines:
        amount = rest[3]
        mirrored = [*rest[:3], -amount, *rest[4:]]
        for line in ((member, node, kind, other, *rest), (other, node, kind, member, *mirrored)):
            places[cycle] += 1
            rows.append(dict(zip(LINE_COLUMNS, (cycle, places[cycle], slot_s, *line), strict=True)))
    connection.execute(insert(tables.statement_lines), rows)
    estimate = {"cycle": 1, "slot_s": slot(1, 10), "node_id": b1, "held": False}
    connection.execute(insert(tables.estimates), estimate)


async def text_of(person: Person, path: str) -> tuple[str, Any]:
    headers = {"Authorization": f"Bearer {person.token}"}
    async with person.world.http.get(f"{person.world.server}{path}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return (await answer.read()).decode("utf-8"), answer.headers


async def test_lines_are_told_by_day_month_and_slot_with_what_they_adjust(world: World) -> None:
    bob = world.people["bob"]
    everything = (await bob.get("/v1/statements")).body["items"]
    own = [line for line in everything if line["kind"] in ("shortfall", "surplus")]
    facts = [(line["day"], line["kind"], line["amount"], line["adjusts"], line["estimated"]) for line in own]
    assert facts == [
        ("2026-07-01", "shortfall", "-1.800000", None, True),
        ("2026-07-31", "shortfall", "1.800000", 1, False),
        ("2026-07-31", "surplus", "0.070000", 1, False),
    ]
    assert (await bob.get("/v1/statements?month=2026-07")).body["items"] == everything
    assert (await bob.get("/v1/statements?month=2026-08")).body["items"] == []
    of_slot = (await bob.get(f"/v1/statements?slot={format_instant(slot(1, 10))}")).body["items"]
    assert {line["cycle"] for line in of_slot} == {1, 2}, "a slot that was put right has lines in two cycles"
    first = (await bob.get("/v1/statements?day=2026-07-01")).body["items"]
    assert {line["day"] for line in first} == {"2026-07-01"}
    assert (await bob.get("/v1/statements?day=2026-07-01&month=2026-08")).body["items"] == []


async def test_totals_are_the_sums_of_the_lines(world: World) -> None:
    for person in (world.people["ann"], world.people["bob"]):
        lines = (await person.get("/v1/statements")).body["items"]
        for path, of in (
            ("by=month", lambda line: line["day"][:7]),
            ("by=day&month=2026-07", lambda line: line["day"]),
            ("by=slot&day=2026-07-01", lambda line: line["slot"]),
        ):
            totals = (await person.get(f"/v1/statements/totals?{path}")).body["items"]
            expected: Counter[tuple[str, str, str]] = Counter()
            adjusted: Counter[tuple[str, str, str]] = Counter()
            for line in lines:
                if path == "by=month" or (line["day"] < "2026-08" if "month=" in path else line["day"] == "2026-07-01"):
                    key = (of(line), line["kind"], line["how"])
                    expected[key] += round(float(line["amount"]) * 10**6)
                    adjusted[key] += round(float(line["amount"]) * 10**6) if line["adjusts"] is not None else 0
            got = {
                (each["of"], each["kind"], each["how"]): (
                    round((float(each["received"]) - float(each["paid"])) * 10**6),
                    round(float(each["adjustments"]) * 10**6),
                )
                for each in totals
            }
            assert got == {key: (amount, adjusted[key]) for key, amount in expected.items()}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("totals", "missing_parameter"),
        ("totals?by=year", "bad_value"),
        ("totals?by=slot", "missing_parameter"),
        ("totals?by=day", "missing_parameter"),
        ("totals?by=day&month=2026-13", "bad_time"),
        ("monthly", "missing_parameter"),
        ("monthly?month=2026-7", "bad_time"),
        ("monthly?month=2026-07&format=pdf", "bad_format"),
        ("monthly?month=2026-07&language=fr", "bad_value"),
    ],
)
async def test_what_can_not_be_answered_is_refused(world: World, query: str, code: str) -> None:
    assert (await world.people["ann"].get(f"/v1/statements/{query}")).code == code


async def test_a_month_as_csv_holds_every_line_exactly(world: World) -> None:
    ann = world.people["ann"]
    lines = (await ann.get("/v1/statements?month=2026-07")).body["items"]
    text, headers = await text_of(ann, "/v1/statements/monthly?month=2026-07&format=csv&language=en")
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert text.startswith("\ufeff")
    head, *rows = csv.reader(io.StringIO(text[1:]))
    assert head[:5] == ["Cycle", "Line", "Day", "Slot", "Meter"]
    names = ("cycle", "line", "day", "meter", "energy", "price", "amount")
    assert [(*row[:3], row[4], *row[8:11]) for row in rows] == [
        tuple(str(each[name]) for name in names) for each in lines
    ]
    assert rows[0][3] == "2026-07-01T10:00:00+08:00"
    chinese, _ = await text_of(ann, "/v1/statements/monthly?month=2026-07&format=csv")
    assert chinese.startswith("\ufeff结算期,行号,日期,时段,电表,项目,对方成员,成交编号,电量(千瓦时),")
    assert "成交电量" in chinese


@needs_chromium
@pytest.mark.parametrize("language", Language)
async def test_a_month_as_a_page_in_a_browser(world: World, tmp_path: Path, language: Language) -> None:
    """It shows the sums of the lines, in one language, on A4, and asks nobody for anything."""
    bob = world.people["bob"]
    html, headers = await text_of(bob, f"/v1/statements/monthly?month=2026-07&language={language}")
    assert (
        "default-src 'none'" in headers["Content-Security-Policy"]
        and "unsafe" not in headers["Content-Security-Policy"]
    )
    assert not re.findall(r'(?:src|href|action)="(?!data:)', html)
    file, pdf = tmp_path / "statement.html", tmp_path / "statement.pdf"
    file.write_text(html, "utf-8")
    shown = await show(file.as_uri(), tmp_path)
    assert shown.console == []
    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr>.*?</tr>", shown.dom, re.DOTALL)]
    lines = (await bob.get("/v1/statements?month=2026-07")).body["items"]
    words = Words(language)
    for how in ("cycle", "terms", "bill"):
        amounts = [round(float(line["amount"]) * 10**6) for line in lines if line["how"] == how]
        received, paid = sum(a for a in amounts if a > 0), -sum(a for a in amounts if a < 0)
        wanted = [words(f"how.{how}"), money(received), money(paid), money(received - paid)]
        assert any(all(f"|{cell}|" in row for cell in wanted) for row in rows), (how, wanted)
    assert words("estimate") in shown.dom and words("note.adjusts") in shown.dom
    assert ("更正 2026年7月1日 10:00(第1期)" if language == "zh" else "adjusts 2026-07-01 10:00 (cycle 1)") in shown.dom
    other = Words(Language.ENGLISH if language == Language.CHINESE else Language.CHINESE)
    assert all(other(name) not in shown.dom for name in ("title", "by_kind", "how.bill", "kind.shortfall", "note.sign"))
    (tmp_path / "print").mkdir()
    await show(file.as_uri(), tmp_path / "print", f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    boxes = re.findall(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]", pdf.read_bytes())
    assert {(round(float(width)), round(float(height))) for width, height in boxes} == {(595, 842)}, "A4"


async def test_energy_that_was_adjusted_away_is_not_counted_twice(world: World) -> None:
    lines = (await world.people["bob"].get("/v1/statements?month=2026-07")).body["items"]
    assert [line["energy"] for line in lines if line["kind"] == "shortfall"] == ["3.00", "3.00"]
    text, _ = await text_of(world.people["bob"], "/v1/statements/monthly?month=2026-07&language=en")
    kinds = text[text.index('id="kinds"') : text.index('id="days"')]
    (row,) = [row for row in kinds.split("<tr>") if "Shortfall" in row]
    assert re.findall(r'class="n">([^<]*)<', row) == ["0.00", "1.80", "1.80", "0.00"]


async def test_an_empty_month_says_so(world: World) -> None:
    text, _ = await text_of(world.people["ann"], "/v1/statements/monthly?month=2026-01")
    assert "本月没有结算记录" in text


@pytest.mark.parametrize("chosen", ["csv", "parquet"])
@pytest.mark.parametrize("query", ["day=2026-07-01", "day=2026-07-31", "month=2026-07"])
async def test_residuals_are_the_lines_of_the_bill(world: World, chosen: str, query: str) -> None:
    grid = await world.institution("grid_company")
    headers = {"Authorization": f"Bearer {grid.token}"}
    async with world.http.get(f"{world.server}/v1/residuals?{query}&format={chosen}", headers=headers) as answer:
        assert answer.status == 200
        body = await answer.read()
    if chosen == "csv":
        rows = list(csv.DictReader(io.StringIO(body.decode())))
    else:
        table = pyarrow.parquet.read_table(io.BytesIO(body))
        rows = [{name: "" if value is None else str(value) for name, value in row.items()} for row in table.to_pylist()]
    lines = (await grid.get(f"/v1/statements?{query}")).body["items"]
    on_bill = [line for line in lines if line["how"] == "bill"]
    assert [
        (row["cycle"], row["day"], row["meter"], row["kind"], row["amount_cny"], row["adjusts"]) for row in rows
    ] == [
        (
            str(line["cycle"]),
            line["day"],
            line["meter"],
            line["kind"],
            format_money(-round(float(line["amount"]) * 10**6)),
            "" if line["adjusts"] is None else str(line["adjusts"]),
        )
        for line in on_bill
    ]
    assert rows


async def test_residuals_are_for_the_grid_company_alone(world: World) -> None:
    for person in (world.people["ann"], await world.institution("operator"), await world.institution("checker")):
        assert (await person.get("/v1/residuals?day=2026-07-01")).code == "forbidden"
    grid = await world.institution("grid_company")
    assert (await grid.get("/v1/residuals")).code == "missing_parameter"
    assert (await grid.get("/v1/residuals?day=2026-07-01&month=2026-07")).code == "missing_parameter"
    assert (await grid.get("/v1/residuals?month=2026-07&format=arrow")).code == "bad_format"


# ------------------------------------------------------------------------------------------- without a server


async def test_amounts_are_exact_and_written_as_in_china() -> None:
    assert [money(micro) for micro in (0, 1, -762_000, 1_234_567_890_000, -5)] == [
        "0.00", "0.000001", "-0.762", "1,234,567.89", "-0.000005",
    ]  # fmt: skip
    assert energy(123_456_7) == "12,345.67"
    assert Words(Language.CHINESE).day(date(2026, 7, 1)) == "2026年7月1日"
    assert Words(Language.ENGLISH).month(Month(2026, 7)) == "2026-07"


async def test_names_are_text_and_start_no_formula() -> None:
    evil = StatementLine(
        1, 1, "2026-07-01", slot(1, 1), "=1+<b>", "energy", 7, 1, 1, 1, 1, "cycle", None, False
    )  # fmt: skip
    zone = ZoneInfo(ZONE)
    heading = statement_files.Heading(7, "<script>alert(1)</script>", "m", zone, datetime(2026, 8, 1, tzinfo=UTC))
    page = statement_files.page_of(monthly.statement_of(Month(2026, 7), [evil], zone), heading, Language.ENGLISH)
    assert b"<script>" not in page.html and b"<b>" not in page.html
    assert b"'=1+<b>" in b"".join(statement_files.csv_of([evil], zone, Language.ENGLISH))
