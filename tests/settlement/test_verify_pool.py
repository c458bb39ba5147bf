"""Signatures verified in bulk and by a second implementation, and how a sample is drawn."""

import pytest

from settlement import second_verifier, signatures, verify_pool
from settlement.audit_scene import Sampler
from settlement.contradiction import Contradiction
from settlement.examine_orders import SignatureCheck
from settlement.signatures import ORDER_N, PublicKey
from settlement.verify_pool import first_bad

KEY = signatures.new_private_key()
PUBLIC = signatures.public_key(KEY)


def check(number: int, *, good: bool = True) -> SignatureCheck:
    digest = number.to_bytes(32, "big")
    signature = signatures.sign(KEY, digest if good else bytes(32))
    return SignatureCheck(PUBLIC, digest, signature, Contradiction("signatures", str(number), "signature", "is bad"))


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("in_processes", [False, True])
def test_every_bad_one_is_found_in_its_place(monkeypatch: pytest.MonkeyPatch, second: bool, in_processes: bool) -> None:
    monkeypatch.setattr(verify_pool, "PIECE", 4)
    monkeypatch.setattr(verify_pool, "WORTH_PROCESSES", 0 if in_processes else 10**6)
    checks = [check(number, good=number not in (3, 9)) for number in range(1, 12)]
    found = list(first_bad(checks, second=second))
    assert [each.key for each in found if isinstance(each, Contradiction)] == ["3", "9"]
    assert sum(each for each in found if isinstance(each, int)) == 11


def test_both_verifiers_agree_on_what_is_no_signature() -> None:
    digest = b"\1" * 32
    good = signatures.sign(KEY, digest)
    high_s = good[:32] + (ORDER_N - int.from_bytes(good[32:], "big")).to_bytes(32, "big")
    cases = [good, high_s, good[:-1], good + b"\0", bytes(64), b"\xff" * 64, good[32:] + good[:32]]
    for case in cases:
        expected = case == good
        assert signatures.is_signed(PUBLIC, digest, case) is expected
        assert second_verifier.is_signed(PUBLIC, digest, case) is expected
    nowhere = PublicKey(PUBLIC.x, PUBLIC.y ^ 1)
    assert not signatures.is_signed(nowhere, digest, good)
    assert not second_verifier.is_signed(nowhere, digest, good)


def test_a_sample_is_even_and_a_seed_repeats_it() -> None:
    checks = [check(number) for number in range(40)]
    drawn = [0] * 40
    for seed in range(300):
        sampler = Sampler(10, seed)
        sampler.pass_by(checks[:25])
        sampler.pass_by(checks[25:])
        assert len(sampler.kept) == 10
        for each in sampler.kept:
            drawn[int(each.otherwise.key)] += 1
    assert min(drawn) > 40, "each is drawn in about 75 of 300"
    assert max(drawn) < 115
    again = Sampler(10, 299)
    again.pass_by(checks)
    assert again.kept == sampler.kept
    everything = Sampler(None, 1)
    everything.pass_by(checks)
    assert everything.kept == checks
