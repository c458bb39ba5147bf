"""``jinsha simulate``: a neighbourhood of real profiles trades one day over the real HTTP interface, and settles it.

The market's own processes run beside this one, on a clock that is moved by hand: ``jinsha serve`` with its chain, and
``jinsha checker`` with the checker's key. Everything that owners, banks and institutions do goes over HTTP, signed with
keys of their own; nothing here looks into the database. In the end stand a report and an audit.
"""

import argparse
import asyncio
import json
import shutil
import signal
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import aiohttp

from data.units import format_instant
from market import children, institutions, report, simulated_finance, simulated_sales, simulated_town, simulated_trading
from market.chain_process import ADDRESS
from market.children import ChildDiedError, Children
from market.client import Client, ClientError
from market.institutions import StuckError
from market.neighbourhood import Neighbourhood, read_neighbourhood
from market.simulated_finance import Finance
from market.simulated_screen import Screen
from market.simulated_town import Town
from market.simulated_trading import Trading
from market.tariff import NeighbourhoodError

SAMPLE = Path(__file__).parent.parent / "data" / "sample"
HOST = "127.0.0.1"
PEOPLE = "people"
MARK = "simulation.json"
"""Stands in every folder that a simulation made; only such a folder is ever cleared for the next one."""

PASSED = "✓"
"""Stands before each check that an audit passed."""

START_S = 180.0
READY_POLL_S = 0.25


FAILED, UNUSABLE, INTERRUPTED = 1, 2, 130
"""Exit codes."""


class SimulationError(Exception):
    """It can not begin; the message is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Options:
    neighbourhood: Path
    work: Path
    day: date | None
    port: int
    seed: int
    rounds: int
    exit: bool

    @property
    def server(self) -> str:
        return f"http://{HOST}:{self.port}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "neighbourhood",
        type=Path,
        nargs="?",
        default=SAMPLE,
        help="folder with grid.csv, meters.csv, profiles.parquet and tariff.toml (default: the sample)",
    )
    parser.add_argument(
        "--day", type=date.fromisoformat, help="local day to trade (default: the first in the profiles)"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build/demo"), help="folder of the market (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8420, help="default: %(default)s")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed gives the same trades (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, choices=range(1, 5), default=3, help="rounds of trading (default: %(default)s)"
    )
    parser.add_argument("--exit", action="store_true", help="stop the market when done, instead of leaving it up")


def run(arguments: argparse.Namespace) -> int:
    """The command. Exit codes: 0 the day was traded, settled, financed, and the audit found no contradiction; 1 it did,
    or the market failed; 2 neighbourhood, folder or port can not be used; 130 interrupted."""
    options = Options(**{name: getattr(arguments, name) for name in Options.__slots__})
    screen = Screen()
    try:
        return asyncio.run(_run(options, screen))
    except (NeighbourhoodError, SimulationError) as error:
        screen.say(str(error), style="bold red")
        return UNUSABLE
    except (StuckError, ChildDiedError, ClientError) as error:
        screen.say(str(error), style="bold red")
        return FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.say("stopped")
        return INTERRUPTED


async def _run(options: Options, screen: Screen) -> int:
    neighbourhood = read_neighbourhood(options.neighbourhood)
    day = _chosen_day(neighbourhood, options.day)
    screen.say(
        f"{options.neighbourhood}: {len(neighbourhood.meters)} meters of {len(neighbourhood.owners)} owners, "
        f"{len(neighbourhood.nodes)} nodes; trading {day}",
        style="bold",
    )
    _check_port(options.port)
    _make_folder(options, day)
    _stop_on_signals()
    async with Children(options.work) as running, aiohttp.ClientSession() as http:
        await _start(options, screen, running, neighbourhood, day)
        town = simulated_town.open_town(http, options.server, options.work, neighbourhood, day=day, seed=options.seed)
        trading, finance = Trading(), Finance()
        await running.guard(_wait_ready(town.operator, screen))
        await _start_checker(options, running)
        await running.guard(_live(town, options, screen, trading, finance))
        is_sound = await running.guard(_conclude(town, options, screen, trading, finance))
        if not options.exit:
            screen.say(
                f"\nThe market stays open at {options.server} until Ctrl-C; the keys of everyone are in "
                f"{options.work / 'keys'} and {options.work / PEOPLE}.",
                style="bold",
            )
            with suppress(asyncio.CancelledError):  # Ctrl-C is how a market that is left open ends
                await running.guard(_forever())
            screen.say("closing the market")
    return 0 if is_sound else 1


def _chosen_day(neighbourhood: Neighbourhood, asked: date | None) -> date:
    """The day asked for, or else the first. Raises NeighbourhoodError, SimulationError."""
    tariff = neighbourhood.tariff
    if tariff.horizon_hours < simulated_trading.LEAST_HORIZON_HOURS:
        raise SimulationError(
            f"tariff.toml: [market] horizon_hours: owners trade from noon of the day before, which takes at least "
            f"{simulated_trading.LEAST_HORIZON_HOURS}"
        )
    days = neighbourhood.profiles.days(tariff.time_zone)
    day = asked or (days[0] if days else date.min)
    neighbourhood.profiles.slots_of(day, tariff.time_zone)  # raises with what there is
    return day


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SimulationError(f"port {port} is taken ({error.strerror}); choose another with --port") from error


def _make_folder(options: Options, day: date) -> None:
    """A fresh folder for the market; an earlier simulation's is cleared, anything else is left alone."""
    work = options.work
    if work.exists() and any(work.iterdir()):
        if not (work / MARK).exists():
            raise SimulationError(f"{work} holds something that no simulation made; choose another with --work")
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    facts = {"neighbourhood": str(options.neighbourhood), "day": day.isoformat(), "seed": options.seed}
    (work / MARK).write_text(json.dumps(facts), encoding="utf-8")


def _stop_on_signals() -> None:
    """SIGTERM ends us as Ctrl-C does, with the children stopped in order."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


# --------------------------------------------------------------------------------------------- the processes


async def _start(options: Options, screen: Screen, running: Children, neighbourhood: Neighbourhood, day: date) -> None:
    with screen.stage("Making the market") as stage:
        stage.note(f"keys and terms in {options.work}")
        code, lines = await children.run(["init", str(options.work), "--from", str(options.neighbourhood)])
        if code:
            raise SimulationError("\n".join(["jinsha init failed:", *lines]))
    clock = format_instant(simulated_trading.opening_of(day, neighbourhood.tariff))
    await running.start(
        "server", ["serve", str(options.work), "--clock", f"manual:{clock}", "--port", str(options.port)]
    )


async def _start_checker(options: Options, running: Children) -> None:
    key = options.work / "keys" / "checker.pem"
    chain = (options.work / ADDRESS).read_text("ascii")
    await running.start("checker", ["checker", "--server", options.server, "--key", str(key), "--chain", chain])


async def _wait_ready(operator: Client, screen: Screen) -> None:
    with screen.stage("Starting server and chain") as stage:
        stage.note("contracts are compiled and deployed")
        give_up = asyncio.get_running_loop().time() + START_S
        while asyncio.get_running_loop().time() < give_up:
            with suppress(aiohttp.ClientError):
                async with operator.http.get(f"{operator.server}/readyz") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(READY_POLL_S)
        raise StuckError(f"the market did not start in {START_S:.0f} s; its log tells why")


async def _forever() -> None:
    await asyncio.Event().wait()


# ----------------------------------------------------------------------------------------------- the story


async def _live(town: Town, options: Options, screen: Screen, trading: Trading, finance: Finance) -> None:
    """From an empty market to the last repayment."""
    await _gather_people(town, options, screen)
    owners = len(town.desks)
    with screen.stage("Trading, signed and over HTTP", owners * options.rounds) as stage:
        await simulated_trading.trade(town, options.rounds, trading, stage.step)
    with screen.stage("The day: gates close", simulated_trading.hours_of(town)) as stage:
        await simulated_trading.live_through(town, stage.step)
    with screen.stage("Meters report", len(town.neighbourhood.meters) * len(town.slots_s)) as stage:
        await simulated_trading.deliver(town, trading, stage.step)
    with screen.stage("Settling the day") as stage:
        await simulated_finance.settle(town, stage.note)
    with screen.stage("Debtors acknowledge") as stage:
        acknowledged = await simulated_finance.acknowledge(town, stage.step)
    with screen.stage("Sellers ask the banks") as stage:
        listed = await simulated_finance.put_up(town, acknowledged, stage.step)
    with screen.stage("An auction, and a program", 2) as stage:
        left = await simulated_sales.sell_two(town, listed, stage.step)
    with screen.stage("Banks bid", len(left) * len(town.banks)) as stage:
        await simulated_finance.bid(town, left, finance, stage.step)
    with screen.stage("Sellers take the better offer", len(left)) as stage:
        await simulated_finance.sell(town, left, stage.step)
    with screen.stage("Debts fall due and are paid", len(acknowledged)) as stage:
        await simulated_finance.repay(town, stage.step)


async def _gather_people(town: Town, options: Options, screen: Screen) -> None:
    with screen.stage("Members, grid, meters, money") as stage:
        await simulated_town.log_in([town.operator, town.custodian, town.meter_operator])
        await simulated_town.register(town, options.work / PEOPLE)
        stage.note(f"{len(town.desks)} owners and {len(town.banks)} banks admitted")
        await simulated_town.connect(town)
        clients = [client for _, client in town.banks] + [desk.client for desk in town.desks]
        await simulated_town.log_in(clients)
        await simulated_town.fund(town)
        await institutions.until_idle(town.operator)
        stage.note(f"{len(clients)} members logged in, with money on the chain")


async def _conclude(town: Town, options: Options, screen: Screen, trading: Trading, finance: Finance) -> bool:
    """Audit and report; whether the audit found everything in order."""
    with screen.stage("Audit from the outside") as stage:
        code, lines = await children.run(["audit", str(options.work)], stage.note)
        verdict = _verdict(lines)
        stage.note(verdict)
    for what, counted in (("orders", trading.refused), ("readings", trading.quarantined), ("offers", finance.refused)):
        _say_refusals(screen, what, counted)
    if code:
        screen.say("\n".join(lines), style="bold red")
    tariff = town.tariff
    facts = report.Facts(
        title=f"{options.neighbourhood.name}, {town.day}",
        time_zone=tariff.time_zone,
        slot_minutes=tariff.slot_minutes,
        retail_ticks=tariff.retail_ticks,
        feed_in_ticks=tariff.feed_in_ticks,
        shortfall_ticks=tariff.shortfall_ticks,
        elapsed_s=screen.elapsed_s,
        audit=verdict,
    )
    made = await asyncio.to_thread(report.build, f"sqlite:///{(options.work / 'market.db').resolve()}", facts)
    page = options.work / "report.html"
    page.write_text(made.html, encoding="utf-8")
    (options.work / "report.txt").write_text(made.text, encoding="utf-8")
    screen.say(f"\n{made.text}")
    screen.say(f"The same with charts: {page}", style="bold")
    return code == 0


def _verdict(lines: Sequence[str]) -> str:
    """How many checks an audit passed, and what it said in the end."""
    passed = [line for line in lines if line.startswith(PASSED)]
    said = " ".join(line for line in lines if not line.startswith(PASSED))
    return f"{len(passed)} checks: {said}" if said else f"{len(passed)} checks"


def _say_refusals(screen: Screen, what: str, counted: Counter[str]) -> None:
    if counted:
        told = ", ".join(f"{count} {code}" for code, count in counted.most_common())
        screen.say(f"  {what} refused: {told}", style="yellow")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
