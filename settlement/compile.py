"""The contracts, compiled from source on first use and kept by what they were compiled from.

The cache is one JSON file in ``$JINSHA_CACHE`` or ``~/.cache/jinsha``, named by the hash of all sources, compiler and
settings; a changed source is another file. Compiling takes some seconds and says so; reading the cache takes none.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
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


def silent(line: str) -> None:
    """Says nothing, to those who do not want to hear of progress."""
    del line


def compiled(say: Callable[[str], None] = silent) -> dict[str, Compiled]:
    """All contracts by name. ``say`` gets a line for each one that must be compiled first."""
    path = cache_folder() / f"contracts-{_content_hash()}.json"
    kept = _read(path)
    if kept is None:
        kept = {}
        for number, name in enumerate(CONTRACTS, 1):
            say(f"compiling contract {number} of {len(CONTRACTS)}: {name}")
            kept[name] = _compile(name)
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
