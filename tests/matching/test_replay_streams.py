"""Random files through ``jinsha replay``, in pieces of a few rows, beside ``replay_oracle``: the same bytes.

Every column is drawn from what it may hold and from what is off the step, no decimal or awkward to read; streams have
tight limits, so that books stand crossed, and few members, so that some meet themselves.
"""

import csv
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.matching.replay_desk import GRID, HEADER, Desk
from tests.matching.replay_oracle import Oracle

TIGHT_GRID = GRID.replace("B,F,transformer,,", "B,F,transformer,4,8").replace("F,S,feeder,,", "F,S,feeder,6.04,6")
METERS = ["A1", "A2", "B1", "B2", "B3", "C1"]
SLOTS = ["2026-07-01T10:15:00Z", "2026-07-01T10:30:00Z", "t 1", 't,"2"', "时段", "z"]
QUANTITIES = ["1.00", "0.50", "2", "0.25", "1.0000", "0.01"]
PRICES = ["0.30", "0.3500", "0.38", "0.41", "0.45", "0.4100000"]
BAD_QUANTITIES = [
    "",
    "0",
    "-1",
    "0.001",
    "1e0",
    "+1",
    " 1",
    "1.",
    ".5",
    "1234567890123",
    "1.0000000000000",
    "--1",
    "１",
]
BAD_PRICES = ["", "-0.0001", "2.0001", "0.30001", "NaN", "1,0", "0x1", '"', "999999999999.9999", "-"]
TERMS = ["", "", "", "", "0", "30", "60", "30.0"]
BAD_TERMS = ["7", "-30", "30.5", "soon"]
LIMITS = ["", "", "", "0", "2", "4", "8", "8", "2.0399", "-0", "999999999999.999999999999"]
ORDER_ID_SHAPES = [
    "{}",
    "o-{}",
    "{:04}",
    "b{:06}",
    "{:020}",
    "9{:017}",
    "9{:018}",
    "{}x",
    "卖,{}",
    '"{}"',
    "line\n{}",
    "{0:x}-{0:x}",
    "a prefix longer than what prefixes may be {}",
]


class Stream:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._used: list[str] = []
        self._next = 0

    def rows(self, count: int) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = []
        while len(rows) < count:
            kind = self._random.random()
            if kind < 0.55:
                rows.append(self._new(""))
            elif kind < 0.67:
                basket = self._random.choice(["k", "k", "l", 'q"', "k "])
                rows += [self._new(basket) for _ in range(self._random.choice([1, 1, 2, 3, 9]))]
            else:
                rows.append(self._other())
        return rows

    def _new(self, basket: str) -> dict[str, str]:
        pick, chance = self._random.choice, self._random.random
        side = pick(["buy", "sell"])
        prices = PRICES[:4] if side == "sell" else PRICES[2:]
        return _row(
            action="new",
            order_id=self._order_id(),
            member=pick(["li", "wang", "", "007", "7", "zhao, 1", "m1", "m2", "m3", "m4", "m5", "m6"]),
            meter=pick(METERS) if chance() < 0.97 else pick(["", "A", "Z9"]),
            side=side,
            slot=pick(SLOTS),
            quantity=pick(QUANTITIES) if chance() < 0.95 else pick(BAD_QUANTITIES),
            price=pick(prices) if chance() < 0.95 else pick(BAD_PRICES),
            tif=pick(["", "gtc", "gtc", "ioc", "fok"]),
            reach=pick(["", "", "substation", "feeder", "transformer"]),
            terms=pick(TERMS) if chance() < 0.97 else pick(BAD_TERMS),
            basket=basket,
        )

    def _other(self) -> dict[str, str]:
        pick, chance = self._random.choice, self._random.random
        old = pick(self._used) if self._used and chance() < 0.9 else "never"
        kind = chance()
        if kind < 0.4:
            return _row(action="cancel", order_id=old, basket=pick(["", "k"]))
        if kind < 0.75:
            quantity = "" if chance() < 0.4 else pick(QUANTITIES) if chance() < 0.9 else pick(BAD_QUANTITIES)
            price = "" if chance() < 0.4 else pick(PRICES) if chance() < 0.9 else pick(BAD_PRICES)
            return _row(action="amend", order_id=old, quantity=quantity, price=price, side=pick(["", "buy"]))
        if kind < 0.78:
            return _row(action="close", slot=pick(["shut", "shut too", *SLOTS]), order_id=pick(["", "ignored"]))
        limits = {"export_kw": pick(LIMITS), "import_kw": pick(LIMITS)}
        return _row(action="capacity", node=pick(["A", "B", "F", "A1", "B1"]), slot=pick(["", *SLOTS]), **limits)

    def _order_id(self) -> str:
        if self._used and self._random.random() < 0.03:
            return self._random.choice(self._used)
        self._next += self._random.choice([1, 1, 1, 7])
        self._used.append(self._random.choice(ORDER_ID_SHAPES).format(self._next))
        return self._used[-1]


def _row(**cells: str) -> dict[str, str]:
    return dict.fromkeys(HEADER.split(","), "") | cells


def _write_csv(path: Path, rows: list[dict[str, str]], random: Random) -> None:
    line_end = random.choice(["\n", "\r\n", "\n\n", "\r"])
    quoting = random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]) if "\n" in line_end else csv.QUOTE_ALL
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEADER.split(","), lineterminator=line_end, quoting=quoting)
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path: Path, rows: list[dict[str, str]], random: Random) -> None:
    fields = [
        pa.field(name, random.choice([pa.string(), pa.large_string(), pa.dictionary(pa.int16(), pa.string())]))
        for name in HEADER.split(",")
    ]
    cells = [{name: text or random.choice([text, None]) for name, text in row.items()} for row in rows]
    table = pa.Table.from_pylist(cells, schema=pa.schema(fields))
    pq.write_table(table, path, row_group_size=random.choice([3, 20, 1000]), use_dictionary=random.random() < 0.5)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    desk = Desk(tmp_path, capsys)
    desk.write("grid.csv", TIGHT_GRID)
    return desk


@pytest.mark.parametrize("seed", range(30))
def test_replay_writes_what_the_oracle_says(desk: Desk, monkeypatch: pytest.MonkeyPatch, seed: int):
    random = Random(seed)
    monkeypatch.setattr("matching.replay_tables._ROWS_AT_ONCE", random.choice([1, 2, 3, 7, 50, 1000]))
    monkeypatch.setattr("matching.replay_csv._BLOCK_BYTES", random.choice([1, 10, 100, 1000, 10**6]))
    monkeypatch.setattr("matching.replay._EVENTS_AT_ONCE", random.choice([1, 5, 10**6]))
    rows = Stream(seed).rows(400)
    _write_csv(desk.folder / "commands.csv", rows, random)
    _write_parquet(desk.folder / "commands.parquet", rows, random)
    expected = Oracle(desk.folder / "grid.csv", desk.folder / "commands.csv")
    assert expected.trades.count(b"\n") > 20 and expected.rejects.count(b"\n") > 20
    for commands in ("commands.csv", "commands.parquet"):
        assert desk.run("--rejects", str(desk.folder / "rejects.csv"), commands=commands) == 0
        assert (desk.folder / "trades.csv").read_bytes() == expected.trades
        assert (desk.folder / "rejects.csv").read_bytes() == expected.rejects
