"""The witness's process: follows the chain from head to head, signs what extends what it signed, tells the market.

It keeps its statements in a file of its own, one JSON object a line, to which it only appends: that file, and its key,
are all that it needs to trust. A head that does not extend the last one that it signed is not signed; the witness says
which block is another one now, and stops: a chain that was rewritten is for people to look at.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from settlement import hexjson, signatures, witnesses
from settlement.checker_client import MarketClient, MarketRefusedError, MarketUnreachableError
from settlement.event_proof import EventNotProvableError
from settlement.headers import BlockHeader, HeaderError, check_linked, read_header
from settlement.hexjson import Hex
from settlement.jsonrpc import JsonRpc
from settlement.rpc import headers_over
from settlement.witnesses import Signer, Statement

AT_ONCE = 500
_PAUSE_S = 0.5


class RewrittenError(Exception):
    """The chain no longer holds what this witness has signed."""


class StatementsFileError(Exception):
    """The witness's own file is not what it wrote."""


class PublishedHeaders(msgspec.Struct, frozen=True):
    """The answer of ``GET /v1/chain/headers``: each header's bytes, whose keccak is its block's hash."""

    headers: tuple[Hex, ...]
    head: int


class Headers(Protocol):
    """Where a witness reads the chain."""

    def __call__(self, first: int, last: int) -> list[BlockHeader]:
        """Headers from a block on, as far as there are any. Raises MarketUnreachableError, ChainError, HeaderError."""


def headers_of_market(client: MarketClient) -> Headers:
    """The chain as the market shows it to everyone."""

    def read(first: int, last: int) -> list[BlockHeader]:
        body = client.get(f"/v1/chain/headers?from={first}&limit={last - first + 1}")
        return [read_header(each) for each in hexjson.load(body, PublishedHeaders).headers]

    return read


def headers_of_node(rpc: JsonRpc) -> Headers:
    """The chain as a node of the witness's own choice has it."""

    def read(first: int, last: int) -> list[BlockHeader]:
        try:
            return headers_over(rpc, first, last)
        except EventNotProvableError as error:
            raise HeaderError(str(error)) from error

    return read


# -------------------------------------------------------------------------------------------------- its own file


class StatementsFile:
    """Statements, one a line, appended and on the disk before anybody is told."""

    def __init__(self, path: Path, signer: Signer) -> None:
        """Raises StatementsFileError when it holds what this witness never signed, OSError."""
        self._path = path
        self.statements = list(_read(path, signer)) if path.exists() else []

    @property
    def last(self) -> Statement | None:
        return self.statements[-1] if self.statements else None

    def append(self, statement: Statement) -> None:
        with self._path.open("ab") as file:
            file.write(hexjson.dumps(statement) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.statements.append(statement)


def _read(path: Path, signer: Signer) -> Iterator[Statement]:
    key, last = signatures.public_key(signer.key), None
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            said = hexjson.load(line, Statement)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise StatementsFileError(f"{path}: line {number}: {error}") from error
        wrong = witnesses.problem(said, last, key, signer.domain)
        if wrong is not None:
            raise StatementsFileError(f"{path}: line {number}: {wrong} is not what this witness signed next")
        yield said
        last = said


# ------------------------------------------------------------------------------------------------------- a round


def follow(headers: Headers, last: Statement | None) -> BlockHeader:
    """The head of the chain, followed hash by hash from the block that was signed last; else from its first block.

    Raises RewrittenError, HeaderError, MarketUnreachableError, ChainError.
    """
    first = 0 if last is None else last.block
    before: BlockHeader | None = None
    while True:
        found = headers(first, first + AT_ONCE - 1)
        if not found or found[0].number != first:
            raise RewrittenError(f"the chain has no block {first}, and it had one")
        if before is None and last is not None and found[0].hash != last.block_hash:
            raise RewrittenError(f"block {first} was {last.block_hash.hex()} and is now {found[0].hash.hex()}")
        try:
            check_linked(found if before is None else [before, *found[1:]])
        except HeaderError as error:
            raise RewrittenError(str(error)) from error
        before, first = found[-1], found[-1].number
        if len(found) < AT_ONCE:
            return before


class Witness(NamedTuple):
    """One witness at work. ``clock_s`` gives the time that it states."""

    signer: Signer
    file: StatementsFile
    headers: Headers
    market: MarketClient
    clock_s: Callable[[], int]

    def witness(self) -> Statement | None:
        """Sign the head if it is a new one, and hand the market all that it does not have; what was signed.

        Raises RewrittenError, HeaderError, MarketUnreachableError, MarketRefusedError, ChainError.
        """
        head = follow(self.headers, self.file.last)
        said = None
        if self.file.last is None or head.number > self.file.last.block:
            said = witnesses.state(self.signer, head, self.file.last, self.clock_s())
            self.file.append(said)
        self.hand_over()
        return said

    def hand_over(self) -> None:
        """Give the market the statements that it lacks; the same again changes nothing."""
        known = {each["witness"]: each["statements"] for each in self.market.get_json("/v1/witnesses")["witnesses"]}
        for said in self.file.statements[known.get(self.signer.witness, 0) :]:
            self.market.post("/v1/witnesses/statements", said)


def run(witness: Witness, *, every_s: float, once: bool, is_stopped: Callable[[], bool]) -> int:
    """Witness until told to stop, or once: 0; 1 when the chain was rewritten."""
    while True:
        try:
            said = witness.witness()
        except (RewrittenError, HeaderError) as error:
            _say(f"REWRITTEN: {error}. It is not signed.")
            return 1
        except (MarketUnreachableError, MarketRefusedError) as error:
            _say(f"the market: {error}")
            if once:
                return 2
        else:
            _say(
                "no new block" if said is None else f"signed {said.number}: block {said.block} {said.block_hash.hex()}"
            )
        if once:
            return 0
        until = time.monotonic() + every_s
        while time.monotonic() < until:
            if is_stopped():
                return 0
            time.sleep(min(_PAUSE_S, every_s))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
