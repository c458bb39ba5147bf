"""Keccak-256, the hash of every leaf, digest and link of the house.

``eth-hash`` would choose pycryptodome, and wraps what it chooses; ``safe-pysha3`` called directly computes the same a
good deal faster, and a day's cycle is half a million hashes (``bench/bench_keccak.py`` measures both).
"""

from sha3 import keccak_256  # type: ignore[import-untyped] # it ships no types


def keccak(data: bytes) -> bytes:
    """The 32-byte hash."""
    digest: bytes = keccak_256(data).digest()
    return digest
