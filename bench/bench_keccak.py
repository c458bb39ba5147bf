"""Keccak-256 of leaves: the implementation the house uses beside the one ``eth-hash`` would choose, in one run.

python bench/bench_keccak.py
"""

import timeit

from eth_hash.backends.pycryptodome import CryptodomeBackend
from eth_hash.main import Keccak256
from rich.console import Console

from settlement.keccak import keccak

HASHES = 100_000
LEAF = bytes(100)


def per_second(function: Keccak256) -> float:
    return HASHES / min(timeit.repeat(lambda: function(LEAF), number=HASHES, repeat=3))


def main() -> None:
    other = Keccak256(CryptodomeBackend())
    assert keccak(LEAF) == other(LEAF)
    usual, ours = per_second(other), per_second(keccak)
    Console().print(f"pycryptodome {usual:,.0f}/s, safe-pysha3 {ours:,.0f}/s, ratio {ours / usual:.1f}")


if __name__ == "__main__":
    main()
