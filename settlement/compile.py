"""The contracts, compiled from source on first use and kept by what they were compiled from.

The cache is one JSON file in ``$JINSHA_CACHE`` or ``~/.cache/jinsha``, named by the hash of all sources, compiler and
settings; a changed source is another file. Compiling takes half a minute and says so; reading the cache takes no time.
Each contract is compiled by a process of its own, ``python -m settlement.compile NAME``, as many at once as there are
cores.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from settlement.chain import CONTRACTS

SOURCES = Path(__file__).parent / "contracts"
CODE_SIZE_CAP = 24_576
"""Bytes of code that a deployed contract may have (EIP-170)."""


class Compiled(msgspec.Struct, frozen=True):
    """A contract ready to be deployed: constructor code without arguments, and its JSON ABI."""

    name: str
    creation_code: bytes
    abi: list[dict[str, Any]]


class CompileError(Exception):
    """A contract does not compile; the message is the compiler's."""


def silent(line: str) -> None:
    """Says nothing, to those who do not want to hear of progress."""
    del line


def compiled(say: Callable[[str], None] = silent) -> dict[str, Compiled]:
    """All contracts by name. ``say`` gets a line for each one that must be compiled first."""
    path = cache_folder() / f"contracts-{_content_hash()}.json"
    kept = _read(path)
    if kept is None:
        kept = _compile_all(say)
        _write(path, kept)
    return kept


def cache_folder() -> Path:
    """Where compiled contracts are kept between runs."""
    chosen = os.environ.get("JINSHA_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "jinsha"


@cache
def _content_hash() -> str:
    digest = hashlib.sha256(version("vyper").encode())
    for source in sorted(SOURCES.glob("*.vy")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def _compile_all(say: Callable[[str], None]) -> dict[str, Compiled]:
    found = {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        begun = [threads.submit(_compile_apart, name) for name in CONTRACTS]
        say(f"compiling {len(CONTRACTS)} contracts, once")
        for done in as_completed(begun):
            found[done.result().name] = done.result()
            say(f"compiled contract {len(found)} of {len(CONTRACTS)}: {done.result().name}")
    return {name: found[name] for name in CONTRACTS}


def _compile_apart(name: str) -> Compiled:
    command = [sys.executable, "-m", "settlement.compile", name]
    ended = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    if ended.returncode != 0:
        raise CompileError(f"{name} does not compile:\n{ended.stderr.decode('utf-8', 'replace')}")
    return msgspec.json.decode(ended.stdout, type=Compiled)


def _compile(name: str) -> Compiled:
    # importing the compiler takes a second: only where it is needed
    compiler: Any = import_module("vyper.compiler")
    bundles: Any = import_module("vyper.compiler.input_bundle")
    sources = bundles.FilesystemInputBundle([SOURCES])
    output = compiler.compile_from_file_input(
        sources.load_file(SOURCES / f"{name}.vy"),
        input_bundle=sources,
        output_formats=["bytecode", "bytecode_runtime", "abi"],
    )
    assert len(bytes.fromhex(output["bytecode_runtime"][2:])) <= CODE_SIZE_CAP, f"{name} is too large to deploy"
    return Compiled(name, bytes.fromhex(output["bytecode"][2:]), output["abi"])


def _read(path: Path) -> dict[str, Compiled] | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Compiled])
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write(path: Path, contracts: dict[str, Compiled]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(msgspec.json.encode(contracts))
    Path(file.name).replace(path)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(_compile(sys.argv[1])))
