"""``jinsha replay`` from files to files: docs/market_rules.md, "Files for replay"."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from matching.fast import FastEngine
from matching.kernel import EVENT, Rows
from matching.replay import add_arguments
from tests.matching.replay_desk import GRID, HEADER, Desk

SLOT = "2026-07-01T10:15:00Z"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


# -------------------------------------------------------------------------------------- the worked examples


def test_worked_example_1(desk: Desk):
    desk.commands(f"""
        new a2 A2 sell {SLOT} 1.00 0.40
        new b1 B1 sell {SLOT} 1.00 0.38
        new a1 A1 buy  {SLOT} 1.50 0.45
    """)
    assert desk.run() == 0
    assert desk.lines("trades.csv") == [
        f"{SLOT},a1,a2,1.00,0.4000,0.4200,buy,transformer",
        f"{SLOT},a1,b1,0.50,0.3800,0.4300,buy,feeder",
    ]


def test_worked_example_2(desk: Desk):
    desk.commands(f"""
        new a2 A2 sell {SLOT} 1.00 0.41
        new b1 B1 sell {SLOT} 1.00 0.38
        new a1 A1 buy  {SLOT} 1.00 0.45
    """)
    assert desk.run() == 0
    assert desk.lines("trades.csv") == [f"{SLOT},a1,a2,1.00,0.4100,0.4300,buy,transformer"]


def test_worked_example_3(desk: Desk):
    desk.commands(f"""
        new a1 A1 buy  {SLOT} 1.00 0.45
        new b1 B1 sell {SLOT} 1.00 0.30
    """)
    assert desk.run() == 0
    assert desk.lines("trades.csv") == [f"{SLOT},a1,b1,1.00,0.4000,0.4500,sell,feeder"]


def test_worked_example_4(desk: Desk):
    desk.write("grid.csv", GRID.replace("B,F,transformer,,", "B,F,transformer,4,"))
    desk.commands(f"""
        new a1 A1 buy  {SLOT} 2.00 0.45 reach=feeder
        new b1 B1 sell {SLOT} 1.00 0.30
        new b3 B3 sell {SLOT} 1.00 0.32
        new b2 B2 buy  {SLOT} 0.50 0.33
        new c1 C1 sell {SLOT} 0.50 0.20
    """)
    assert desk.run() == 0
    assert desk.lines("trades.csv") == [
        f"{SLOT},a1,b1,1.00,0.4000,0.4500,sell,feeder",
        f"{SLOT},b2,c1,0.50,0.2200,0.3300,sell,substation",
        f"{SLOT},a1,b3,0.50,0.4000,0.4500,sell,feeder",
    ]


# -------------------------------------------------------------------------------------------- what is read


def test_every_action_and_every_column(desk: Desk):
    desk.commands("""
        new a1 A1 buy  t1 1.00 0.45 tif=gtc terms=30
        new b1 B1 sell t1 0.40 0.30 tif=ioc terms=30
        amend a1 - - - 0.50 -
        amend a1 - - - - 0.46
        new b2 B2 sell t1 0.60 0.30 tif=fok
        new b3 B3 sell t1 0.60 0.30 terms=60
        cancel b3
        close - - - t1
        new x1 A1 buy  t2 1.00 0.45 basket=k
        new x2 A2 buy  t3 1.00 0.45 basket=k
        capacity - - - - - - node=B export_kw=2 import_kw=-
        new c1 B1 sell t2 9.00 0.30 tif=gtc
        new c2 B1 sell t3 9.00 0.30
        new y1 A1 buy  t2 0.50 0.45 basket=l
        new y2 A2 buy  t3 0.50 0.45 basket=l
        capacity - - - t2 - - node=B export_kw=2.04 import_kw=0
        new w1 A1 buy  t3 0.50 0.45 tif=ioc
        new z1 A1 buy  t2 0.50 0.45 tif=ioc reach=transformer
        new z2 A1 buy  t2 0.50 0.45 tif=ioc reach=feeder
        capacity - - - - - - node=B export_kw=- import_kw=-
        new z3 A1 buy  t2 1.00 0.45 tif=ioc reach=substation
        capacity - - - - - - node=B export_kw=- import_kw=1
        new v1 A2 sell t4 1.00 0.30
        new v2 B2 buy  t4 1.00 0.45
        new u1 A2 sell t5 1.00 0.30 terms=0
        new u2 A1 buy  t5 1.00 0.45
    """)
    assert desk.run("--rejects", str(desk.folder / "rejects.csv")) == 0
    assert desk.lines("trades.csv") == [
        "t1,a1,b1,0.40,0.4000,0.4500,sell,feeder",
        "t1,a1,b3,0.50,0.4100,0.4600,sell,feeder",
        "t2,y1,c1,0.50,0.3000,0.3500,buy,feeder",
        "t3,y2,c2,0.50,0.3000,0.3500,buy,feeder",
        "t2,z2,c1,0.01,0.3000,0.3500,buy,feeder",
        "t2,z3,c1,1.00,0.3000,0.3500,buy,feeder",
        "t4,v2,v1,0.25,0.3000,0.3500,buy,feeder",
        "t5,u2,u1,1.00,0.3000,0.3200,buy,transformer",
    ]
    assert desk.lines("rejects.csv") == []


def test_rejects_are_told_in_the_order_they_happen(desk: Desk):
    desk.commands("""
        new a A1 buy t 1.00 0.45
        new a A1 buy t 1.00 0.45
        new b Z9 buy t 1.00 0.45
        new b A  buy t 1.00 0.45
        new b -  buy t 1.00 0.45
        close - - - shut
        new b A1 buy shut 1.00 0.45
        new b A1 buy t 1.001 0.45
        new b A1 buy t - 0.45
        new b A1 buy t 1.00 0.45001
        new b A1 buy t 1.00 -
        new b A1 buy t 1.00 2.0001
        new b A1 buy t 1.00 0.45 terms=7
        new b A1 buy t 1.00 0.45 terms=soon
        cancel never
        amend a - - - 0 0.45
        amend a - - - 1.00 x
        new k A1 buy t 1.00 0.45 basket=k
        new l A1 buy t 1e0 0.45 basket=k
        new l A1 buy t 1.00 0.45
    """)
    assert desk.run("--rejects", str(desk.folder / "rejects.csv")) == 0
    assert (desk.folder / "rejects.csv").read_text(encoding="utf-8").splitlines() == [
        "order_id,reason",
        "a,duplicate_order_id",
        "b,unknown_meter",
        "b,unknown_meter",
        "b,unknown_meter",
        "b,slot_closed",
        "b,bad_quantity",
        "b,bad_quantity",
        "b,bad_price",
        "b,bad_price",
        "b,bad_price",
        "b,bad_terms",
        "b,bad_terms",
        "never,not_open",
        "a,bad_quantity",
        "a,bad_price",
        "k,basket_rejected",
        "l,bad_quantity",
    ]
    assert "20 commands, 0 trades, 0.00 kWh, 17 rejects" in desk.capture.readouterr().out


@pytest.mark.parametrize("text", ["1e-2", "+1", "NaN", ".5", "1.", "0x1", "1,0", "１", "inf", "1.00.0", "--1"])
def test_what_is_no_decimal_is_a_reject_and_no_file_error(desk: Desk, text: str):
    cells = {"quantity": f'"{text}"', "price": f'"{text}"'}
    rows = [
        f"new,q,m,A1,buy,t,{cells['quantity']},0.45,,,,,,,",
        f"new,p,m,A1,buy,t,1.00,{cells['price']},,,,,,,",
        "new,s,m,A1,buy,t, 1.00,0.45,,,,,,,",
    ]
    desk.write("commands.csv", "\n".join([HEADER, *rows]) + "\n")
    assert desk.run("--rejects", str(desk.folder / "rejects.csv")) == 0
    assert desk.lines("rejects.csv") == ["q,bad_quantity", "p,bad_price", "s,bad_quantity"]


def test_only_consecutive_rows_with_one_basket_are_one_basket(desk: Desk):
    desk.commands("""
        new s A2 sell t 9.00 0.30
        new a A1 buy t 1.00 0.45 basket=x
        new b A1 buy t 1.00 0.45 basket=y
        new c A1 buy t 0.00 0.45 basket=y
        new d A1 buy t 1.00 0.45 basket=x
        cancel none basket=x
        new e A1 buy t 9.00 0.45 basket=x
        new f A1 buy t 1.00 0.45
        new g A1 buy t 9.00 0.45 basket=z
    """)
    assert desk.run("--rejects", str(desk.folder / "rejects.csv")) == 0
    assert [line.split(",")[1] for line in desk.lines("trades.csv")] == ["a", "d", "f"]
    assert desk.lines("rejects.csv") == ["b,basket_rejected", "c,bad_quantity", "none,not_open"]


def test_slots_are_opaque_and_ordered_by_name(desk: Desk):
    """The names first appear in another order than theirs; a limit for all slots goes through them by name."""
    desk.commands("""
        capacity - - - - - - node=B export_kw=0 import_kw=0
        new b2 B1 sell t10 1.00 0.30
        new a2 A1 buy  t10 1.00 0.45
        new b1 B1 sell t1 1.00 0.30
        new a1 A1 buy  t1 1.00 0.45
        new b3 B1 sell T2 1.00 0.30
        new a3 A1 buy  T2 1.00 0.45
        capacity - - - - - - node=B
    """)
    assert desk.run() == 0
    assert [line.split(",")[0] for line in desk.lines("trades.csv")] == ["T2", "t1", "t10"]


def test_columns_may_stand_in_any_order_and_those_that_may_be_empty_be_left_out(desk: Desk):
    desk.write("grid.csv", "level,node,parent\nsubstation,S,\nmeter,M1,S\nmeter,M2,S\n")
    desk.write(
        "commands.csv",
        "price,quantity,slot,side,meter,member,order_id,action\n"
        "0.30,1.00,t,sell,M1,li,s,new\n"
        "\n"
        "0.45,1.00,t,buy,M2,wang,b,new\n",
    )
    assert desk.run() == 0
    assert desk.lines("trades.csv") == ["t,b,s,1.00,0.3000,0.4100,buy,substation"]


def test_one_member_does_not_trade_with_itself(desk: Desk):
    desk.commands("""
        new s A2 sell t 1.00 0.30 member=li
        new b A1 buy  t 1.00 0.45 member=li
        new c A1 buy  t 1.00 0.45 member=wang
    """)
    assert desk.run() == 0
    assert desk.lines("trades.csv") == ["t,c,s,1.00,0.3000,0.3200,buy,transformer"]


def test_names_with_commas_and_in_chinese_and_a_byte_order_mark(desk: Desk):
    desk.write("grid.csv", '\ufeffnode,parent,level\n变电站,,substation\n"水电, 一号",变电站,meter\n户,变电站,meter\n')
    desk.write(
        "commands.csv",
        "\ufeffaction,order_id,member,meter,side,slot,quantity,price\n"
        'new,"卖,1",金沙,"水电, 一号",sell,时段,1.00,0.30\n'
        'new,"买""1",攀枝花,户,buy,时段,1.00,0.45\n',
    )
    assert desk.run() == 0
    assert desk.lines("trades.csv") == ['时段,"买""1","卖,1",1.00,0.3000,0.4100,buy,substation']


def test_an_empty_stream_gives_empty_tables(desk: Desk):
    desk.commands("")
    assert desk.run("--rejects", str(desk.folder / "rejects.csv")) == 0
    header = b"slot,buy_order,sell_order,quantity,seller_price,buyer_price,taker,level\n"
    assert (desk.folder / "trades.csv").read_bytes() == header
    assert (desk.folder / "rejects.csv").read_bytes() == b"order_id,reason\n"


# ----------------------------------------------------------------------------------------------- options


def test_fees_floor_cap_and_slot_minutes(desk: Desk):
    desk.write("grid.csv", GRID.replace("B,F,transformer,,", "B,F,transformer,4,"))
    desk.commands("""
        new s B1 sell t 9.00 0.30
        new b A1 buy  t 9.00 0.36
        new l A1 buy  t 1.00 0.2999
        new h A1 buy  t 1.00 0.3601
    """)
    options = ("--fees", "0.01,0.03,0.2", "--floor", "0.30", "--cap", "0.36", "--slot-minutes", "60")
    assert desk.run(*options, "--rejects", str(desk.folder / "rejects.csv")) == 0
    assert desk.lines("trades.csv") == ["t,b,s,4.00,0.3000,0.3300,buy,feeder"]
    assert desk.lines("rejects.csv") == ["l,bad_price", "h,bad_price"]


def test_the_defaults_are_those_of_the_page():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(["--grid", "g", "--commands", "c", "--trades", "t"])
    assert (arguments.fees, arguments.floor, arguments.cap) == ((200, 500, 1100), 0, 20_000)
    assert (arguments.slot_minutes, arguments.rejects) == (15, None)


# ------------------------------------------------------------------------------------------- CSV and Parquet


def as_parquet(csv_file: Path, **types: pa.DataType) -> Path:
    names = csv_file.read_text(encoding="utf-8").splitlines()[0].split(",")
    options = pyarrow.csv.ConvertOptions(
        column_types={name: pa.string() for name in names} | types, strings_can_be_null=True, null_values=[""]
    )
    target = csv_file.with_suffix(".parquet")
    pq.write_table(pyarrow.csv.read_csv(csv_file, convert_options=options), target)
    return target


def test_parquet_in_and_out_is_the_same_as_csv(desk: Desk):
    desk.write("grid.csv", GRID.replace("B,F,transformer,,", "B,F,transformer,4,"))
    rows = desk.commands("""
        new a1 A1 buy  t 2.00 0.45 reach=feeder
        new b1 B1 sell t 1.00 0.30 terms=30
        new b1 B1 sell t 1.00 0.30
        new b3 B3 sell t 1.00 0.32
        new b2 B2 buy  t 0.50 0.33
        new c1 C1 sell t 0.50 0.20
        capacity - - - - - - node=B export_kw=8
    """)
    assert desk.run("--rejects", str(desk.folder / "rejects.csv")) == 0
    dictionary = pa.dictionary(pa.int32(), pa.string())
    table = as_parquet(rows, terms=pa.int64(), side=dictionary, quantity=pa.decimal128(12, 2), basket=pa.null())
    table.rename(desk.folder / "commands.PARQUET")
    as_parquet(desk.folder / "grid.csv", level=pa.large_string())
    code = desk.run(
        "--rejects",
        str(desk.folder / "rejects.parquet"),
        grid="grid.parquet",
        commands="commands.PARQUET",
        trades="trades.PARQUET",
    )
    assert code == 0
    for name, other in (("trades.csv", "trades.PARQUET"), ("rejects.csv", "rejects.parquet")):
        table = pq.read_table(desk.folder / other)
        assert set(table.schema.types) == {pa.string()}
        header = (desk.folder / name).read_text(encoding="utf-8").splitlines()[0]
        assert table.column_names == header.split(",")
        assert [",".join(row.values()) for row in table.to_pylist()] == desk.lines(name)
        assert table.num_rows > 0


def test_a_long_stream_is_read_and_written_in_pieces(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("matching.replay_tables._ROWS_AT_ONCE", 7)
    monkeypatch.setattr("matching.replay_csv._BLOCK_BYTES", 100)
    monkeypatch.setattr("matching.replay._EVENTS_AT_ONCE", 3)
    monkeypatch.setattr("matching.replay_outputs._ROWS_PER_GROUP", 4)
    rows = [
        f"new s{n} A2 sell t{n % 5} 1.00 0.30\nnew b{n} A1 buy t{n % 5} 1.00 0.45 basket=b{n // 3}" for n in range(50)
    ]
    csv_file = desk.commands("\n".join(rows))
    as_parquet(csv_file)
    assert desk.run(commands="commands.parquet", trades="trades.parquet") == 0
    table = pq.read_table(desk.folder / "trades.parquet")
    assert table["buy_order"].to_pylist() == [f"b{n}" for n in range(50)]
    assert desk.run() == 0
    assert [line.split(",")[1] for line in desk.lines("trades.csv")] == [f"b{n}" for n in range(50)]


# --------------------------------------------------------------------------------------------- how it ends


def test_a_stopped_replay_writes_nothing_and_keeps_what_was_there(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    desk.commands("new s A2 sell t 1.00 0.30\nnew b A1 buy t 1.00 0.45")
    desk.write("trades.csv", "of yesterday")
    applied: list[int] = []

    def apply_then_interrupt(self: FastEngine, commands: Rows) -> Rows:
        applied.append(len(commands))
        if len(applied) > 2:
            raise KeyboardInterrupt
        return np.empty(0, EVENT)

    monkeypatch.setattr("matching.replay_tables._ROWS_AT_ONCE", 1)
    monkeypatch.setattr(FastEngine, "apply_rows", apply_then_interrupt)
    assert desk.run("--rejects", str(desk.folder / "rejects.parquet")) == 130
    assert "stopped" in desk.capture.readouterr().err
    assert applied == [12, 1, 1]  # the grid, the first order, the second
    assert desk.names() == {"grid.csv", "commands.csv", "trades.csv"}
    assert (desk.folder / "trades.csv").read_text(encoding="utf-8") == "of yesterday"


def test_output_that_can_not_be_written_is_told_in_one_line(desk: Desk):
    desk.commands("new s A2 sell t 1.00 0.30")
    (desk.folder / "trades.csv.part").mkdir()
    assert desk.run() == 1
    assert "trades.csv.part" in desk.capture.readouterr().err


def test_the_closing_line_counts(desk: Desk):
    desk.commands("""
        new s A2 sell t 1.50 0.30
        new s A2 sell t 1.50 0.30
        new b A1 buy  t 1.00 0.45 basket=x
        new c A1 buy  t 0.25 0.45 basket=x
    """)
    assert desk.run() == 0
    assert "4 commands, 2 trades, 1.25 kWh, 1 rejects in" in desk.capture.readouterr().out
