"""House rules that no ready-made linter knows, each a short function that looks at one file.

``python -m tools.house_rules [folder]`` prints one line for each breach (`file:line: rule: what to do`) and exits 1
when there is one. Ruff already refuses prints, blind and bare excepts and swallowed exceptions; here it is only asked
that whoever switches such a check off says why.
"""

import ast
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

PACKAGES = ("market", "finance", "settlement", "matching", "data", "verifier")
LONGEST_FILE_LINES = 450
LONG_ON_PURPOSE = (
    "matching/kernel.py",  # compiled code is cached by file: its first lines say more
    "data/tables.py",  # every table, in the order of an order's life, in one place
)

SQL_FILES = (
    "*/store.py",
    "*_store.py",
    "data/tables.py",
    "data/migrations/versions/*.py",
    "data/frames.py",
    "data/bulk.py",
    "settlement/outbox.py",
)
SQL_BUILDERS = {"select", "insert", "update", "delete", "text"}
RAW_SQL = re.compile(r"\s*(SELECT|INSERT INTO|INSERT OR|UPDATE|DELETE FROM|CREATE TABLE|DROP TABLE)\s", re.ASCII)

MONEY_PATHS = (
    "matching/*.py",
    "finance/*.py",
    "settlement/delivery.py",
    "settlement/netting.py",
    "settlement/cycle.py",
    "settlement/acts.py",
    "settlement/trade_leaf.py",
    "settlement/merkle.py",
    "settlement/intents.py",
    "settlement/store.py",
    "market/risk.py",
    "market/wire.py",
    "market/store.py",
    "data/units.py",
    "data/ids.py",
    "data/tables.py",
)

STATISTICS = ("finance/credit/simulated.py", "finance/credit/fit.py", "finance/credit/judging.py")
"""In a folder of money, but their floats are probabilities: a card and its points are whole again."""

TEXT_ENDINGS = {
    ".py",
    ".vy",
    ".md",
    ".toml",
    ".txt",
    ".cfg",
    ".ini",
    ".json",
    ".j2",
    ".html",
    ".yml",
    ".yaml",
    ".csv",
    "",
}
HOMES = re.compile(r"(/home/|/Users/|/root/)\w", re.ASCII)
ADDRESSES = re.compile(
    "|".join(
        (
            r"(extra-)?index-" + r"url",
            r'"resolved": *"' + "http",
            r"^registry *=",
            r"@ *" + r"https?://",
            r"(pypi|pythonhosted)\." + r"org/(simple|packages)",
            r"registry\.npmjs\." + r"org",
        )
    ),
    re.MULTILINE,
)

NAMED_FILE = re.compile(r"`([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*\.(?:py|vy|md|toml|csv|parquet|j2))`")
NAMED_OBJECT = re.compile(r"`((?:" + "|".join(PACKAGES) + r")(?:\.(?!(?:toml|db|csv)`)[A-Za-z_]\w*)+)(?:\(\))?`")
NAMED_DOCUMENT = re.compile(r"\b(docs/[a-z0-9_/-]+\.md)\b")
PROMISE = re.compile(r"\b(TO" + "DO|FIX" + r"ME|XX" + r"X)\b")
EXEMPTION = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma|pylint)\b[^#]*")
REASON = re.compile(r"(?:\]|[A-Z]+[0-9]+)\s*(?:-|:|#)+\s*\w+|#[^#]*#\s*\w+")


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.advice}"


class Source:
    """One file of the project: its path from the root, its text, its syntax tree if it is Python."""

    def __init__(self, root: Path, path: str) -> None:
        self.root, self.path = root, path

    @cached_property
    def text(self) -> str:
        return (self.root / self.path).read_text(encoding="utf-8", errors="replace")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")

    @property
    def is_product(self) -> bool:
        return self.is_python and self.path.split("/")[0] in PACKAGES

    @property
    def is_document(self) -> bool:
        return self.path == "README.md" or (self.path.startswith("docs/") and self.path.endswith(".md"))

    def matches(self, *patterns: str) -> bool:
        return any(fnmatch(self.path, pattern) for pattern in patterns)

    def find(self, pattern: re.Pattern[str]) -> Iterator[tuple[int, re.Match[str]]]:
        for found in pattern.finditer(self.text):
            yield self.text.count("\n", 0, found.start()) + 1, found


Breach = tuple[int, str]


def sql_only_in_stores(source: Source) -> Iterator[Breach]:
    """Queries are written in stores, and nowhere else."""
    if not source.is_product or source.matches(*SQL_FILES):
        return
    advice = "move the query into the package's store.py and call it by a name that says what is asked"
    for node in ast.walk(source.tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == "sqlalchemy":
                built = sorted({name.name for name in names} & SQL_BUILDERS)
                if built:
                    yield node.lineno, f"imports {', '.join(built)}: {advice}"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="sqlalchemy" | "sa"), attr=attr)) if (
                attr in SQL_BUILDERS
            ):
                yield node.lineno, f"builds SQL with {attr}: {advice}"
            case ast.Constant(value=str(text)) if RAW_SQL.match(text):
                yield node.lineno, f"writes SQL as text: {advice}"


def no_float_near_money(source: Source) -> Iterator[Breach]:
    """Money, energy and price are whole numbers."""
    if not source.matches(*MONEY_PATHS) or source.matches(*STATISTICS):
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.Constant(value=float(number)):
                yield node.lineno, f"the float {number} stands in a money path: write it as a whole number of steps"
            case ast.Call(func=ast.Name(id="float")):
                yield node.lineno, "float() in a money path: parse steps with data.units instead"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node.lineno, "/ makes a float in a money path: use // in a function whose name says the rounding"


def no_machine_path(source: Source) -> Iterator[Breach]:
    """The tree runs anywhere."""
    places = [re.escape(str(source.root))] if source.root.parent != source.root else []
    for line, found in source.find(re.compile("|".join([*places, HOMES.pattern]))):
        yield line, f"{found.group(0)!r} is a path of one machine: use a path from the project's root"


def no_download_address(source: Source) -> Iterator[Breach]:
    """Where packages come from is the user's choice."""
    for line, found in source.find(ADDRESSES):
        yield line, f"{found.group(0)!r} records where packages are downloaded: name the package and version only"


def documents_name_what_exists(source: Source) -> Iterator[Breach]:
    """A document names only files, modules, classes and functions that are there."""
    if source.is_document:
        for line, found in source.find(NAMED_FILE):
            name = found.group(1)
            if "/" in name and not (source.root / name).exists():
                yield line, f"names {name}, which does not exist: correct the name or take it out"
        for line, found in source.find(NAMED_OBJECT):
            if not _defines(source.root, found.group(1).split(".")):
                yield line, f"names {found.group(1)}, which is not defined: correct the name or take it out"
    if source.is_python:
        for line, found in source.find(NAMED_DOCUMENT):
            if not source.path.startswith("tests/") and not (source.root / found.group(1)).exists():
                yield line, f"refers to {found.group(1)}, which does not exist: correct it or write the page"


def _defines(root: Path, names: list[str]) -> bool:
    """Whether ``package.module.Class.method`` (or any start of it) is there."""
    place = root
    while names and (place / names[0]).is_dir():
        place, names = place / names[0], names[1:]
    if not names:
        return (place / "__init__.py").exists()
    module = place / f"{names[0]}.py"
    if not module.exists():
        return False
    body: list[ast.stmt] = ast.parse(module.read_text(encoding="utf-8")).body
    for name in names[1:]:
        found = next((node for node in body if name in _names_of(node)), None)
        if found is None:
            return False
        body = found.body if isinstance(found, ast.ClassDef) else []
    return True


def _names_of(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
        case _:
            return []


def no_long_file(source: Source) -> Iterator[Breach]:
    """One file, one idea."""
    lines = source.text.count("\n")
    is_code = source.path.endswith((".py", ".vy")) and not source.matches("tests/*", *LONG_ON_PURPOSE)
    if is_code and lines >= LONGEST_FILE_LINES:
        yield lines, f"{lines} lines: split it where a second idea starts (fewer than {LONGEST_FILE_LINES})"


def skips_have_reasons(source: Source) -> Iterator[Breach]:
    """A test that does not run says why."""
    if not (source.is_python and source.path.startswith("tests/")):
        return
    for node in ast.walk(source.tree):
        names = [decorator for decorator in getattr(node, "decorator_list", []) if isinstance(decorator, ast.Attribute)]
        for bare in names:
            if bare.attr in {"skip", "skipif", "xfail"}:
                yield bare.lineno, f"{bare.attr} without a reason: add reason='...', or let the test run"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = {keyword.arg for keyword in node.keywords}
            attr, is_pytest = node.func.attr, ast.unparse(node.func).startswith("pytest.")
            said = "reason" in given or (attr == "skip" and node.args)
            if is_pytest and attr in {"skip", "skipif", "xfail"} and not said:
                yield node.lineno, f"{attr} without a reason: add reason='...', or let the test run"


def no_promises(source: Source) -> Iterator[Breach]:
    """What is not done stands in docs/decisions/, not in a comment."""
    for line, found in source.find(PROMISE):
        yield line, f"{found.group(0)}: do it, or list it among what is thin on purpose in docs/decisions/"


def exemptions_have_reasons(source: Source) -> Iterator[Breach]:
    """Who switches a check off says which one, and why."""
    if not source.is_product:
        return
    for number, text in enumerate(source.text.splitlines(), 1):
        found = EXEMPTION.search(text)
        if found and not REASON.search(text[found.start() :]):
            yield number, f"{found.group(0).strip()!r} gives no reason: name the check and add `- why` behind it"


RULES: dict[str, Callable[[Source], Iterator[Breach]]] = {
    "sql-only-in-stores": sql_only_in_stores,
    "no-float-near-money": no_float_near_money,
    "no-machine-path": no_machine_path,
    "no-download-address": no_download_address,
    "documents-name-what-exists": documents_name_what_exists,
    "no-long-file": no_long_file,
    "skips-have-reasons": skips_have_reasons,
    "no-promises": no_promises,
    "exemptions-have-reasons": exemptions_have_reasons,
}


def project_files(root: Path) -> Iterator[str]:
    """Paths, from the root, of every text file that is the project's own (no caches, builds or environments)."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if (not name.startswith(".") or name == ".ci")
            and name not in {"build", "dist", "node_modules", "__pycache__"}
            and not name.endswith(".egg-info")
        )
        for name in sorted(names):
            if Path(name).suffix in TEXT_ENDINGS:
                yield (Path(folder) / name).relative_to(root).as_posix()


def check(root: Path) -> list[Finding]:
    """Every breach in the project under ``root``, file by file."""
    findings = []
    for path in project_files(root):
        source = Source(root, path)
        for rule, look in RULES.items():
            findings += [Finding(path, line, rule, advice) for line, advice in look(source)]
    return findings


def main(arguments: list[str]) -> int:
    root = Path(arguments[0] if arguments else ".").resolve()
    findings = check(root)
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    sys.stdout.write(f"{len(RULES)} rules, {len(findings)} breaches\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
