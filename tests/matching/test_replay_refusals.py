"""Files that ``jinsha replay`` refuses as a whole, before any command runs, naming row and column."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matching.replay_commands import CommandFile
from tests.matching.replay_desk import GRID, HEADER, Desk

GOOD = "new,s,m,A1,sell,t,1.00,0.30,gtc,feeder,0,,,,"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def refused(desk: Desk, *options: str, **names: str) -> str:
    """Runs, and returns the one line on standard error. No output file is there."""
    before = desk.names() | {"grid.csv"}
    assert desk.run(*options, **names) == 2
    told = desk.capture.readouterr()
    assert told.out == ""
    assert told.err.startswith("jinsha replay: ") and told.err.count("\n") == 1
    assert desk.names() <= before
    return told.err


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("action", "", "'' is none of new, cancel, amend, close, capacity"),
        ("action", "New", "'New' is none of new, cancel, amend, close, capacity"),
        ("order_id", "", "empty, but new needs it"),
        ("side", "", "empty, but new needs it"),
        ("side", "purchase", "'purchase' is none of buy, sell"),
        ("slot", "", "empty, but new needs it"),
        ("tif", "day", "'day' is none of gtc, ioc, fok"),
        ("reach", "meter", "'meter' is none of transformer, feeder, substation"),
        ("reach", "Feeder", "'Feeder' is none of transformer, feeder, substation"),
        ("node", "Z", "'Z' is no node of the grid"),
        ("export_kw", "much", "'much' is not a limit in kW"),
        ("export_kw", "-1", "'-1' is not a limit in kW"),
        ("import_kw", "1e3", "'1e3' is not a limit in kW"),
        ("import_kw", " 1", "' 1' is not a limit in kW"),
    ],
)
def test_a_wrong_cell_is_told_with_its_row_and_column(desk: Desk, column: str, value: str, complaint: str):
    cells = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | {column: value}
    desk.write("commands.csv", "\n".join([HEADER, GOOD, "", ",".join(cells.values()), GOOD]) + "\n")
    assert f"row 2 (after the header), column {column}: {complaint}" in refused(desk)


@pytest.mark.parametrize(
    ("row", "column", "complaint"),
    [
        ("cancel,,,,,,,,,,,,,,", "order_id", "empty, but cancel needs it"),
        ("amend,,,,,,1.00,,,,,,,,", "order_id", "empty, but amend needs it"),
        ("close,,,,,,,,,,,,,,", "slot", "empty, but close needs it"),
        ("capacity,,,,,,,,,,,,,1,1", "node", "empty, but capacity needs it"),
        ("cancel,s,,,purchase,,,,,,,,,,", "side", "'purchase' is none of buy, sell"),
        ("close,,,,,t,,,,,,,,1x,", "export_kw", "'1x' is not a limit in kW"),
    ],
)
def test_every_action_needs_its_columns_and_unknown_words_stand_nowhere(
    desk: Desk, row: str, column: str, complaint: str
):
    desk.write("commands.csv", f"{HEADER}\n{GOOD}\n{row}\n")
    assert f"row 2 (after the header), column {column}: {complaint}" in refused(desk)


@pytest.mark.parametrize("column", ["action", "order_id", "member", "meter", "side", "slot", "quantity", "price"])
def test_a_required_column_of_the_commands_may_not_be_missing(desk: Desk, column: str):
    desk.write("commands.csv", HEADER.replace(column, "", 1).replace(",,", ",").strip(",") + "\n")
    assert f"commands.csv: header, column {column}: missing" in refused(desk)


@pytest.mark.parametrize("column", ["node", "parent", "level"])
def test_a_required_column_of_the_grid_may_not_be_missing(desk: Desk, column: str):
    desk.commands("")
    desk.write("grid.csv", GRID.replace(f"{column},", "", 1))
    assert f"grid.csv: header, column {column}: missing" in refused(desk)


def test_columns_that_are_unknown_or_stand_twice(desk: Desk):
    desk.write("commands.csv", f"{HEADER},colour\n{GOOD},red\n")
    assert "header, column colour: unknown" in refused(desk)
    desk.write("commands.csv", f"{HEADER},price\n{GOOD},1\n")
    assert "header, column price: stands twice" in refused(desk)
    desk.write("commands.csv", "")
    assert "column action: missing" in refused(desk)
    desk.commands("")
    desk.write("grid.csv", GRID.replace("import_kw", "import"))
    assert "grid.csv: header, column import: unknown" in refused(desk)


def test_rows_of_another_length(desk: Desk):
    desk.write("commands.csv", f"{HEADER}\n{GOOD}\n{GOOD},\n")
    assert "row 2 (after the header): 16 cells under 15 columns" in refused(desk)
    desk.write("commands.csv", f"{HEADER}\nnew,s\n")
    assert "row 1 (after the header): 2 cells under 15 columns" in refused(desk)


@pytest.mark.parametrize(
    ("rows", "row", "column", "complaint"),
    [
        ("S,,substation,,\n,S,feeder,,", 2, "node", "empty"),
        ("S,,substation,,\nS,S,feeder,,", 2, "node", "'S' is there already"),
        ("S,,substation,,\nM,S,house,,", 2, "level", "'house' is none of meter, transformer, feeder, substation"),
        ("S,,substation,,\nM,S,,,", 2, "level", "'' is none of"),
        ("S,,substation,,\nM,S,meter,x,", 2, "export_kw", "'x' is not a limit in kW"),
        ("S,,substation,,\nM,S,meter,,-1", 2, "import_kw", "'-1' is not a limit in kW"),
        ("S,,substation,,\nM,T,meter,,", 2, "parent", "'T' is no node of this file"),
        ("S,,substation,,\nM,S,meter,,\nT,,substation,,", 3, "parent", "empty, but 'S' is the root already"),
        ("S,,substation,,\nF,T,feeder,,\nT,F,transformer,,", 2, "parent", "'F' hangs, over its parents, under itself"),
        ("F,F,feeder,,", 1, "parent", "'F' hangs, over its parents, under itself"),
        ("S,,substation,,\nX,T,meter,,\nT,F,transformer,,\nF,T,feeder,,", 3, "parent", "'T' hangs"),
        ("S,,substation,,\nT,S,transformer,,\nF,T,feeder,,", 3, "level", "a feeder can not hang under a transformer"),
        ("S,,substation,,\nM,S,meter,,\nN,M,meter,,", 3, "level", "a meter can not hang under a meter"),
        ("S,,substation,,\nT,S,substation,,", 2, "level", "a substation can not hang under a substation"),
        ("M,,meter,,", 1, "level", "a meter can not be the root"),
    ],
)
def test_a_grid_that_is_no_tree_of_falling_levels(desk: Desk, rows: str, row: int, column: str, complaint: str):
    desk.commands("")
    desk.write("grid.csv", f"node,parent,level,export_kw,import_kw\n{rows}\n")
    assert f"grid.csv: row {row} (after the header), column {column}: {complaint}" in refused(desk)


def test_a_grid_without_nodes(desk: Desk):
    desk.commands("")
    desk.write("grid.csv", "node,parent,level\n")
    assert "grid.csv: no root" in refused(desk)


def test_files_that_are_not_there_or_not_readable(desk: Desk):
    desk.commands("")
    assert "commands.parquet: No such file" in refused(desk, commands="commands.parquet")
    assert "nowhere.csv: No such file" in refused(desk, grid="nowhere.csv")
    desk.write("commands.parquet", "this is text")
    assert "commands.parquet: not a readable table" in refused(desk, commands="commands.parquet")
    (desk.folder / "commands.csv").write_bytes(HEADER.encode() + b"\nnew,\xff\n")
    assert "commands.csv: not UTF-8" in refused(desk)
    desk.write("commands.csv", f'{HEADER}\nnew,"s"x,\n')
    told = refused(desk)
    assert "commands.csv: not a readable table" in told and "in row 1 (after the header), column order_id" in told
    (desk.folder / "commands.csv").unlink()
    (desk.folder / "commands.csv").mkdir()
    assert "commands.csv: Is a directory" in refused(desk)


def test_file_names_and_folders(desk: Desk):
    desk.commands("")
    assert "commands.txt: a table ends in .csv or .parquet" in refused(desk, commands="commands.txt")
    assert "trades: a table ends in" in refused(desk, trades="trades")
    assert "commands.csv: named twice" in refused(desk, trades="commands.csv")
    assert "grid.csv: named twice" in refused(desk, trades="grid.csv")
    assert "trades.csv: named twice" in refused(desk, "--rejects", str(desk.folder / "trades.csv"))
    assert "there is no folder" in refused(desk, trades="away/trades.csv")


@pytest.mark.parametrize("kind", [pa.float64(), pa.bool_(), pa.timestamp("us"), pa.binary()])
def test_parquet_columns_that_are_no_text(desk: Desk, kind: pa.DataType):
    names = HEADER.split(",")
    fields = [pa.field(name, kind if name == "quantity" else pa.string()) for name in names]
    pq.write_table(pa.schema(fields).empty_table(), desk.folder / "commands.parquet")
    assert f"commands.parquet: column quantity: holds {kind}, wanted text" in refused(desk, commands="commands.parquet")


@pytest.mark.parametrize("column", ["order_id", "member"])
def test_parquet_texts_that_are_not_utf_8(desk: Desk, column: str):
    names = HEADER.split(",")
    good = pa.table([pa.array([cell] * 3) for cell in GOOD.split(",")], names=names)
    bad = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"b", b"c\xff"]).buffers())
    pq.write_table(good.set_column(names.index(column), column, bad), desk.folder / "commands.parquet")
    told = refused(desk, commands="commands.parquet")
    assert f"row 3 (after the header), column {column}: not UTF-8: invalid start byte at byte 1" in told


def test_a_file_that_is_another_when_it_is_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    desk.write("commands.csv", f"{HEADER}\n{GOOD}\n")
    check = CommandFile.check

    def check_and_change(self: CommandFile, advance: Callable[[int], None]) -> int:
        rows = check(self, advance)
        desk.write("commands.csv", f"{HEADER}\n{GOOD.replace(',t,', ',u,')}\n")
        return rows

    monkeypatch.setattr(CommandFile, "check", check_and_change)
    assert "commands.csv: was changed while it was read" in refused(desk)


def test_the_header_of_a_parquet_file_is_looked_at_too(desk: Desk):
    fields = [pa.field(name, pa.string()) for name in ("action", "colour")]
    pq.write_table(pa.schema(fields).empty_table(), desk.folder / "commands.parquet")
    assert "header, column colour: unknown" in refused(desk, commands="commands.parquet")


@pytest.mark.parametrize(
    "options",
    [
        ("--fees", "0.02,0.05"),
        ("--fees", "0.02,0.05,0.11,0.2"),
        ("--fees", "0.02,x,0.11"),
        ("--floor", "1e-1"),
        ("--cap", "2.00001"),
        ("--slot-minutes", "0"),
        ("--slot-minutes", "1441"),
        ("--slot-minutes", "15.0"),
        ("--slot-minutes", "１５"),
    ],
)
def test_options_that_are_no_such_number(desk: Desk, options: tuple[str, str]):
    desk.commands("")
    with pytest.raises(SystemExit) as stopped:
        desk.run(*options)
    assert stopped.value.code == 2
    assert options[0] in desk.capture.readouterr().err


def test_options_that_make_no_market(desk: Desk):
    desk.commands("")
    assert "fall with distance" in refused(desk, "--fees", "0.02,0.01,0.11")
    assert "above the cap" in refused(desk, "--floor", "3")
    assert "more than 15 classes of terms or 2147483646 prices" in refused(desk, "--cap", "300000")
