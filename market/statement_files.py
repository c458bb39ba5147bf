"""A monthly statement as one printable HTML page that asks nobody for anything, and as CSV with every line."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from data.units import format_energy, format_money, format_price
from market.monthly import Statement, local
from market.openapi.page import Page, digest
from market.statement_store import StatementLine
from market.statement_words import Language, Words, energy, money, price

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would compute, at the start of a text."""

CSV_COLUMNS = (
    "cycle_number",
    "line",
    "day",
    "slot",
    "meter",
    "kind",
    "counterparty",
    "trade",
    "energy_kwh",
    "price",
    "amount",
    "where",
    "adjusts",
    "estimated",
)


class Heading(NamedTuple):
    """Whose statement it is, of which market, and when it was made."""

    member: int
    name: str
    market: str
    zone: ZoneInfo
    made: datetime


def page_of(statement: Statement, heading: Heading, language: Language) -> Page:
    """The page, with the policy that it is served under: its own style and nothing else."""
    style = files("market").joinpath("pages", "statement.css").read_text("utf-8")
    pages = Environment(loader=PackageLoader("market", "pages"), autoescape=True, undefined=StrictUndefined)
    pages.filters.update(money=money, price=price, energy=energy)
    html = pages.get_template("statement.html.j2").render(
        statement=statement, heading=heading, words=Words(language), style=Markup(style)
    )
    policy = (
        f"default-src 'none'; style-src '{digest(style)}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return Page(html.encode(), policy)


def csv_of(lines: Iterable[StatementLine], zone: ZoneInfo, language: Language) -> Iterator[bytes]:
    """The rows of the file, UTF-8 with a byte order mark, for spreadsheets in China guess without it."""
    words, text = Words(language), io.StringIO()
    writer = csv.writer(text)
    text.write("\ufeff")
    writer.writerow([words(name) for name in CSV_COLUMNS])
    for line in lines:
        writer.writerow(_cells(line, zone, words))
        if text.tell() > 2**16:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _cells(line: StatementLine, zone: ZoneInfo, words: Words) -> tuple[object, ...]:
    return (
        line.cycle,
        line.line,
        line.day,
        local(line.slot_s, zone).isoformat(),
        _plain(line.meter),
        words(f"kind.{line.kind}"),
        "" if line.counterparty is None else line.counterparty,
        "" if line.trade_id is None else line.trade_id,
        format_energy(line.energy_lots),
        format_price(line.price_ticks),
        format_money(line.amount_micro),
        words(f"how.{line.how}"),
        "" if line.adjusts is None else line.adjusts,
        words("yes" if line.is_estimated else "no"),
    )


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
