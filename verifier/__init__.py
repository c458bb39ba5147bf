"""Verifies what a market hands out as proof, offline and without the market.

Shares no code with the server but the hash function (``settlement.keccak``): formats, digests, trees and signatures are
read here a second time, from their description in ``docs/settlement_and_chain.md``, so that a mistake on one side is
found by the other. ``python -m verifier PROOF.json`` and ``jinsha verify`` are the same.
"""
