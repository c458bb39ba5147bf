"""The audit: a market's database and chain read as a stranger would, and everything in them computed again.

It believes what the chain holds once the chain's own blocks have been checked, and the market's public terms; all
else must follow: the journal's chain and its receipts, every trade by replaying every command, every order's end,
every signature (on all cores, and a sample a second time with another implementation), roots leaf by leaf, readings,
statements line by line, deltas, what was sent to the chain and what came back, balances, and the conservation of
money. It shows its progress, says what it checked and how much, and stops at the first contradiction, which it names
by table, key and column, or by block and field.
"""

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from data.database import open_database, reading
from settlement import (
    audit_chain,
    audit_market,
    audit_members,
    audit_settlement,
    audit_witnesses,
    calls,
    publish_store,
)
from settlement.audit_scene import SAMPLE, AuditTerms, Examine, Sampler, Scene, Step, Tick
from settlement.chain import ReadableChain
from settlement.chain_file import FileChain
from settlement.compile import compiled
from settlement.contradiction import Contradiction
from settlement.dispute_acts import struck_by
from settlement.examine_cycle import CycleExaminer, Parties
from settlement.journal_replay import JournalReplay
from settlement.verify_pool import first_bad

__all__ = ["AuditResult", "AuditTerms", "Examined", "Scene", "Step", "run"]

StepsOf = Callable[[Scene], Sequence[Step]]


class Examined(NamedTuple):
    """One step that was carried out, and how many of which unit it examined."""

    title: str
    done: int
    unit: str


class AuditResult(NamedTuple):
    """What was examined, and the first contradiction if there is one.

    ``seed`` chose the signatures that were verified twice. ``witnesses`` is how many outside parties have countersigned
    the chain up to its last hour; without any, an audit says UNWITNESSED.
    """

    examined: list[Examined]
    contradiction: Contradiction | None
    seed: int
    witnesses: int = 0

    @property
    def exit_code(self) -> int:
        return 0 if self.contradiction is None else 1


def run(
    database_url: str,
    chain: Path | ReadableChain,
    terms: AuditTerms,
    *,
    thorough: bool = False,
    seed: int | None = None,
    more_steps: StepsOf = lambda _: (),
    console: Console | None = None,
) -> AuditResult:
    """Audit a market; prints progress and the result on ``console`` (standard output).

    ``chain`` is the embedded chain's file or a network's ``Chain``; both may be in use meanwhile. ``thorough`` runs
    every block again and verifies every signature twice. ``more_steps`` adds what lies above settlement; those steps
    come last and find the examined cycles in the scene. Raises DBAPIError when the database cannot be read,
    ChainFileError or ChainUnavailableError when the chain cannot.
    """
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    console = console or Console()
    examined: list[Examined] = []
    with ExitStack() as held:
        progress = held.enter_context(_progress(console))
        course = _Course(progress, examined, thorough, seed, more_steps)
        found, witnesses = _audit(held, database_url, chain, terms, course)
    return _report(console, AuditResult(examined, found, seed, witnesses))


class _Course(NamedTuple):
    """How an audit is run, and what it has done so far."""

    progress: Progress
    examined: list[Examined]
    thorough: bool
    seed: int
    more_steps: StepsOf


def _audit(
    held: ExitStack, database_url: str, chain: Path | ReadableChain, terms: AuditTerms, course: _Course
) -> tuple[Contradiction | None, int]:
    """The first contradiction, and how many witnesses there are."""
    if isinstance(chain, Path):
        title, unit, total, examine = audit_chain.block_step(chain, thorough=course.thorough)
        found = _carry_out(course, title, unit, total, examine)
        if found is not None:
            return found, 0
    scene = _open(held, database_url, chain, terms, Sampler(None if course.thorough else SAMPLE, course.seed))
    if isinstance(scene, Contradiction):
        return scene, 0
    for step in all_steps(scene, thorough=course.thorough, seed=course.seed, more_steps=course.more_steps):
        found = _carry_out(course, step.title, step.unit, step.total, partial(step.examine, scene))
        if found is not None:
            return found, 0
    return None, audit_witnesses.witness_count(scene)


def _open(
    held: ExitStack, database_url: str, chain: Path | ReadableChain, terms: AuditTerms, sampler: Sampler
) -> Scene | Contradiction:
    """Look at the chain, at the database, at the chain again: what it had at first must be in the database."""
    heights = _heights(chain, terms)
    database = open_database(database_url)
    held.callback(database.dispose)
    connection = held.enter_context(reading(database))
    readable = held.enter_context(open_file(chain, terms)) if isinstance(chain, Path) else chain
    return open_scene(connection, readable, heights, terms, sampler)


def open_file(path: Path, terms: AuditTerms) -> FileChain:
    """The embedded chain's file, to be read."""
    return FileChain(path, terms.genesis.salt, compiled())


def open_scene(
    connection: Connection,
    chain: ReadableChain,
    heights: tuple[int, int] | None,
    terms: AuditTerms,
    sampler: Sampler,
) -> Scene | Contradiction:
    """What every step starts from, or the first key that is none.

    ``heights`` are how many commitments and proposals the chain had before ``connection`` took its snapshot; None asks
    the chain now, where nobody writes.
    """
    committed, proposed = heights or _heights(chain, terms)
    keys = audit_market.read_keys(publish_store.all_keys(connection))
    if isinstance(keys, Contradiction):
        return keys
    events = chain.events(0)
    struck = struck_by(events)
    replay = JournalReplay(terms.engine_rules, chain.domain("Clearing"), terms.operator, keys)
    parties = Parties(terms.operator, terms.checker, terms.reading_signers, keys)
    return Scene(
        connection=connection,
        chain=chain,
        file=chain if isinstance(chain, FileChain) else None,
        terms=terms,
        sampler=sampler,
        committed=committed,
        proposed=proposed,
        events=events,
        keys=keys,
        meters={meter.node: meter for meter in publish_store.all_meters(connection)},
        replay=replay,
        examiner=CycleExaminer(terms.rules, chain.domain("Clearing"), parties, replay, lambda: struck),
    )


def _heights(chain: Path | ReadableChain, terms: AuditTerms) -> tuple[int, int]:
    """How many commitments and proposals the chain has."""
    if isinstance(chain, Path):
        with open_file(chain, terms) as before:
            return _heights(before, terms)
    return int(chain.view(calls.commit_index())[0]), int(chain.view(calls.proposed_cycle())[0])


# --------------------------------------------------------------------------------------------------- steps


def all_steps(scene: Scene, *, thorough: bool, seed: int, more_steps: StepsOf) -> Iterator[Step]:
    """One after the other: a step is made when those before it are done, for it may depend on what they found."""
    yield from audit_chain.first_steps(scene)
    yield from audit_market.steps(scene)
    yield from audit_settlement.steps(scene)
    which = "all of them" if thorough else f"chosen with seed {seed}"
    yield Step(f"a second verifier, {which}", "signatures", len(scene.sampler.kept), _verify_again)
    yield from audit_members.steps(scene)
    yield from audit_chain.last_steps(scene)
    yield from audit_witnesses.steps(scene)
    yield from more_steps(scene)


def _verify_again(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    for result in first_bad(scene.sampler.kept, second=True):
        if isinstance(result, Contradiction):
            yield result._replace(why=f"{result.why}, says the second verifier")
        else:
            tick(result)


def _carry_out(course: _Course, title: str, unit: str, total: int, examine: Examine) -> Contradiction | None:
    """Carry out one step with its progress shown."""
    task, done = course.progress.add_task(title, total=total), 0

    def tick(more: int) -> None:
        nonlocal done
        done += more
        course.progress.advance(task, more)

    found = _first(title, examine, tick)
    if found is None:
        course.progress.update(task, total=max(done, 1), completed=max(done, 1))
    course.examined.append(Examined(title, done, unit))
    return found


def first_contradiction(step: Step, scene: Scene) -> Contradiction | None:
    """What a step finds first, with nothing shown."""
    return _first(step.title, partial(step.examine, scene), lambda _: None)


def _first(title: str, examine: Examine, tick: Tick) -> Contradiction | None:
    """A value that nobody could have written, or a torn page, is a contradiction too."""
    try:
        return next(examine(tick), None)
    except (ValueError, TypeError, LookupError, OverflowError, DBAPIError, sqlite3.Error) as error:
        return Contradiction("record", title, "a value", f"holds what nobody wrote: {error!r}")


# -------------------------------------------------------------------------------------------------- report


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def _report(console: Console, result: AuditResult) -> AuditResult:
    for each in result.examined:
        is_last = result.contradiction is not None and each is result.examined[-1]
        mark = "[red]✗[/]" if is_last else "[green]✓[/]"
        console.print(f"  {mark} {each.title}: {each.done:,} {each.unit}", highlight=False)
    if result.contradiction is not None:
        console.print(f"[bold red]CONTRADICTION[/] {result.contradiction}", highlight=False, markup=True)
    else:
        console.print("[bold green]No contradiction.[/]", highlight=False)
    if result.witnesses:
        console.print(f"Witnessed by {result.witnesses} outside parties up to its last hour.", highlight=False)
    else:
        console.print(
            "[bold yellow]UNWITNESSED[/]: no outside party has countersigned this chain up to its last hour.",
            highlight=False,
        )
    return result
