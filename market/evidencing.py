"""``jinsha evidence``: all that stands behind a trade, in one file for ``jinsha verify``, with a cover for people."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from data.database import open_database, sqlite_url
from finance.trade_evidence import Source, TradeEvidence, trade_evidence
from market import config
from market.config import INSTITUTIONS, ConfigError
from market.evidence_cover import cover
from market.genesis import genesis_of
from settlement import hexjson
from settlement.chain import ChainError, ReadableChain
from settlement.chain_file import FileChain
from settlement.chain_store import ChainFileError
from settlement.compile import compiled
from settlement.deploy import deploy
from settlement.event_proof import EventNotProvableError
from settlement.evidence import InconsistentRecordError

_WHY = {
    "not_found": "there is no such trade, or not of this member",
    "not_committed": "the chain has no commitment to it yet",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trade", type=int, help="the trade's number")
    parser.add_argument("--settings", type=Path, required=True, metavar="market.toml", help="of the market's folder")
    parser.add_argument("--member", type=int, help="only this side's, for itself; otherwise both, for a court")
    parser.add_argument("--database", metavar="URL", help="postgresql://... instead of market.db in the folder")
    parser.add_argument("--chain", metavar="URL", help="JSON-RPC of an EVM network instead of chain.db in the folder")
    parser.add_argument("--out", type=Path, metavar="FILE", help="(default: evidence-TRADE.json; the cover beside it)")


def run(arguments: argparse.Namespace) -> int:
    """Write a trade's evidence and its cover: 0; 1 when there is none; 2 when the market can not be read."""
    try:
        found = _gather(arguments)
    except (
        ConfigError,
        ChainError,
        ChainFileError,
        EventNotProvableError,
        InconsistentRecordError,
        DBAPIError,
        OSError,
    ) as error:
        sys.stderr.write(f"jinsha evidence: {str(error).splitlines()[0]}\n")
        return 2
    if isinstance(found, str):
        sys.stderr.write(f"jinsha evidence: {_WHY[found]}\n")
        return 1
    out: Path = arguments.out or Path(f"evidence-{arguments.trade}.json")
    payload = hexjson.dumps(found)
    out.write_bytes(payload)
    beside = out.with_suffix(".html")
    beside.write_text(cover(found, payload, out.name), "utf-8")
    sys.stdout.write(f"{out}\n{beside}\n")
    return 0


def _gather(arguments: argparse.Namespace) -> TradeEvidence | str:
    folder: Path = arguments.settings.absolute().parent
    terms = config.load(folder)
    genesis, path = genesis_of(terms), folder / "chain.db"
    with ExitStack() as held:
        database = open_database(arguments.database or sqlite_url(folder / "market.db"))
        held.callback(database.dispose)
        chain: ReadableChain
        if arguments.chain is None:
            chain = held.enter_context(FileChain(path, genesis.salt, compiled()))
        else:
            chain = deploy(arguments.chain, genesis, config.load_relayer_key(folder))
        offices = INSTITUTIONS["operator"], INSTITUTIONS["checker"]
        source = Source(database, chain, terms.settlement_rules, *offices)
        return trade_evidence(
            source, arguments.trade, None if arguments.member is None else frozenset({arguments.member})
        )
