"""Keccak-256 of leaves: the implementation the house uses beside the one ``eth-hash`` would choose, in one run.

python bench/bench_keccak.py
"""

import timeit
from collections.abc import Callable

from eth_hash.auto import keccak as usual
from rich.console import Console

from settlement.keccak import keccak as ours

HASHES = 100_000
LEAF = bytes(100)


def per_second(function: Callable[[bytes], bytes]) -> float:
    return HASHES / min(timeit.repeat(lambda: function(LEAF), number=HASHES, repeat=3))


def main() -> None:
    assert ours(LEAF) == usual(LEAF)
    slow, fast = per_second(usual), per_second(ours)
    Console().print(f"eth-hash with pycryptodome {slow:,.0f}/s, safe-pysha3 {fast:,.0f}/s, ratio {fast / slow:.1f}")


if __name__ == "__main__":
    main()
