"""Break the rules of matching one by one and see which test notices: whether the tests prove what they seem to.

``python -m tools.mutation [reference] [compiled] [--only TEXT]`` takes the entries of
``tests/matching/mutants_of_*.txt``. They are woven into one copy of the tree, compiled once; then a process for each
mutant runs tests until the first that fails. Prints a line for each and exits 1 when one is not noticed.
"""

import argparse
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.weaving import weave

ROOT = Path(__file__).resolve().parent.parent
MATCHING = "tests/matching"
COPIED = ("matching", "data", "tests", "pyproject.toml")
LONGEST_SILENCE_S = 60
MOST_BYTES = 6 * 2**30  # some mutants would never have enough

SUITES = {
    "reference": [
        *(f"{MATCHING}/test_{name}.py" for name in ("worked_examples", "fit_and_priority", "room_and_held_orders")),
        *(f"{MATCHING}/test_{name}.py" for name in ("orders", "grid", "engine_face", "properties")),
        *("-k", "not compiled"),
    ],
    "compiled": [f"{MATCHING}/test_equal_engines.py", f"{MATCHING}/test_compiled_engine.py"],
}
"""What must notice: the rules themselves for the reference, and the reference for the compiled engine."""

SWITCH = """
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

CELL = np.zeros(1, np.int64)


def chosen() -> int:
    return int(CELL[0])


@intrinsic
def chosen_when_compiled(typingctx):
    def codegen(context, builder, signature, args):
        whole = ir.IntType(64)
        return builder.load(builder.inttoptr(ir.Constant(whole, CELL.ctypes.data), whole.as_pointer()))

    return types.int64(), codegen
"""
"""Which mutant runs, as a module of the copy."""

FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - (.*))?$", re.MULTILINE)
STARTED = re.compile(r"^(\S+::.+?)(?: (?:PASSED|FAILED|SKIPPED).*)?$", re.MULTILINE)
NOT_RUNNING = re.compile(r"TypingError|LoweringError|SyntaxError|NameError|UnboundLocalError|ImportError")


@dataclass(frozen=True)
class Mutant:
    rule: str
    file: str
    old: str
    new: str

    def made_of(self, text: str) -> str:
        """The text with this change. Raises ValueError unless the old text is there exactly once."""
        found = text.count(self.old)
        if found != 1 or self.old == self.new:
            raise ValueError(f"{self.rule}: the old text is in {self.file} {found} times")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Outcome:
    is_noticed: bool
    how: str


def read_mutants(suite: str) -> list[Mutant]:
    return list(parse_mutants((ROOT / MATCHING / f"mutants_of_{suite}.txt").read_text()))


def parse_mutants(text: str) -> Iterator[Mutant]:
    """Entries are ``rule: file``, then lines ``- old`` and lines ``+ new``; ``#`` begins a comment."""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            rule, _, file = lines[0].rpartition(": ")
            old, new = ("\n".join(line[2:] for line in lines[1:] if line.startswith(sign)) for sign in "-+")
            yield Mutant(rule, file, old, new)


def make_tree(tree: Path, mutants: Sequence[Mutant]) -> None:
    """A copy of the tree with all mutants in it; the first is number 1. Raises ValueError for one that can not be."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.parquet"))
        else:
            shutil.copy2(ROOT / name, tree / name)
    (tree / "matching" / "mutation_switch.py").write_text(SWITCH)
    for file in {mutant.file for mutant in mutants}:
        path = tree / "matching" / file
        text = path.read_text()
        texts = {number: each.made_of(text) for number, each in enumerate(mutants, 1) if each.file == file}
        name = "chosen_when_compiled as chosen" if file == "kernel.py" else "chosen"
        path.write_text(weave(text, texts, f"from matching.mutation_switch import {name}"))


def prepare(tree: Path, is_compiled: bool) -> None:
    """This process uses the copy from now on, and its children what it has imported and compiled."""
    sys.dont_write_bytecode = True
    # compiled without optimisation: that takes half as long, and the tests are short
    os.environ |= {"NUMBA_CACHE_DIR": str(tree / "numba"), "NUMBA_OPT": "0", "COLUMNS": "400"}
    sys.path.insert(0, str(tree))
    os.chdir(tree)
    import hypothesis  # noqa: F401 - once, and not in every child
    import pytest  # noqa: F401 - the same

    from matching import fast, mutation_switch, order  # type: ignore[attr-defined]

    assert Path(mutation_switch.__file__).is_relative_to(tree)
    if is_compiled:
        fast.FastEngine(order.Rules(fee_ticks=(0, 0, 0)))


def try_mutant(tree: Path, suite: str, number: int) -> Outcome:
    """Run the tests in a process of their own, with this mutant chosen."""
    out = tree / "out.txt"
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _test(out, suite, number)
    heard, size = time.monotonic(), 0
    ended, status = os.waitpid(child, os.WNOHANG)
    while ended == 0 and time.monotonic() < heard + LONGEST_SILENCE_S:
        time.sleep(0.05)
        if out.exists() and out.stat().st_size != size:
            heard, size = time.monotonic(), out.stat().st_size
        ended, status = os.waitpid(child, os.WNOHANG)
    if ended == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return Outcome(True, f"{_last_test(out)} hangs")
    return _outcome(out, os.waitstatus_to_exitcode(status))


def _test(out: Path, suite: str, number: int) -> None:
    """The child: does not return."""
    import pytest

    from matching import mutation_switch  # type: ignore[attr-defined]

    log = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    mutation_switch.CELL[0] = number
    options = ["-x", "-v", "--tb=no", "-rfE", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore"]
    ended = pytest.main([*options, *SUITES[suite]])
    sys.stdout.flush()
    os._exit(int(ended))


def _outcome(out: Path, code: int) -> Outcome:
    if code == 0:
        return Outcome(False, "SURVIVED")
    if code < 0:
        return Outcome(True, f"{_last_test(out)} crashes")
    failed = FAILED.search(out.read_text(errors="replace"))
    if code != 1 or not failed or NOT_RUNNING.search(failed[2] or ""):
        return Outcome(False, f"DOES NOT RUN: {failed[0] if failed else out.read_text()[-300:]}")
    return Outcome(True, _short(failed[1]))


def _last_test(out: Path) -> str:
    started = STARTED.findall(out.read_text(errors="replace"))
    return _short(started[-1]) if started else "no test"


def _short(test: str) -> str:
    return test.removeprefix(f"{MATCHING}/")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", help=f"of {', '.join(SUITES)}; all when none is named")
    parser.add_argument("--only", default="", help="rules that have this text in their name")
    options = parser.parse_args(arguments)
    suites = options.suites or list(SUITES)
    chosen = [(suite, each) for suite in suites for each in read_mutants(suite) if options.only in each.rule]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        make_tree(tree, [mutant for _, mutant in chosen])
        prepare(tree, "compiled" in suites)
        for suite in suites:
            whole = try_mutant(tree, suite, 0)
            if whole.how != "SURVIVED":
                print(f"{suite}: the tests fail without any change: {whole.how}")
                return 1
        unnoticed = 0
        for number, (suite, mutant) in enumerate(chosen, 1):
            outcome = try_mutant(tree, suite, number)
            print(f"{suite}  {mutant.file:13} {mutant.rule:70} {outcome.how}", flush=True)
            unnoticed += not outcome.is_noticed
        os.chdir(ROOT)
    print(f"{len(chosen)} rules broken, {len(chosen) - unnoticed} noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
