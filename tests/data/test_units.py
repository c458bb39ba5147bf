"""Decimals, limits and instants: text in, whole numbers inside, text out, and nothing rounded on the way."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data import units
from data.units import (
    Energy,
    Money,
    Price,
    UnitError,
    floor_fen,
    format_energy,
    format_instant,
    format_money,
    format_price,
    format_steps,
    limit_lots_floor,
    parse_energy_lots,
    parse_instant_s,
    parse_money_fen,
    parse_money_micro,
    parse_price_ticks,
    parse_steps,
)

WHOLE = st.integers(-(10**12 - 1) * 100, (10**12 - 1) * 100)


# ----------------------------------------------------------------------------------------------- decimals


@pytest.mark.parametrize(
    ("text", "decimals", "steps"),
    [
        ("1.25", 2, 125),
        ("1.000", 2, 100),
        ("1", 2, 100),
        ("0", 2, 0),
        ("-0", 2, 0),
        ("-0.00", 2, 0),
        ("-1.25", 2, -125),
        ("-0.01", 2, -1),
        ("007.10", 2, 710),
        ("0.4", 4, 4000),
        ("0.0001", 4, 1),
        ("0.000100000000", 4, 1),
        ("5", 0, 5),
        ("5.0", 0, 5),
        ("999999999999.999999999999", 12, 10**24 - 1),
    ],
)
def test_decimals_on_the_step(text: str, decimals: int, steps: int):
    assert parse_steps(text, decimals) == steps


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1e-2",
        "1E2",
        "+1",
        " 1.00",
        "1.00 ",
        "1.00\n",
        "\n1.00",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        ".5",
        "1.",
        "-",
        "-.5",
        "--1",
        "1.0.0",
        "1,00",
        "1_000",
        "0x10",
        "1 000",
        "１",
        "١",
        "1.２",
        "1234567890123",
        "1.1234567890123",
        "1\x00",
    ],
)
def test_what_is_no_decimal(text: str):
    for parse in (parse_energy_lots, parse_price_ticks, parse_money_micro, parse_money_fen):
        with pytest.raises(UnitError, match="is not a decimal"):
            parse(text)


@pytest.mark.parametrize(
    ("parse", "text", "step"),
    [
        (parse_energy_lots, "1.001", "0.01"),
        (parse_energy_lots, "0.009", "0.01"),
        (parse_energy_lots, "-1.000000000001", "0.01"),
        (parse_price_ticks, "0.12345", "0.0001"),
        (parse_money_micro, "0.0000001", "0.000001"),
        (parse_money_fen, "0.005", "0.01"),
    ],
)
def test_what_is_off_the_step_is_refused_and_never_rounded(parse, text: str, step: str):
    with pytest.raises(UnitError, match=f"off the step of {step}"):
        parse(text)


def test_off_the_step_of_whole_numbers():
    with pytest.raises(UnitError, match=r"off the step of 1$"):
        parse_steps("30.5", 0)


def test_a_long_text_is_not_repeated_in_full():
    with pytest.raises(UnitError) as refused:
        parse_energy_lots("9" * 100_000)
    assert len(str(refused.value)) < 100


def test_each_quantity_has_its_own_step():
    assert (parse_energy_lots("1"), parse_price_ticks("1")) == (100, 10_000)
    assert (parse_money_micro("1"), parse_money_fen("1")) == (1_000_000, 100)
    assert (units.LOTS_PER_KWH, units.TICKS_PER_CNY) == (100, 10_000)
    assert (units.MICRO_PER_CNY, units.MICRO_PER_FEN) == (1_000_000, 10_000)


@pytest.mark.parametrize(
    ("steps", "decimals", "text"),
    [
        (125, 2, "1.25"),
        (0, 2, "0.00"),
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (-125, 2, "-1.25"),
        (100, 2, "1.00"),
        (7, 0, "7"),
        (-7, 0, "-7"),
        (0, 0, "0"),
        (1, 12, "0.000000000001"),
    ],
)
def test_formatting(steps: int, decimals: int, text: str):
    assert format_steps(steps, decimals) == text


def test_formats_of_the_quantities():
    assert (format_energy(125), format_price(4200), format_money(1_000_001)) == ("1.25", "0.4200", "1.000001")


@given(WHOLE, st.integers(0, 12))
def test_what_is_written_reads_back(steps: int, decimals: int):
    text = format_steps(steps, decimals)
    assume(len(text.partition(".")[0].lstrip("-")) <= 12)
    assert parse_steps(text, decimals) == steps


@given(st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", fullmatch=True), st.integers(0, 12))
def test_reading_agrees_with_decimal_arithmetic(text: str, decimals: int):
    assume(text.isascii())
    exact = Decimal(text).scaleb(decimals)
    if exact == exact.to_integral_value():
        assert parse_steps(text, decimals) == int(exact)
    else:
        with pytest.raises(UnitError):
            parse_steps(text, decimals)


@given(st.text(max_size=12), st.integers(0, 6))
def test_any_text_is_a_number_or_refused(text: str, decimals: int):
    try:
        steps = parse_steps(text, decimals)
    except UnitError:
        return
    assert Decimal(text).scaleb(decimals) == steps


# ------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("limit_kw", "slot_minutes", "lots"),
    [
        ("4", 15, 100),
        ("0", 15, 0),
        ("-0", 15, 0),
        ("0.04", 15, 1),
        ("0.0399", 15, 0),
        ("0.079999999999", 15, 1),
        ("250", 15, 6250),
        ("1", 60, 100),
        ("1", 5, 8),
        ("1", 7, 11),
        ("1", 1, 1),
        ("0.599999999999", 1, 0),
        ("999999999999.999999999999", 1440, 2_399_999_999_999_999),
    ],
)
def test_a_limit_is_rounded_down_to_lots(limit_kw: str, slot_minutes: int, lots: int):
    assert limit_lots_floor(limit_kw, slot_minutes) == lots


@pytest.mark.parametrize("limit_kw", ["-1", "-0.1", "", "x", "1e3", " 1", "+1", "NaN", ".5"])
def test_a_limit_is_a_decimal_of_at_least_zero(limit_kw: str):
    with pytest.raises(UnitError, match=r"not a limit in kW, a decimal >= 0"):
        limit_lots_floor(limit_kw, 15)


@given(st.integers(0, 10**12 - 1), st.integers(0, 10**12 - 1), st.integers(1, 1440))
def test_a_limit_is_the_floor_of_the_exact_value(whole_kw: int, pico_kw: int, slot_minutes: int):
    exact_lots = (whole_kw + Fraction(pico_kw, 10**12)) * slot_minutes / 60 * 100
    assert limit_lots_floor(f"{whole_kw}.{pico_kw:012}", slot_minutes) == exact_lots.__floor__()


# --------------------------------------------------------------------------------------------------- money


@pytest.mark.parametrize(
    ("micro", "fen"), [(0, 0), (9_999, 0), (10_000, 1), (19_999, 1), (-1, -1), (-10_000, -1), (-10_001, -2)]
)
def test_floor_fen_rounds_down(micro: int, fen: int):
    assert floor_fen(micro) == fen


@given(st.integers())
def test_what_floor_fen_leaves_is_less_than_a_fen(micro: int):
    assert 0 <= micro - floor_fen(micro) * units.MICRO_PER_FEN < units.MICRO_PER_FEN


def test_lots_times_ticks_is_micro():
    assert Price(4200) * Energy(150) == Money(630_000)
    assert str(Price(4200) * Energy(150)) == "0.630000 CNY"
    assert (str(Price(4200)), str(Energy(150))) == ("0.4200 CNY/kWh", "1.50 kWh")


def test_values_of_one_unit_compare_and_do_not_change():
    assert Energy(1) < Energy(2) and Money(-1) < Money(0) and max(Price(1), Price(3)) == Price(3)
    assert Energy(1) != Money(1)
    with pytest.raises(AttributeError):
        Energy(1).lots = 2  # type: ignore[misc] - that it can not be assigned is the point


# ------------------------------------------------------------------------------------------------ instants


@pytest.mark.parametrize(
    ("text", "instant_s"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-07-01T10:15:00Z", 1_782_900_900),
        ("1969-12-31T23:59:59Z", -1),
        ("2024-02-29T00:00:00Z", 1_709_164_800),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
        ("1000-01-01T00:00:00Z", -30_610_224_000),
        ("0999-12-31T00:00:00Z", -30_610_310_400),
    ],
)
def test_instants(text: str, instant_s: int):
    assert parse_instant_s(text) == instant_s
    assert format_instant(instant_s) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-07-01",
        "2026-07-01T10:15:00",
        "2026-07-01T10:15:00+00:00",
        "2026-07-01T10:15:00+08:00",
        "2026-07-01 10:15:00Z",
        "2026-07-01t10:15:00z",
        "2026-07-01T10:15Z",
        "2026-07-01T10:15:00.000Z",
        "2026-7-1T10:15:00Z",
        "20260701T101500Z",
        " 2026-07-01T10:15:00Z",
        "2026-07-01T10:15:00Z\n",
        "２026-07-01T10:15:00Z",
    ],
)
def test_what_is_no_utc_instant(text: str):
    with pytest.raises(UnitError, match="is not a UTC instant"):
        parse_instant_s(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_instants_that_do_not_exist(text: str):
    with pytest.raises(UnitError, match="is not a date that exists"):
        parse_instant_s(text)


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))
def test_instants_read_back(moment: datetime):
    moment = moment.replace(microsecond=0)
    instant_s = int(moment.timestamp())
    assert parse_instant_s(format_instant(instant_s)) == instant_s
    assert datetime.fromtimestamp(instant_s, UTC) == moment


def test_instants_do_not_depend_on_where_the_machine_stands(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        assert parse_instant_s("2026-07-01T10:15:00Z") == 1_782_900_900
        assert format_instant(1_782_900_900) == "2026-07-01T10:15:00Z"
    time.tzset()
