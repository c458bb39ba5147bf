"""``jinsha score``: fit a scorecard to simulated communities, or make every decision of a market again.

``fit`` needs the extra ``score`` (optbinning). It writes the card as a file that the setting ``credit.card`` can name,
and what is to be said of it into a document, between two marks or at its end. ``replay`` reads a market's database,
which may be running. Exit codes: 0 done; 1 a decision does not follow from its input; 2 not possible.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from sqlalchemy.exc import ArgumentError, DBAPIError

from data.database import open_database, reading, sqlite_url
from finance.credit import card as cards
from finance.credit import replay, store
from finance.credit.card import CardError

_BEGIN, _END = "<!-- written by `jinsha score fit` -->", "<!-- until here -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="score", required=True, metavar="fit | replay")
    fitting = commands.add_parser("fit", help="fit a card to simulated communities and judge it on others")
    fitting.add_argument(
        "--members", type=int, default=40_000, help="simulated members, four tenths of them for judging"
    )
    fitting.add_argument("--seed", type=int, default=7, help="another seed, other communities")
    fitting.add_argument("--repeats", type=int, default=4, help="so many more worlds tell how much is luck")
    fitting.add_argument("--name", default="fitted-1", help="what the card is called")
    fitting.add_argument("--card", type=Path, help="write the card to this file")
    fitting.add_argument("--report", type=Path, help="write the figures into this document")
    again = commands.add_parser("replay", help="make every decision again from what was kept of it")
    again.add_argument("market", help="a market's folder, or the URL of its database")


def run(arguments: argparse.Namespace) -> int:
    return _fit(arguments) if arguments.score == "fit" else _replay(arguments.market)


# ----------------------------------------------------------------------------------------------------- fit


def _fit(arguments: argparse.Namespace) -> int:
    from finance.credit.fit import FitError
    from finance.credit.judging import outcome

    if arguments.members < 1_000:
        sys.stderr.write("jinsha score: below 1,000 members there are too few defaults to tell anything\n")
        return 2
    try:
        found = outcome(
            cards.read(cards.EXPERT),
            members=arguments.members,
            seed=arguments.seed,
            name=arguments.name,
            repeats=arguments.repeats,
        )
        cards.parse(found.card.content)
    except (FitError, CardError) as error:
        sys.stderr.write(f"jinsha score: {error}\n")
        return 2
    from market.score_report import report

    text = report(found, arguments.members, arguments.seed)
    sys.stdout.write(text)
    if arguments.card is not None:
        arguments.card.write_bytes(msgspec.json.format(found.card.content, indent=1) + b"\n")
    if arguments.report is not None:
        put_between_marks(arguments.report, text)
    return 0


def put_between_marks(path: Path, text: str) -> None:
    """Replace what an earlier run wrote, or write at the end of the document, or a new one."""
    page = path.read_text("utf-8") if path.exists() else ""
    if _BEGIN not in page or _END not in page:
        page = f"{page.rstrip()}\n\n{_BEGIN}\n{_END}\n".lstrip()
    before, rest = page.split(_BEGIN, 1)
    path.write_text(f"{before}{_BEGIN}\n\n{text}\n{_END}{rest.split(_END, 1)[1]}", "utf-8")


# -------------------------------------------------------------------------------------------------- replay


def _replay(market: str) -> int:
    url = market if "://" in market else sqlite_url(Path(market) / "market.db")
    if url.startswith("sqlite") and not (Path(market) / "market.db").exists() and "://" not in market:
        sys.stderr.write(f"jinsha score: {market} has no market.db: it has never been served\n")
        return 2
    try:
        found = list(_found(url))
    except (ArgumentError, DBAPIError) as error:
        sys.stderr.write(f"jinsha score: {str(error).splitlines()[0]}\n")
        return 2
    screen = Console(soft_wrap=True, highlight=False)
    for line in found:
        screen.print(line)
    return 1 if len(found) > 1 else 0


def _found(url: str) -> Iterator[str]:
    """Every difference, then how many decisions were made again."""
    database, count = open_database(url), 0

    def tick(more: int) -> None:
        nonlocal count
        count += more

    try:
        with reading(database) as connection:
            yield from map(str, replay.replay(connection, tick))
            models = len(store.models(connection))
        yield f"{count:,} decisions made again with {models} cards"
    finally:
        database.dispose()
