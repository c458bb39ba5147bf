"""Break the rules of matching one by one and see which test notices: whether the tests prove what they seem to.

``python -m tools.mutation [reference] [compiled] [--only TEXT] [--jobs N]`` takes the entries of
``tests/matching/mutants_of_*.txt``. For each it copies the tree, makes the change, and runs tests until the first that
fails. Prints a line for each and exits 1 when one is not noticed, can not be made, or does not run.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MATCHING = "tests/matching"
LONGEST_RUN_S = 400
COPIED = ("matching", "data", "tests", "pyproject.toml")

SUITES = {
    "reference": [
        *(f"{MATCHING}/test_{name}.py" for name in ("worked_examples", "fit_and_priority", "room_and_held_orders")),
        *(f"{MATCHING}/test_{name}.py" for name in ("orders", "grid", "engine_face", "properties")),
        *("-k", "not compiled"),
    ],
    "compiled": [f"{MATCHING}/test_equal_engines.py", f"{MATCHING}/test_compiled_engine.py"],
}
"""What must notice: the rules themselves for the reference, and the reference for the compiled engine."""

FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)(?: - (.*))?$", re.MULTILINE)
STARTED = re.compile(r"^(\S+::\S+)", re.MULTILINE)
NOT_RUNNING = re.compile(r"TypingError|LoweringError|SyntaxError|NameError|UnboundLocalError|ImportError")


@dataclass(frozen=True)
class Mutant:
    rule: str
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Outcome:
    is_noticed: bool
    how: str


def read_mutants(path: Path) -> Iterator[Mutant]:
    """The entries of a file: ``rule: file``, lines ``- old``, lines ``+ new``; ``#`` begins a comment."""
    for block in path.read_text().split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            rule, _, file = lines[0].rpartition(": ")
            old, new = ("\n".join(line[2:] for line in lines[1:] if line.startswith(sign)) for sign in "-+")
            yield Mutant(rule, file, old, new)


def try_mutant(suite: str, mutant: Mutant | None) -> Outcome:
    """Make the change in a copy of the tree and run the tests there; None changes nothing."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.parquet"))
            else:
                shutil.copy2(source, tree / name)
        if mutant:
            file = tree / "matching" / mutant.file
            text = file.read_text()
            found = text.count(mutant.old)
            if found != 1 or mutant.old == mutant.new:
                return Outcome(False, f"NOT MADE: the old text is there {found} times")
            file.write_text(text.replace(mutant.old, mutant.new))
        return _run(suite, tree)


def _run(suite: str, tree: Path) -> Outcome:
    options = ["-x", "-v", "--tb=no", "-rfE", "-p", "no:cacheprovider", "-W", "ignore"]
    command = [sys.executable, "-m", "pytest", *options, *SUITES[suite]]
    ours = {"PYTHONPATH": f"{tree}{os.pathsep}{ROOT}", "NUMBA_CACHE_DIR": str(tree / "numba"), "COLUMNS": "400"}
    # compiled without optimisation: that takes half as long, and the tests are short
    environment = os.environ | ours | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "NUMBA_OPT": "0"}
    out = tree / "out.txt"
    with out.open("w") as log:
        try:
            ended = subprocess.run(
                command, cwd=tree, env=environment, stdout=log, stderr=log, timeout=LONGEST_RUN_S, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            ended = None
    text = out.read_text(errors="replace")
    started = STARTED.findall(text)
    last = started[-1] if started else "no test"
    failed = FAILED.search(text)
    if ended == 0:
        return Outcome(False, "SURVIVED")
    if ended is None or ended < 0:
        return Outcome(True, f"{_short(last)} {'hangs' if ended is None else 'crashes'}")
    if ended != 1 or not failed or NOT_RUNNING.search(failed[2] or ""):
        return Outcome(False, f"DOES NOT RUN: {text[-300:]}")
    return Outcome(True, _short(failed[1]))


def _short(test: str) -> str:
    return test.removeprefix(f"{MATCHING}/")


def try_all(suite: str, only: str, jobs: int) -> int:
    """Returns how many were not noticed."""
    whole = try_mutant(suite, None)
    if whole.how != "SURVIVED":
        print(f"{suite}: the tests fail without any change: {whole.how}")
        return 1
    mutants = [each for each in read_mutants(ROOT / MATCHING / f"mutants_of_{suite}.txt") if only in each.rule]
    outcomes: Counter[bool] = Counter()
    with ThreadPoolExecutor(jobs) as pool:
        for mutant, outcome in zip(mutants, pool.map(lambda each: try_mutant(suite, each), mutants), strict=True):
            print(f"{suite}  {mutant.file:13} {mutant.rule:56} {outcome.how}", flush=True)
            outcomes[outcome.is_noticed] += 1
    print(f"{suite}: {len(mutants)} rules broken, {outcomes[True]} noticed")
    return outcomes[False]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", help=f"of {', '.join(SUITES)}; all when none is named")
    parser.add_argument("--only", default="", help="rules that have this text in their name")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args(arguments)
    return 1 if sum(try_all(suite, options.only, options.jobs) for suite in options.suites or SUITES) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
