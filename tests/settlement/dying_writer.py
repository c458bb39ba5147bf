"""A writer in a process of its own that kills itself at a given moment: ``python -m tests.settlement.dying_writer``.

Arguments: the database's URL, the chain's, the relayer's key in hex, and the moment: ``signed`` (nothing is kept yet),
``kept`` (nothing is handed over yet), ``half`` (a part is), ``handed`` (nothing is recorded yet).
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from data.database import open_database
from settlement import outbox
from settlement.deploy import deploy
from settlement.rpc import RpcChain
from settlement.writer import Writer
from tests.settlement.contract_bench import genesis


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def half(chain: RpcChain) -> Callable[[list[bytes]], None]:
    really = chain.submit

    def submit(raw: list[bytes]) -> None:
        really(raw[: len(raw) // 2])
        die()

    return submit


def main(database_url: str, chain_url: str, relayer: str, moment: str) -> None:
    chain = deploy(chain_url, genesis(), bytes.fromhex(relayer))
    writer = Writer(open_database(database_url), chain)
    if moment == "signed":
        outbox.keep_signed = die  # type: ignore[assignment] # the writer looks it up when it calls
    else:
        places: dict[str, tuple[Any, str, Any]] = {
            "kept": (chain, "submit", die),
            "half": (chain, "submit", half(chain)),
            "handed": (writer, "_record", die),
        }
        target, name, act = places[moment]
        setattr(target, name, act)
    writer.drain()


if __name__ == "__main__":
    main(*sys.argv[1:])
