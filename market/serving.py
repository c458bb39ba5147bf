"""A market put together from its parts: the database made ready, the sequencer rebuilt, settlement's steps in order."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine

from data.database import reading
from data.schema import bring_forward
from finance.fapiao import FapiaoFolder
from finance.outside import Outside
from finance.registry_folder import RegistryFolder
from market import control_store, decision_store, factor_store, key_store, member_store, store, token_store
from market.clock import Clock
from market.collar import Collar
from market.config import INSTITUTIONS, SERVER_SECRET, Config, ConfigError
from market.context import Context
from market.decision_store import Decision
from market.feed import Feed
from market.identity import Directory, Member
from market.logs import log
from market.member_store import Registration
from market.metrics import Metrics
from market.rate import MessageRates, Pace
from market.scheduler import Scheduler, Step
from market.sequencer import Sequencer
from market.settings import Limits
from market.state import MarketState
from market.vault import SealError, Vault, new_secret
from settlement.chain import Chain, ReadableChain
from settlement.intents import RECEIPT
from settlement.officer import Officer

COLLECTOR_THRESHOLDS = (50_000, 20, 100)
TURN_S = 0.0005

GENESIS = "genesis"
"""The setting that holds what was fixed when the market began."""


def prepare(database: Engine, config: Config, chain: Chain, now_s: int) -> None:
    """Make the tables and, in a new database, the market's beginning.

    Raises SchemaError when a newer release made the database, ConfigError when the market began otherwise.
    """
    make_tables(database)
    with database.begin() as connection:
        begun = store.read_settings(connection).get(GENESIS)
        fixed = genesis_of(config, chain)
        if begun is None:
            _begin(connection, config, now_s)
            store.put_settings(connection, {GENESIS: fixed})
        else:
            compare(begun, fixed)


def compare(begun: Mapping[str, object], fixed: Mapping[str, object]) -> None:
    """Raises ConfigError, which names what was fixed when the market began and is otherwise now."""
    changed = sorted(name for name in fixed if begun.get(name) != fixed[name])
    if changed:
        raise ConfigError(f"market.toml or the chain is not what this market began with: {', '.join(changed)} changed")


def make_tables(database: Engine) -> None:
    """The tables of this release, out of none or of an earlier release's. Raises SchemaError."""
    done = bring_forward(database)
    if done is not None:
        log(logging.INFO, "schema_brought_forward", before=done.before, after=done.after)


def genesis_of(config: Config, chain: Chain | ReadableChain) -> dict[str, object]:
    """What may not change while a market lives, for orders, journal and settlement are computed with it."""
    contracts = {name: address.hex() for name, address in sorted(chain.addresses.items())}
    return {**fixed_by(config), "chain_id": chain.domain("Clearing").chain_id, "contracts": contracts}


def fixed_by(config: Config) -> dict[str, object]:
    """The part of it that market.toml says."""
    fixed = {
        "market": config.market,
        "fees": config.fees,
        "prices": config.prices,
        "settlement": config.settlement,
        "institutions": config.institutions,
        "salt": config.chain.salt,
    }
    plain: dict[str, object] = msgspec.json.decode(msgspec.json.encode(fixed))
    return plain


def _begin(connection: Connection, config: Config, now_s: int) -> None:
    member_store.add_fund(connection, now_s)
    first = [
        Member(INSTITUTIONS[role], institution.name, "institution", frozenset({role}), "admitted", config.key_of(role))
        for role, institution in config.institutions.items()
    ]
    member_store.add_members(connection, [Registration(member, now_s, now_s) for member in first])
    operator = INSTITUTIONS["operator"]
    decisions = [Decision(member.member_id, "admitted", now_s, operator, "at genesis") for member in first]
    decision_store.add(connection, decisions)


@dataclass(frozen=True)
class Parts:
    """What a market is put together from. ``on_failure`` is called on the loop when the sequencer meets a bug.

    ``secret`` is what members' secrets are sealed with; one of the moment does not outlive the process.
    """

    config: Config
    database: Engine
    clock: Clock
    chain: Chain
    operator: Officer
    on_failure: Callable[[], None]
    secret: bytes = field(default_factory=new_secret)


def assemble(parts: Parts, loop: asyncio.AbstractEventLoop) -> Context:
    """A context whose sequencer runs. Blocks while the journal is replayed.

    Raises SchemaError, RecordError, ConfigError.
    """
    config, database, clock = parts.config, parts.database, parts.clock
    prepare(database, config, parts.chain, clock.now_s())
    directory, vault = Directory(), Vault(parts.secret)
    with reading(database) as connection:
        directory.put(member_store.read_members(connection))
        directory.retire(key_store.retired(connection))
        token_store.fill(connection, directory)
        _fill_factors(connection, directory, vault)
    metrics = Metrics()
    feed = Feed(database, metrics)
    sequencer = Sequencer(
        database=database,
        clock=clock,
        new_state=lambda: MarketState(
            config.rules,
            config.timing,
            config.shortfall_ticks,
            directory.members,
            open_orders=config.limits.open_orders,
            collar=collar_of(config),
        ),
        sign=receipt_signer(parts.operator, parts.chain),
        queue_bound=config.server.queue_bound,
        on_failure=parts.on_failure,
        metrics=metrics,
        listeners=[feed],
    )
    feed.begin(sequencer.look)
    sequencer.start(loop)
    rates = rates_of(config.limits)
    with reading(database) as connection:
        rates.set_own(control_store.read_all(connection))
    return Context(
        config,
        database,
        clock,
        config.timing,
        directory,
        parts.operator,
        sequencer,
        parts.chain,
        feed,
        metrics,
        rates=rates,
        vault=vault,
        outside=outside_of(config),
        reads_bound=config.server.reads_waiting,
    )


def outside_of(config: Config) -> Outside:
    """What is asked outside the market before a sale. Raises ConfigError when a folder is not there."""
    folders = {"registry": config.registry.folder, "fapiao": config.fapiao.folder}
    for section, folder in folders.items():
        if folder and not Path(folder).is_dir():
            raise ConfigError(f"{section}.folder: {folder} is not there")
    return Outside(
        registry=RegistryFolder(Path(folders["registry"])) if folders["registry"] else None,
        fapiao=FapiaoFolder(Path(folders["fapiao"])) if folders["fapiao"] else None,
        fapiao_need=config.fapiao.need,
    )


def _fill_factors(connection: Connection, directory: Directory, vault: Vault) -> None:
    try:
        factor_store.fill(connection, directory, vault)
    except SealError as error:
        raise ConfigError(f"keys/{SERVER_SECRET} is not the one that this market's secrets are sealed with") from error


def collar_of(config: Config) -> Collar:
    """The price collar of a market without trades."""
    return Collar(
        config.collar_ticks,
        middle_ticks=(config.feed_in_ticks + config.retail_ticks) // 2,
        slot_s=config.slot_s,
        floor_ticks=config.rules.floor_ticks,
        cap_ticks=config.rules.cap_ticks,
    )


def rates_of(limits: Limits) -> MessageRates:
    """How fast members and strangers may send."""
    return MessageRates(
        members=Pace(limits.messages_per_s, limits.message_burst),
        batch_orders=limits.batch_orders,
        strangers=Pace(limits.stranger_posts_per_s, limits.stranger_post_burst),
    )


def receipt_signer(operator: Officer, chain: Chain) -> Callable[[int, bytes], bytes]:
    """The operator's word for a batch: its last sequence and the journal's head after it."""
    domain = chain.domain("Clearing")

    def sign(sequence: int, journal_head: bytes) -> bytes:
        return operator.approve(RECEIPT.digest(domain, {"sequence": sequence, "journalHead": journal_head})).signature

    return sign


def schedule(context: Context, steps: Sequence[tuple[str, Step]]) -> Scheduler:
    """The scheduler of a context; it still has to be run."""
    context.scheduler = Scheduler(context.clock, context.sequencer, steps, context.learn)
    log(logging.INFO, "scheduled", steps=len(steps))
    return context.scheduler


def tune_interpreter() -> None:
    """Let the garbage collector look less often, and threads take turns more often.

    A market keeps millions of small values, and few of them in cycles; what is there when it is ready stays for good.
    The writer's thread lets go of the interpreter's lock at each statement, and would wait for a busy event loop as
    long as the usual interval each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    sys.setswitchinterval(TURN_S)
