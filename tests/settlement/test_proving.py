"""At which time a cancel receipt is said to be signed, where the operator changed its key meanwhile."""

from collections.abc import Sequence

import pytest

from matching.order import Side
from settlement import dispute_acts, disputing, proving, signatures
from settlement.chain import ChainEvent
from settlement.dispute_acts import CancelReceipt, Opening
from settlement.hexjson import Hex
from settlement.intents import Domain
from settlement.key_changes import KEY_CHANGE_GRACE_S
from settlement.trade_leaf import Common, Half

OPERATOR = 1
PLACED_S, TRADED_S = 10_000, 90_000
DOMAIN = Domain(1, b"\1" * 20, b"\2" * 32)
ORDER = b"\3" * 32
KEYS = [signatures.new_private_key() for _ in range(3)]
OPENING = Opening(
    Common(7, 20, 100_000, 40, 0, Side.BUY, 1, TRADED_S),
    bytes(32),
    Side.SELL,
    Half(Hex(ORDER), 100, "A1", 4000, PLACED_S, 40),
    bytes(32),
    bytes(32),
    [],
)


def changes(changed_s: Sequence[int]) -> list[ChainEvent]:
    """The operator's keys: the first from the beginning, each later one from its time on."""
    events = []
    for place, (key, from_s) in enumerate(zip(KEYS, [0, *changed_s], strict=False)):
        public = signatures.public_key(key)
        arguments = {"member": OPERATOR, "x": public.x, "y": public.y} | ({"from_s": from_s} if place else {})
        event = "KeyRotated" if place else "Admitted"
        events.append(ChainEvent(place + 1, 0, from_s, bytes(32), "Members", event, arguments))
    return events


@pytest.mark.parametrize(
    ("signer", "changed_s", "said_s"),
    [
        (0, [], PLACED_S),
        (0, [50_000], PLACED_S),
        (1, [50_000], 50_000),
        (1, [30_000, 50_000], 30_000),
        (2, [30_000, 50_000], 50_000),
        (1, [5_000], PLACED_S),
        (0, [PLACED_S - KEY_CHANGE_GRACE_S], PLACED_S),
        (0, [PLACED_S - KEY_CHANGE_GRACE_S - 1], None),
        (1, [TRADED_S], TRADED_S),
        (1, [TRADED_S + 1], None),
        (2, [50_000], None),
    ],
)
def test_a_receipt_is_proven_with_a_time_at_which_its_key_held(
    monkeypatch: pytest.MonkeyPatch, signer: int, changed_s: list[int], said_s: int | None
) -> None:
    monkeypatch.setattr(disputing, "key_changes", lambda connection, member: changes(changed_s))
    digest = dispute_acts.cancel_receipt_digest(DOMAIN, ORDER, 40, 19)
    receipt = CancelReceipt(ORDER, 40, 19, OPERATOR, 0, signatures.sign(KEYS[signer], digest))
    found = proving.cancelled(None, 1, OPENING, receipt, DOMAIN)  # type: ignore[arg-type]
    if said_s is None:
        assert found == "bad_signature"
        return
    history = disputing.history_back_to(changes(changed_s), OPERATOR, said_s)
    assert found == dispute_acts.prove_cancelled(1, OPENING, receipt._replace(signed_s=said_s), history)
