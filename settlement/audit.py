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
from sqlalchemy.exc import DBAPIError

from data.database import open_database, reading
from settlement import audit_chain, audit_market, audit_settlement, calls, publish_store
from settlement.audit_scene import SAMPLE, AuditTerms, Examine, ReadableChain, Sampler, Scene, Step, Tick
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

    ``seed`` chose the signatures that were verified twice. ``witnesses`` is how many outside parties countersigned
    the chain: none can yet, so an audit says UNWITNESSED.
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
        found = _audit(held, database_url, chain, terms, _Course(progress, examined, thorough, seed, more_steps))
    return _report(console, AuditResult(examined, found, seed))


class _Course(NamedTuple):
    """How an audit is run, and what it has done so far."""

    progress: Progress
    examined: list[Examined]
    thorough: bool
    seed: int
    more_steps: StepsOf


def _audit(
    held: ExitStack, database_url: str, chain: Path | ReadableChain, terms: AuditTerms, course: _Course
) -> Contradiction | None:
    if isinstance(chain, Path):
        title, unit, total, examine = audit_chain.block_step(chain, thorough=course.thorough)
        found = _carry_out(course, title, unit, total, examine)
        if found is not None:
            return found
    scene = _open(held, database_url, chain, terms, Sampler(None if course.thorough else SAMPLE, course.seed))
    if isinstance(scene, Contradiction):
        return scene
    for step in _all_steps(scene, course):
        found = _carry_out(course, step.title, step.unit, step.total, partial(step.examine, scene))
        if found is not None:
            return found
    return None


def _open(
    held: ExitStack, database_url: str, chain: Path | ReadableChain, terms: AuditTerms, sampler: Sampler
) -> Scene | Contradiction:
    """Look at the chain, at the database, at the chain again: what it had at first must be in the database."""
    committed, proposed = _heights(chain, terms)
    database = open_database(database_url)
    held.callback(database.dispose)
    connection = held.enter_context(reading(database))
    file = held.enter_context(FileChain(chain, terms.genesis.salt, compiled())) if isinstance(chain, Path) else None
    readable = file if file is not None else chain
    assert not isinstance(readable, Path)
    keys = audit_market.read_keys(publish_store.all_keys(connection))
    if isinstance(keys, Contradiction):
        return keys
    events = readable.events(0)
    struck = struck_by(events)
    replay = JournalReplay(terms.engine_rules, readable.domain("Clearing"), terms.operator, keys)
    parties = Parties(terms.operator, terms.checker, terms.reading_signers, keys)
    return Scene(
        connection=connection,
        chain=readable,
        file=file,
        terms=terms,
        sampler=sampler,
        committed=committed,
        proposed=proposed,
        events=events,
        keys=keys,
        meters={meter.node: meter for meter in publish_store.all_meters(connection)},
        replay=replay,
        examiner=CycleExaminer(terms.rules, readable.domain("Clearing"), parties, replay, lambda: struck),
    )


def _heights(chain: Path | ReadableChain, terms: AuditTerms) -> tuple[int, int]:
    """How many commitments and proposals the chain has."""
    if isinstance(chain, Path):
        with FileChain(chain, terms.genesis.salt, compiled()) as before:
            return _heights(before, terms)
    return int(chain.view(calls.commit_index())[0]), int(chain.view(calls.proposed_cycle())[0])


# --------------------------------------------------------------------------------------------------- steps


def _all_steps(scene: Scene, course: _Course) -> Iterator[Step]:
    """One after the other: a step is made when those before it are done, for it may depend on what they found."""
    yield from audit_chain.first_steps(scene)
    yield from audit_market.steps(scene)
    yield from audit_settlement.steps(scene)
    which = "all of them" if course.thorough else f"chosen with seed {course.seed}"
    yield Step(f"a second verifier, {which}", "signatures", len(scene.sampler.kept), _verify_again)
    yield from audit_chain.last_steps(scene)
    yield from course.more_steps(scene)


def _verify_again(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    for result in first_bad(scene.sampler.kept, second=True):
        if isinstance(result, Contradiction):
            yield result._replace(why=f"{result.why}, says the second verifier")
        else:
            tick(result)


def _carry_out(course: _Course, title: str, unit: str, total: int, examine: Examine) -> Contradiction | None:
    """The first contradiction of a step; a value that nobody could have written, or a torn page, is one too."""
    task, done = course.progress.add_task(title, total=total), 0

    def tick(more: int) -> None:
        nonlocal done
        done += more
        course.progress.advance(task, more)

    try:
        found = next(examine(tick), None)
    except (ValueError, TypeError, LookupError, OverflowError, DBAPIError, sqlite3.Error) as error:
        found = Contradiction("record", title, f"after {done} {unit}", f"holds what nobody wrote: {error!r}")
    if found is None:
        course.progress.update(task, total=max(done, 1), completed=max(done, 1))
    course.examined.append(Examined(title, done, unit))
    return found


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
    if not result.witnesses:
        console.print("[bold yellow]UNWITNESSED[/]: no outside party has countersigned this chain.", highlight=False)
    return result
