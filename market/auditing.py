"""``jinsha audit``: the audit, wired with a market's folder and with what finance adds to it."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy.exc import DBAPIError

from data.database import sqlite_url
from finance import audit as finance_audit
from finance import audit_acts, audit_life, audit_outside, audit_sales
from finance.credit import replay
from market import audit_rules, audit_withdrawals, config, serving
from market.config import INSTITUTIONS, Config, ConfigError
from market.genesis import genesis_of
from settlement import audit, audit_receipts, hexjson
from settlement.audit import AuditTerms, Scene, Step
from settlement.audit_receipts import Receipt
from settlement.chain import ChainError, ReadableChain
from settlement.chain_store import ChainFileError
from settlement.deploy import deploy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a market's folder; the market may be running")
    parser.add_argument("--database", metavar="URL", help="postgresql://... instead of market.db in the folder")
    parser.add_argument("--chain", metavar="URL", help="JSON-RPC of an EVM network instead of chain.db in the folder")
    parser.add_argument("--thorough", action="store_true", help="every block again, every signature a second time")
    parser.add_argument("--seed", type=int, help="choose the same signatures for the second verifier as an earlier run")
    parser.add_argument(
        "--receipt",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a receipt that a member holds, JSON as it was answered: does the journal have what it acknowledges?",
    )


def run(arguments: argparse.Namespace) -> int:
    """Audit a market. Exit code 0; 1 at the first contradiction; 2 when it can not be read."""
    try:
        return _audit(arguments)
    except (ConfigError, ChainError, ChainFileError, DBAPIError, OSError) as error:
        sys.stderr.write(f"jinsha audit: {str(error).splitlines()[0]}\n")
        return 2


def _audit(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.folder
    terms = config.load(folder)
    genesis = genesis_of(terms)
    database, chain = folder / "market.db", folder / "chain.db"
    for path, given in ((database, arguments.database), (chain, arguments.chain)):
        if given is None and not path.exists():
            raise ConfigError(f"{path} is not there: this market has never been served")
    source: Path | ReadableChain = chain
    if arguments.chain is not None:
        source = deploy(arguments.chain, genesis, config.load_relayer_key(folder))
    public = AuditTerms(
        engine_rules=terms.rules,
        rules=terms.settlement_rules,
        genesis=genesis,
        operator=INSTITUTIONS["operator"],
        checker=INSTITUTIONS["checker"],
        reading_signers=frozenset({INSTITUTIONS["meter_operator"]}),
        witnesses=terms.witness_keys,
    )
    url = arguments.database or sqlite_url(database)
    receipts = [_receipt(path) for path in arguments.receipt]
    result = audit.run(
        url,
        source,
        public,
        thorough=arguments.thorough,
        seed=arguments.seed,
        more_steps=partial(_more_steps, terms, receipts),
    )
    return result.exit_code


def _receipt(path: Path) -> Receipt:
    try:
        return hexjson.load(path.read_bytes(), Receipt)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is no receipt: {error}") from error


def _more_steps(terms: Config, receipts: Sequence[Receipt], scene: Scene) -> list[Step]:
    """The steps on what lies above settlement: finance, then the market's own tables, then what members hold."""
    return [*steps_above(serving.genesis_of(terms, scene.chain), scene), *audit_receipts.steps(receipts)]


def steps_above(begun: Mapping[str, object], scene: Scene) -> list[Step]:
    """Finance and the market's own tables; ``begun`` is what may not change while the market lives."""
    rules = [*audit_acts.steps(scene), *audit_life.steps(scene), *audit_sales.steps(scene)]
    finance = [*finance_audit.steps(scene), *rules, *audit_outside.steps(scene), *replay.steps(scene)]
    return [*finance, *audit_rules.steps(scene, begun), *audit_withdrawals.steps(scene)]
