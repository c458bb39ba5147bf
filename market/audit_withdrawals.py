"""The audit of withdrawals: what each member signed, what was sent, and where the chain's events leave each of them.

A withdrawal out of escrow is asked for by a call that can only be this one, for it carries the member's signature; the
events of ``Clearing`` and ``Cash`` then say whether it waits, was replaced, left escrow, or was paid.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Row

from market import audit_store
from market.withdrawals import payout_of, reference_of
from settlement import abi, acts, outbox, signatures, store
from settlement.audit_scene import Scene, Step, Tick
from settlement.chain import ChainEvent
from settlement.compile import compiled
from settlement.contradiction import Contradiction, differs
from settlement.keccak import keccak

NOTHING_LEFT = "nothing was left in escrow"
FREED = ("free", "signed", "confirmed", "paid")
"""States of money that has left escrow, or was free from the start."""

_PAYOUT = ("payout_nonce", "payout_deadline_s", "payout_signature")


class Standing(NamedTuple):
    """Where the chain leaves a withdrawal: the states it can be in, since when, and what left escrow."""

    states: tuple[str, ...]
    since_s: int | None = None
    payable_micro: int | None = None
    refusal: str | None = None


def steps(scene: Scene) -> list[Step]:
    """One step."""
    count = len(audit_store.all_withdrawals(scene.connection))
    return [Step("withdrawals: signatures, calls, events", "withdrawals", count, _withdrawals)]


def _withdrawals(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    rows = audit_store.all_withdrawals(scene.connection)
    standings = _standings(scene, rows)
    for number, row in enumerate(rows, start=1):
        if row.withdrawal != number:
            yield differs("withdrawals", row.withdrawal, "withdrawal", stated=row.withdrawal, computed=number)
        yield from _asked(scene, row)
        yield from _stands(row, standings[row.withdrawal])
        yield from _paid_out(scene, row)
        tick(1)


def _asked(scene: Scene, row: Row[Any]) -> Iterator[Contradiction]:
    """What the member signed, and that the call which is named carries it."""
    key = str(row.withdrawal)
    if row.source == "escrow":
        digest = acts.request_exit_digest(scene.clearing, row.member_id, row.amount_micro, **_once(row))
        if not any(signatures.is_signed(each, digest, row.signature) for each in scene.keys.all_of(row.member_id)):
            yield Contradiction("withdrawals", key, "signature", f"is not member {row.member_id}'s over this request")
    elif row.source != "cash" or row.signature:
        yield Contradiction("withdrawals", key, "source", "is neither escrow, signed, nor cash, not signed")
    if row.requested_s > min(row.deadline_s, row.changed_s):
        yield Contradiction("withdrawals", key, "requested_s", "is after its own deadline, or after its last change")


def _once(row: Row[Any]) -> dict[str, int]:
    return {"nonce": row.nonce, "deadline_s": row.deadline_s}


# -------------------------------------------------------------------------------------------- from the chain


def _standings(scene: Scene, rows: Any) -> dict[int, Standing]:
    """Where every withdrawal stands by calls and events."""
    sent = audit_store.calls_of(scene.connection, "Clearing.request_exit")
    by_transaction: dict[bytes, Row[Any]] = {}
    found: dict[int, Standing] = {}
    for row in rows:
        found[row.withdrawal] = Standing(FREED[:-1], None, row.amount_micro)
        if row.source == "escrow":
            call = sent.get(_request(row))
            found[row.withdrawal] = _unheard(call)
            if call is not None and call.transaction_hash is not None:
                by_transaction[call.transaction_hash] = row
    upto = store.last_mirrored_block(scene.connection)
    for event in scene.events:
        if event.block <= upto:
            _follow(scene, event, rows, by_transaction, found)
    return found


def _request(row: Row[Any]) -> bytes:
    return acts.request_exit(row.member_id, row.amount_micro, row.signature, **_once(row)).data


def _unheard(call: Row[Any] | None) -> Standing:
    """A request that the chain has said nothing of."""
    if call is not None and call.state == outbox.REVERTED:
        return Standing(("requested", "refused"), None, None, call.refusal or "reverted")
    return Standing(("requested",))


def _follow(
    scene: Scene,
    event: ChainEvent,
    rows: Any,
    by_transaction: Mapping[bytes, Row[Any]],
    found: dict[int, Standing],
) -> None:
    """As ``withdrawing.follow`` does, on what was computed so far."""
    kind, at_s = (event.contract, event.event), event.block_s
    if kind not in (("Clearing", "ExitRequested"), ("Clearing", "Exited"), ("Cash", "Burned")):
        return
    member = event.arguments["member"]
    waiting = [row for row in rows if row.member_id == member and found[row.withdrawal].states == ("waiting",)]
    if event.event == "ExitRequested":
        found.update({row.withdrawal: Standing(("replaced",), at_s) for row in waiting})
        asked = by_transaction.get(event.transaction_hash)
        if asked is not None:
            found[asked.withdrawal] = Standing(("waiting",), at_s)
    elif event.event == "Exited":
        amount_micro = int(event.arguments["amount"])
        left = Standing(FREED[:-1], at_s, amount_micro)
        nothing = Standing(("refused",), at_s, None, NOTHING_LEFT)
        found.update({row.withdrawal: left if amount_micro else nothing for row in waiting})
    else:
        for row in rows:
            reference = keccak(reference_of(scene.chain.domain("Cash").chain_id, row.withdrawal).encode())
            standing = found[row.withdrawal]
            if row.member_id == member and reference == event.arguments["reference"] and "free" in standing.states:
                found[row.withdrawal] = standing._replace(states=("paid",), since_s=at_s)


def _stands(row: Row[Any], standing: Standing) -> Iterator[Contradiction]:
    key = str(row.withdrawal)
    if row.state not in standing.states:
        yield differs("withdrawals", key, "state", stated=row.state, computed=" or ".join(standing.states))
    if row.payable_micro != standing.payable_micro:
        yield differs("withdrawals", key, "payable_micro", stated=row.payable_micro, computed=standing.payable_micro)
    made_by_chain = row.state in ("waiting", "replaced", "paid") or (row.state == "free" and row.refusal is None)
    if made_by_chain and standing.since_s not in (None, row.changed_s):
        yield differs("withdrawals", key, "changed_s", stated=row.changed_s, computed=standing.since_s)
    if row.state == "refused" and row.refusal != standing.refusal:
        yield differs("withdrawals", key, "refusal", stated=row.refusal, computed=standing.refusal)
    if row.state == "free" and row.refusal is not None:
        if (row.kind, row.call_state, row.call_refusal) != ("Cash.burn", outbox.REVERTED, row.refusal):
            yield Contradiction("withdrawals", key, "refusal", "is not what the contract said of its burn")
    elif row.state != "refused" and row.refusal is not None:
        yield Contradiction("withdrawals", key, "refusal", f"is there, and the withdrawal is {row.state}")
    if row.state == "requested" and row.changed_s != row.requested_s:
        yield differs("withdrawals", key, "changed_s", stated=row.changed_s, computed=row.requested_s)


# ------------------------------------------------------------------------------------------------ the payout


def _paid_out(scene: Scene, row: Row[Any]) -> Iterator[Contradiction]:
    """The member's word, the bank's reference, and the call, each exactly in the states that have them."""
    key = str(row.withdrawal)
    is_signed, is_confirmed = row.state in FREED[1:], row.state in FREED[2:]
    for column in _PAYOUT:
        if (getattr(row, column) is not None) != is_signed:
            yield Contradiction("withdrawals", key, column, f"is there, or not, and the withdrawal is {row.state}")
            return
    if (row.bank_reference is not None) != is_confirmed:
        yield Contradiction("withdrawals", key, "bank_reference", "is there exactly once the custodian has paid")
    if is_signed:
        yield from _payout_word(scene, row)
    yield from _named_call(scene, row, is_confirmed)


def _payout(scene: Scene, row: Row[Any]) -> acts.Payout:
    chain_id = scene.chain.domain("Cash").chain_id
    return payout_of(chain_id, row, nonce=row.payout_nonce, deadline_s=row.payout_deadline_s)  # type: ignore[arg-type] # a row has the same names


def _payout_word(scene: Scene, row: Row[Any]) -> Iterator[Contradiction]:
    digest = acts.burn_digest(scene.chain.domain("Cash"), _payout(scene, row))
    keys = scene.keys.all_of(row.member_id)
    if not any(signatures.is_signed(each, digest, row.payout_signature) for each in keys):
        yield Contradiction("withdrawals", str(row.withdrawal), "payout_signature", "is not the member's word")


def _named_call(scene: Scene, row: Row[Any], is_confirmed: bool) -> Iterator[Contradiction]:
    """The call of the request, later of the burn; nothing before a request was sent, nor for free cash."""
    key = str(row.withdrawal)
    if is_confirmed:
        if row.kind != "Cash.burn" or not _burns(scene, row):
            yield Contradiction("withdrawals", key, "outbox_id", "names no burn of this payout")
    elif row.outbox_id is not None and row.kind == "Cash.burn":
        if row.call_state != outbox.REVERTED or row.state not in FREED:
            yield Contradiction("withdrawals", key, "outbox_id", "names a burn, and the withdrawal is not confirmed")
    elif row.source == "escrow":
        was_sent = row.state != "requested" or row.outbox_id is not None
        if was_sent and (row.kind, row.call) != ("Clearing.request_exit", _request(row)):
            yield Contradiction("withdrawals", key, "outbox_id", "names no request of this withdrawal")
    elif row.outbox_id is not None:
        yield Contradiction("withdrawals", key, "outbox_id", "free cash is asked of nobody")


def _burns(scene: Scene, row: Row[Any]) -> bool:
    called = abi.arguments(compiled()["Cash"], row.call)
    payout = _payout(scene, row)
    r, s = int.from_bytes(row.payout_signature[:32], "big"), int.from_bytes(row.payout_signature[32:], "big")
    return list(called.values())[: len(payout) + 2] == [*payout, r, s]
