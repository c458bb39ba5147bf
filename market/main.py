"""Composition root and command line: everything is wired here only.

``jinsha init | serve | settings | backup | checker | audit | score | readings | witness | evidence | verify |
replay | simulate``, each with ``--help``. Exit codes: 0 done, 1 a contradiction or failure was found, 2 bad arguments
or a folder that can not be used, 70 a bug, 130 Ctrl-C.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

INTERRUPTED = 130


class _Command(NamedTuple):
    """A command's module (it has ``add_arguments`` and ``run``) is loaded only when the command is used."""

    module: str
    summary: str


_COMMANDS = {
    "init": _Command("market.initialising", "make a market's folder: terms, keys, genesis salt"),
    "serve": _Command("market.serve", "run a market: HTTP, sequencer, settlement, embedded chain"),
    "settings": _Command("market.showing", "list every setting of a server, where it comes from and what it means"),
    "backup": _Command("market.backing_up", "copy a market, which may be running, so that it can be served again"),
    "checker": _Command("market.checking", "compute everything again, and sign what holds"),
    "audit": _Command("market.auditing", "prove a market's records from the outside"),
    "witness": _Command("market.witnessing", "countersign the chain's head, as an outside party"),
    "evidence": _Command("market.evidencing", "write all that stands behind a trade into one file"),
    "verify": _Command("verifier.command", "verify a proof or evidence offline, with nothing but the file"),
    "score": _Command("market.score_command", "fit a scorecard, or make every decision about credit again"),
    "readings": _Command("market.reading_files", "check a file of meter readings, or send it to a market"),
    "iso20022": _Command("market.bank_files", "check files that banks sent, or that they will be sent"),
    "replay": _Command("market.replaying", "run a file of commands through the engine, or a market's journal again"),
    "simulate": _Command("market.simulation", "let a neighbourhood live through a day of trading"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The ``jinsha`` command. Returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="jinsha", description="Neighbours trade electricity, settle on a chain, and finance what is owed."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    runs: dict[str, Callable[[argparse.Namespace], int]] = {}
    for name, command in _COMMANDS.items():
        chosen = commands.add_parser(
            name, help=command.summary, description=f"{command.summary[0].upper()}{command.summary[1:]}."
        )
        if given[:1] == [name]:
            module = import_module(command.module)
            module.add_arguments(chosen)
            runs[name] = module.run
    options = parser.parse_args(given)
    try:
        return runs[options.command](options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 1


if __name__ == "__main__":
    sys.exit(main())
