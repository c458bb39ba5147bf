"""Columns of ``jinsha replay``: decimals, names and CSV, beside what does the same one by one."""

import csv
import io
from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from data.units import UnitError, format_price, limit_lots_floor, parse_energy_lots, parse_price_ticks, parse_steps
from matching.replay_csv import CsvError, CsvReader, csv_bytes
from matching.replay_decimals import read_days, read_energy_lots, read_limit_lots_floor, read_price_ticks, write_price
from matching.replay_names import NameTable, OrderIds
from matching.replay_texts import Texts

BAD, EMPTY = -(2**62), 2**62
LARGEST = "9" * 12


def decimals() -> list[str]:
    random = Random(1)
    texts = [
        "",
        "0",
        "-0",
        "-0.0",
        "-0.01",
        "00.10",
        LARGEST,
        f"-{LARGEST}",
        f"{LARGEST}.{LARGEST}",
        f"9{LARGEST}",
        "0.01",
    ]
    texts += [
        ".",
        "-",
        "--1",
        "1.",
        ".5",
        "1e3",
        "1 ",
        " 1",
        "+1",
        "1.0.0",
        "1,0",
        "NaN",
        "１",
        "1/2",
        "1:2",
        "0.0" + LARGEST,
    ]
    texts += ["".join(random.choices("0123456789.-", [9] * 10 + [6, 1], k=random.randint(1, 9))) for _ in range(3000)]
    return texts + [
        f"{random.randint(0, 10 ** random.randint(1, 12) - 1)}.{'0' * zeros}{random.randint(0, 9)}"
        for zeros in range(12)
    ]


def one_by_one(parse: Callable[[str], int]) -> list[int]:
    numbers = []
    for text in decimals():
        try:
            numbers.append(parse(text) if text else EMPTY)
        except UnitError:
            numbers.append(BAD)
    return numbers


def test_decimals_are_read_as_one_by_one():
    texts = Texts.of_strings(decimals())
    assert read_energy_lots(texts, bad=BAD, empty=EMPTY).tolist() == one_by_one(parse_energy_lots)
    assert read_price_ticks(texts, bad=BAD, empty=EMPTY).tolist() == one_by_one(parse_price_ticks)
    assert read_days(texts, bad=BAD, empty=EMPTY).tolist() == one_by_one(lambda text: parse_steps(text, 0))


@pytest.mark.parametrize("slot_minutes", [1, 7, 15, 60, 1440])
def test_limits_are_read_as_one_by_one(slot_minutes: int):
    lots = read_limit_lots_floor(Texts.of_strings(decimals()), slot_minutes, bad=BAD, empty=EMPTY)
    assert lots.tolist() == one_by_one(lambda text: limit_lots_floor(text, slot_minutes))


def test_prices_are_written_as_one_by_one():
    prices = [0, 1, -1, 9999, 10_000, -10_001, 2**62, -(2**62), *(10**power for power in range(19))]
    assert write_price(np.array(prices)).strings() == [format_price(price) for price in prices]


def awkward_ids() -> list[str]:
    random = Random(2)
    digits = ["".join(random.choices("0123456789", k=random.randint(1, 25))) for _ in range(2000)]
    zeros = [f"{'0' * count}{end}" for count in range(20) for end in ("", "1", "12345678901234")]
    prefixed = [f"{prefix}{number}" for prefix in ("o-", "卖", "p" * 32, "p" * 33, "0x") for number in digits[:200]]
    many_prefixes = [f"{random.getrandbits(40):x}-{number}" for number in range(5000)]
    return [*digits, *zeros, *prefixed, *many_prefixes, *(f"{text}x" for text in digits[:500]), "", "-", "0", "-0"]


def test_order_ids_are_different_numbers_for_different_texts_and_come_back():
    ids, texts = OrderIds(), awkward_ids()
    numbers = ids.number(Texts.of_strings(texts))
    assert ids.texts(numbers).strings() == texts
    assert len(set(numbers.tolist())) == len(set(texts))
    again = Random(3).sample(range(len(texts)), len(texts))
    assert ids.number(Texts.of_strings([texts[place] for place in again])).tolist() == numbers[again].tolist()


def test_order_ids_that_are_numbers_or_end_in_one_take_no_memory():
    ids = OrderIds()
    before = memory_of(ids)
    for start in range(0, 200_000, 20_000):
        ids.number(
            Texts.of_strings([f"{shape}{number}" for number in range(start, start + 10_000) for shape in ("", "o-")])
        )
    assert memory_of(ids) - before < 1_000_000  # for the largest batch


def memory_of(ids: OrderIds) -> int:
    tables = (ids._prefixes, ids._table)
    return sum(array.nbytes for table in tables for array in (table.names, table.offsets, table.buckets))


def test_names_are_found_when_they_are_many():
    names = [f"name {number:x}" for number in range(50_000)]
    table = NameTable(names)
    assert table.texts.strings() == names
    assert table.find(Texts.of_strings(["", "name", *names, "name 0 "])).tolist() == [-1, -1, *range(50_000), -1]
    assert table.number(Texts.of_strings(["name 5", "new", "new", "newer"]), most=50_001).tolist() == [
        5,
        50_000,
        50_000,
        -1,
    ]


# ------------------------------------------------------------------------------------------------------- CSV


@pytest.mark.parametrize("block_bytes", [1, 7, 1000])
def test_csv_is_read_as_the_strict_reader_does(monkeypatch: pytest.MonkeyPatch, block_bytes: int):
    """Random bytes of the alphabet that matters: the same rows, and an end at the same row."""
    monkeypatch.setattr("matching.replay_csv._BLOCK_BYTES", block_bytes)
    random = Random(block_bytes)
    ends = set[bool]()
    for _ in range(1500):
        text = "".join(random.choices('ab,"\n\r卖', [4, 4, 6, 4, 2, 1, 1], k=random.randint(0, 40)))
        rows, is_whole = strictly_read(f"x,y\n{text}")
        assert fast_read(f"x,y\n{text}") == (rows, is_whole), repr(text)
        ends.add(is_whole)
    assert ends == {True, False}


def strictly_read(text: str) -> tuple[list[list[str]], bool]:
    """(rows of two cells before the first that is wrong, whether none is)."""
    rows: list[list[str]] = []
    try:
        for row in filter(None, csv.reader(io.StringIO(text, newline=""), strict=True)):
            if len(row) != 2:
                return rows[1:], False
            rows.append(row)
    except csv.Error:
        return rows[1:], False
    return rows[1:], True


def fast_read(text: str) -> tuple[list[list[str]], bool]:
    rows: list[list[str]] = []
    try:
        for batch in CsvReader(io.BytesIO(text.encode())).batches(3):
            rows += [list(row) for row in zip(*(column.strings() for column in batch), strict=True)]
    except CsvError:
        return rows, False
    return rows, True


def test_csv_that_is_written_reads_back():
    random = Random(4)
    columns = [["".join(random.choices('ab ,"\n\r卖', k=random.randint(0, 5))) for _ in range(500)] for _ in range(3)]
    written = csv_bytes([Texts.of_strings(column) for column in columns]).tobytes().decode()
    assert [*csv.reader(io.StringIO(written, newline=""), strict=True)] == [
        list(row) for row in zip(*columns, strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('a,"b"c\n', "neither doubled nor the cell's last character, in row 2 (after the header), column y"),
        ('"b', "the file ends within quotes, in row 2 (after the header), column x"),
        ("a,b,c", "row 2 (after the header): 3 cells under 2 columns"),
        (f"a,{'卖' * 131_073}", "a cell of more than 131072 characters, in row 2 (after the header), column y"),
        (f"a,{'b' * 17_000_000}", "row 2 (after the header) is longer than 16777216 bytes"),
    ],
)
def test_what_is_wrong_with_csv_is_told_with_its_place(text: str, complaint: str):
    batches = CsvReader(io.BytesIO(f"x,y\n\n1,2\n{text}".encode())).batches(100)
    assert [column.strings() for column in next(batches)] == [["1"], ["2"]]
    with pytest.raises(CsvError) as raised:
        next(batches)
    assert str(raised.value).endswith(complaint)


def test_a_cell_may_have_as_many_characters_as_the_strict_reader_allows():
    text = '卖""' * 65_536
    (cells,) = CsvReader(io.BytesIO(f'x\n"{text}"\n'.encode())).batches(1)
    assert cells[0].strings() == [text.replace('""', '"')]


@pytest.mark.parametrize("bad", [b"\xff", b"\xe4\xb8", b"\xed\xa0\x80"])
@pytest.mark.parametrize("block_bytes", [1, 2, 3, 100])
def test_bytes_that_are_not_utf_8(monkeypatch: pytest.MonkeyPatch, block_bytes: int, bad: bytes):
    monkeypatch.setattr("matching.replay_csv._BLOCK_BYTES", block_bytes)
    batches = CsvReader(io.BytesIO("\ufeffx\n卖\n".encode() + b"a" + bad + b"\nb\n")).batches(100)
    assert next(batches)[0].strings() == ["卖"]
    with pytest.raises(CsvError, match=r"not UTF-8: .* at byte 10 of the file, in row 2 \(after the header\)"):
        next(batches)
