"""Keccak-256, the hash of every leaf, digest and link of the house.

``eth-hash`` chooses pycryptodome where it is installed; ``safe-pysha3`` computes the same a good deal faster, and a
day's cycle is half a million hashes (``bench/bench_keccak.py`` measures both).
"""

from eth_hash.main import Keccak256
from eth_hash.backends.pysha3 import PySha3Backend

keccak = Keccak256(PySha3Backend())
