"""A proof of a trade holds as it was made, and in no other way: every single field matters."""

import copy
import functools
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi import abi
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from matching.order import Level, Side, Tif
from settlement import hexjson, merkle, signatures
from settlement.hexjson import Hex
from settlement.intents import Domain, OrderIntent
from settlement.jwk import Jwk, from_jwk, to_jwk
from settlement.keccak import keccak
from settlement.signatures import PublicKey
from settlement.trade_leaf import (
    SALT_BYTES,
    Commitment,
    Common,
    Half,
    OrderEvidence,
    TradeProof,
    TradeRecord,
    batch_digest,
    evidence_problems,
    json_path,
    leaf_of,
    order_problems,
    prove_trade,
    salted_common,
    salted_half,
    trade_leaf,
)

DOMAIN = Domain(chain_id=7, contract=b"\x01" * 20, salt=b"\x02" * 32)
SLOT = 1_782_900_900
BUYER_KEY, SELLER_KEY = signatures.new_private_key(), signatures.new_private_key()


def problems_of(proof: TradeProof, commitment: Commitment, key: PublicKey | None = None) -> list[str]:
    """Why the proof does not hold; empty when it does.

    ``commitment`` is read from the chain, and so should be ``key``, the member's at the time of the order; without it
    the proof's own key is believed.
    """
    problems = []
    if proof.commitment != commitment:
        problems.append("the proof speaks of another commitment than the chain's")
    leaf = leaf_of_proof(proof)
    if leaf is None or merkle.climb(leaf, list(proof.path)) != commitment.trade_root:
        problems.append("the trade is not under the commitment's root")
    domain = Domain(proof.domain.chain_id, proof.domain.contract, proof.domain.salt)
    try:
        against = order_problems(proof.order.intent, proof.side, proof.common, proof.half, domain)
        return problems + against + evidence_problems(proof.order, domain, key)
    except (OverflowError, UnicodeEncodeError):
        return [*problems, "the order has fields that no order can have"]


def leaf_of_proof(proof: TradeProof) -> bytes | None:
    """The leaf of the trade that a proof shows; None when it has fields that no trade can have."""
    if len(proof.common_salt) != SALT_BYTES or len(proof.half_salt) != SALT_BYTES:
        return None
    try:
        return leaf_of(
            proof.common,
            proof.common_salt,
            side=proof.side,
            half=proof.half,
            half_salt=proof.half_salt,
            other_half=proof.other_half,
        )
    except (struct.error, UnicodeEncodeError):
        return None


def intent(side: Side, member: int, meter: str, price_ticks: int, **changes: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "member": member,
        "client_order_id": f"{meter}-1",
        "meter": meter,
        "side": side,
        "slot": SLOT,
        "quantity_lots": 150,
        "price_ticks": price_ticks,
        "reach": Level.SUBSTATION,
        "terms_days": 30,
        "tif": Tif.GTC,
        "replaces": "",
        "deadline": SLOT,
    }
    return OrderIntent(**{**fields, **changes})


def evidence(order: OrderIntent, *, batch: int) -> OrderEvidence:
    """The order signed by itself, or among ``batch`` others."""
    private = BUYER_KEY if order.side == Side.BUY else SELLER_KEY
    key, digest = to_jwk(signatures.public_key(private)), order.digest(DOMAIN)
    if not batch:
        return OrderEvidence(order, key, Hex(signatures.sign(private, digest)))
    leaves = [merkle.leaf(bytes([i])) for i in range(batch)] + [merkle.leaf(digest)]
    signed = batch_digest(DOMAIN, order.member, merkle.root(leaves), batch + 1, basket=False)
    path = json_path(merkle.path(leaves, batch))
    return OrderEvidence(order, key, Hex(signatures.sign(private, signed)), batch + 1, False, path)


@functools.cache
def proof_of(side: Side, batch: int, trades: int, index: int) -> tuple[TradeProof, Commitment]:
    orders = {Side.BUY: intent(Side.BUY, 100, "A1", 4_500), Side.SELL: intent(Side.SELL, 101, "B1", 3_000)}
    digests = {s: Hex(order.digest(DOMAIN)) for s, order in orders.items()}
    records = [
        TradeRecord(
            Common(number, 40 + number, SLOT, 120, 30, Side.SELL, Level.FEEDER, SLOT - 3_600),
            Half(digests[Side.BUY], 100, "A1", 4_500, SLOT - 5_400, 30),
            Half(digests[Side.SELL], 101, "B1", 4_000, SLOT - 3_600, 0),
            bytes([number]) * 96,
        )
        for number in range(1, trades + 1)
    ]
    leaves = [trade_leaf(record) for record in records]
    commitment = Commitment(3, Hex(b"\x03" * 32), Hex(b"\x04" * 32), Hex(merkle.root(leaves)), trades)
    path = merkle.path(leaves, index)
    order = evidence(orders[side], batch=batch)
    return prove_trade(records[index], path, commitment, order, domain=DOMAIN), commitment


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("batch", [0, 1, 4])
@given(data=st.data())
def test_a_true_proof_holds_also_after_json(side: Side, batch: int, data: st.DataObject) -> None:
    trades = data.draw(st.integers(1, 12))
    proof, commitment = proof_of(side, batch, trades, data.draw(st.integers(0, trades - 1)))
    again = hexjson.load(hexjson.dumps(proof), TradeProof)
    assert again == proof
    assert problems_of(again, commitment) == []
    assert problems_of(again, commitment, from_jwk(proof.order.key)) == []


@pytest.mark.parametrize("side", list(Side))
def test_the_other_side_stays_hidden(side: Side) -> None:
    proof, _ = proof_of(side, 0, 3, 1)
    shown = hexjson.dumps(proof).decode()
    other_meter, other_price = ("B1", "4000") if side == Side.BUY else ("A1", "4500")
    assert f'"{other_meter}' not in shown
    assert f":{other_price}," not in shown


@given(
    price_ticks=st.integers(-(2**63), 2**63 - 1),
    numbers=st.lists(st.integers(0, 2**64 - 1), min_size=11, max_size=11),
    meter=st.text(max_size=20),
    salt=st.binary(min_size=32, max_size=32),
)
def test_the_parts_of_a_leaf_are_hashes_of_abi_words(
    price_ticks: int, numbers: list[int], meter: str, salt: bytes
) -> None:
    """What a contract hashes when it is shown the same fields, encoded here by another library."""
    common = Common(*numbers[:8])
    words = abi.encode(["bytes32"] + ["uint256"] * 8, [salt, *numbers[:8]])
    assert salted_common(salt, common) == keccak(words)
    member, placed_s, filled_lots = numbers[8:]
    kinds = ["bytes32", "bytes32", "uint256", "bytes32", "int256", "uint256", "uint256"]
    digest = bytes(range(32))
    words = abi.encode(kinds, [salt, digest, member, keccak(meter.encode()), price_ticks, placed_s, filled_lots])
    assert salted_half(salt, Half(Hex(digest), member, meter, price_ticks, placed_s, filled_lots)) == keccak(words)


@pytest.mark.parametrize("change", [{"half_salt": b""}, {"common_salt": bytes(33)}, {"half": {"member": -1}}])
def test_what_no_trade_can_hold_is_under_no_root(change: dict[str, Any]) -> None:
    """Salts of another length, or numbers that no word holds, could move bytes from one field into the next."""
    proof, commitment = proof_of(Side.BUY, 0, 3, 1)
    if "half" in change:
        change = {"half": structs.replace(proof.half, **change["half"])}
    else:
        change = {name: Hex(salt) for name, salt in change.items()}
    broken = structs.replace(proof, **change)
    assert "the trade is not under the commitment's root" in problems_of(broken, commitment)


def leaves_of(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every single value stands in some JSON."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from leaves_of(inner, (*at, key))
    else:
        yield at


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return value[:-1] + ("0" if value[-1:] != "0" else "1")


def tampered(document: Any, at: tuple[Any, ...]) -> Any:
    document = copy.deepcopy(document)
    *above, last = at
    place = functools.reduce(lambda inner, key: inner[key], above, document)
    place[last] = changed(place[last])
    return document


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("batch", [0, 4])
def test_any_field_changed_breaks_the_proof(side: Side, batch: int) -> None:
    proof, commitment = proof_of(side, batch, 7, 2)
    document = json.loads(hexjson.dumps(proof))
    places = list(leaves_of(document))
    assert len(places) > 40
    for place in places:
        broken = hexjson.convert(tampered(document, place), TradeProof)
        assert problems_of(broken, commitment), f"{place} may be changed unseen"


def test_a_proof_does_not_hold_against_another_commitment_or_key() -> None:
    proof, commitment = proof_of(Side.BUY, 0, 7, 2)
    other = Commitment(4, commitment.previous, commitment.journal_head, commitment.trade_root, 7)
    assert problems_of(proof, other) == ["the proof speaks of another commitment than the chain's"]
    stranger = signatures.public_key(signatures.new_private_key())
    assert problems_of(proof, commitment, stranger) == ["the order's key is not the member's"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"price_ticks": 4_499}, "has a limit that the price breaks"),
        ({"quantity_lots": 149}, "is smaller than what was traded"),
        ({"deadline": SLOT - 5_400}, "was taken after its deadline or after the trade"),
        ({"reach": Level.TRANSFORMER}, "does not reach so far"),
        ({"terms_days": 60}, "has other terms"),
        ({"slot": SLOT + 900}, "is for another slot"),
        ({"meter": "A2"}, "is for another meter"),
        ({"member": 102}, "is another member's"),
        ({"side": Side.SELL}, "is of the other side"),
        ({"price_ticks": -1, "quantity_lots": -1}, None),
    ],
)
def test_a_signed_order_that_does_not_allow_the_trade_is_no_proof(changes: dict[str, Any], problem: str | None) -> None:
    """The market signs over a trade that its member's order does not cover: the digest fits, the terms do not."""
    proof, commitment = proof_of(Side.BUY, 0, 1, 0)
    fields = {name: getattr(proof.order.intent, name) for name in proof.order.intent.__struct_fields__}
    order = OrderIntent(**{**fields, **changes})
    if problem is None:
        broken = TradeProof(
            **{name: getattr(proof, name) for name in proof.__struct_fields__ if name != "order"},
            order=OrderEvidence(order, proof.order.key, proof.order.signature),
        )
        assert "the order has fields that no order can have" in problems_of(broken, commitment)
        return
    signed = OrderEvidence(order, proof.order.key, Hex(signatures.sign(BUYER_KEY, order.digest(DOMAIN))))
    half = Half(Hex(order.digest(DOMAIN)), 100, "A1", 4_500, SLOT - 5_400, 30)
    record = TradeRecord(proof.common, half, Half(Hex(bytes(32)), 101, "B1", 4_000, 0, 0), bytes(96))
    committed = Commitment(1, Hex(bytes(32)), Hex(bytes(32)), Hex(trade_leaf(record)), 1)
    lying = prove_trade(record, [], committed, signed, domain=DOMAIN)
    if order.side == Side.SELL:
        lying = TradeProof(
            **{
                **{name: getattr(lying, name) for name in lying.__struct_fields__},
                "side": Side.BUY,
                "half": half,
                "half_salt": Hex(bytes(32)),
                "other_half": lying.other_half,
            }
        )
        assert f"the order {problem}" in problems_of(lying, committed)
        return
    assert problems_of(lying, committed) == [f"the order {problem}"]


def test_one_key_has_one_jwk() -> None:
    """43 characters of base64url hold two bits more than 32 bytes; they must not be free to choose."""
    jwk = to_jwk(signatures.public_key(BUYER_KEY))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    next_letter = alphabet[alphabet.index(jwk.x[-1]) + 1]
    with pytest.raises(ValueError, match="one JWK"):
        from_jwk(Jwk("EC", "P-256", jwk.x[:-1] + next_letter, jwk.y))


@pytest.mark.parametrize(
    "jwk",
    [
        Jwk("RSA", "P-256", "A" * 43, "A" * 43),
        Jwk("EC", "P-384", "A" * 43, "A" * 43),
        Jwk("EC", "P-256", "A" * 42, "A" * 43),
        Jwk("EC", "P-256", "A" * 43, "A" * 43),
    ],
)
def test_what_is_no_key_is_refused(jwk: Jwk) -> None:
    with pytest.raises(ValueError, match=r"key"):
        from_jwk(jwk)
