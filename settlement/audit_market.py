"""The audit of the market itself: keys, grid, journal, orders, trades, and every signature under them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Row

from data.units import UnitError, limit_lots_floor
from settlement import acts, audit_store, publish_store, signatures
from settlement.acts import FUND
from settlement.audit_scene import Scene, Step, Tick
from settlement.audit_store import OrderRow
from settlement.contradiction import Contradiction, differs
from settlement.examine_orders import (
    SignatureCheck,
    examine_orders,
    examine_signatures,
    examine_trades,
    signature_checks,
)
from settlement.intents import RECEIPT, Domain
from settlement.journal_replay import JournalReplay
from settlement.jwk import from_jwk
from settlement.keys import KeyHistory
from settlement.outbox import REVERTED
from settlement.published import JournalLink, PublishedKey, PublishedSignature
from settlement.signatures import PublicKey
from settlement.verify_pool import first_bad

AT_ONCE = 2_000


def steps(scene: Scene) -> list[Step]:
    """The steps on the market, in the order in which each can rely on the ones before."""
    count = scene.connection
    return [
        Step("members' keys against the chain", "keys", audit_store.count(count, "member_keys"), _keys),
        Step("journal: heads, receipts, replay", "batches", audit_store.count(count, "journal"), _journal),
        Step("grid against the journal", "nodes", audit_store.count(count, "nodes"), _grid),
        Step("orders against the journal", "orders", audit_store.count(count, "orders"), _orders),
        Step("trades against the journal", "trades", audit_store.count(count, "trades"), _trades),
        Step("signatures over orders", "signatures", audit_store.count(count, "signatures"), _signatures),
    ]


def read_keys(keys: Iterable[PublishedKey]) -> KeyHistory | Contradiction:
    """The members' keys, or the first that is none."""
    known = list(keys)
    for key in known:
        try:
            from_jwk(key.key)
        except ValueError as error:
            return Contradiction("member_keys", f"member {key.member}", "x, y", str(error))
    return KeyHistory(known)


def _keys(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """Each member's keys are those that the chain admitted and rotated, one after the other without a gap.

    Whoever is not on the chain yet has one; a new key that the chain has not heard of yet is signed in by the one
    before, as all are.
    """
    keyless = {row.member_id for row in audit_store.all_members(scene.connection)} - {FUND}
    on_chain: dict[int, list[PublicKey]] = {}
    for event in scene.events:
        if event.contract == "Members" and event.event in ("Admitted", "KeyRotated"):
            member, x, y = (int(event.arguments[name]) for name in ("member", "x", "y"))
            on_chain.setdefault(member, []).append(PublicKey(x, y))
    for member, rows in audit_store.key_rows(scene.connection).items():
        known, admitted = scene.keys.all_of(member), on_chain.get(member, [])
        tick(len(rows))
        if member not in keyless:
            yield Contradiction("member_keys", f"member {member}", "member_id", "is a key of nobody")
        keyless.discard(member)
        if _as_the_chain_heard(rows, known)[: len(admitted)] != admitted:
            yield Contradiction("member_keys", f"member {member}", "x, y", "are not the keys that the chain admitted")
        yield from _rotations(scene, rows, known, admitted)
    for member in sorted(keyless):
        yield Contradiction("member_keys", f"member {member}", "member_id", "has no key")


def _as_the_chain_heard(rows: Sequence[Row[Any]], known: Sequence[PublicKey]) -> list[PublicKey]:
    """A member's keys without those that the chain refused, and without a return to the one before them."""
    heard: list[PublicKey] = []
    for row, key in zip(rows, known, strict=True):
        came_back = row.outbox_id is None and heard[-1:] == [key]
        if row.call_state != REVERTED and not came_back:
            heard.append(key)
    return heard


def _rotations(
    scene: Scene, rows: Sequence[Row[Any]], known: Sequence[PublicKey], admitted: Sequence[PublicKey]
) -> Iterator[Contradiction]:
    """Whether a member's keys follow each other without a gap, each signed in by the one before, and told the chain.

    One that came from the chain, recovered there or changed past the operator, is signed in by nobody here.
    """
    member = rows[0].member_id
    key, domain = f"member {member}", scene.chain.domain("Members")
    bounds = [(row.from_sequence, row.to_sequence) for row in rows]
    if [first for first, _ in bounds] != [0, *(last for _, last in bounds[:-1])] or bounds[-1][1] is not None:
        yield Contradiction("member_keys", key, "from_sequence, to_sequence", "do not follow each other without a gap")
    if [row.number for row in rows] != [*range(1, len(rows) + 1)]:
        yield Contradiction("member_keys", key, "number", "are not 1, 2, 3 ...")
    if any(getattr(rows[0], name) is not None for name in ("nonce", "deadline_s", "signature", "outbox_id")):
        yield Contradiction("member_keys", key, "signature", "a first key is signed in by nobody")
    for row, before, new in zip(rows[1:], known[:-1], known[1:], strict=True):
        if row.outbox_id is None and (row.nonce, row.deadline_s, row.signature) == (None,) * 3 and new in admitted:
            continue
        if not _is_signed_in(domain, row, before, new):
            yield Contradiction("member_keys", f"{key}, key {row.number}", "signature", "is not the earlier key's word")
        elif row.call != acts.rotate_key(member, new, row.signature, nonce=row.nonce, deadline_s=row.deadline_s).data:
            yield Contradiction("member_keys", f"{key}, key {row.number}", "outbox_id", "names no call with this key")


def _is_signed_in(domain: Domain, row: Row[Any], before: PublicKey, new: PublicKey) -> bool:
    if None in (row.nonce, row.deadline_s, row.signature):
        return False
    digest = acts.rotate_key_digest(domain, row.member_id, new, nonce=row.nonce, deadline_s=row.deadline_s)
    return signatures.is_signed(before, digest, row.signature)


def _journal(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    receipts = []
    for link in publish_store.all_links(scene.connection):
        found = scene.replay.add(link)
        if found is not None:
            yield found
            return
        receipts.append(_receipt_check(scene, link))
        tick(1)
    scene.sampler.pass_by(receipts)


def _receipt_check(scene: Scene, link: JournalLink) -> SignatureCheck:
    key = scene.keys.at(scene.terms.operator, link.last_sequence)
    assert key is not None, "the replay has verified it"
    digest = RECEIPT.digest(scene.clearing, {"sequence": link.last_sequence, "journalHead": bytes(link.head)})
    otherwise = Contradiction("journal", str(link.batch), "signature", "is not the operator's receipt for this head")
    return SignatureCheck(key, digest, link.signature, otherwise)


def _grid(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """Each node's place and limits; a meter's capacity is what it was connected with."""
    rows = audit_store.all_nodes(scene.connection)
    if len(rows) != len(scene.replay.nodes):
        yield differs("nodes", "all", "count", stated=len(rows), computed=len(scene.replay.nodes))
    for row in rows:
        connect = scene.replay.nodes.get(row.node_id)
        if connect is None:
            yield Contradiction("nodes", str(row.node_id), "node_id", "the journal connects no such node")
            continue
        meter = scene.meters.get(row.node_id)
        stated = {
            "parent_id": (-1 if row.parent_id is None else row.parent_id, connect.parent),
            "level": (row.level, connect.level),
            "connected_s": (row.connected_s, scene.replay.connected_s[row.node_id]),
            "export_kw": (_lots(scene, row.export_kw), scene.replay.limits[row.node_id][0]),
            "import_kw": (_lots(scene, row.import_kw), scene.replay.limits[row.node_id][1]),
            "meter's export_lots": (meter.export_lots if meter else connect.export_lots, connect.export_lots),
            "meter's import_lots": (meter.import_lots if meter else connect.import_lots, connect.import_lots),
        }
        for column, (theirs, ours) in stated.items():
            if theirs != ours:
                yield differs("nodes", row.node_id, column, stated=theirs, computed=ours)
        tick(1)


def _lots(scene: Scene, limit_kw: str | None) -> int | str | None:
    try:
        return None if limit_kw is None else limit_lots_floor(limit_kw, scene.terms.rules.slot_minutes)
    except UnitError:
        return limit_kw


def _orders(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    rows, done = audit_store.order_rows(scene.connection), 0
    while piece := list(islice(rows, AT_ONCE)):
        orders = [row.order for row in piece]
        signatures = publish_store.signatures_by_id(scene.connection, {order.signature_id for order in orders})
        by_id = {signature.signature_id: signature for signature in signatures}
        yield from examine_orders(orders, by_id, scene.meters, scene.replay, scene.clearing)
        yield from (found for row in piece for found in order_ends(row, scene.replay))
        done += len(piece)
        tick(len(piece))
    if done != len(scene.replay.orders):
        yield differs("orders", "all", "count", stated=done, computed=len(scene.replay.orders))


def order_ends(row: OrderRow, replay: JournalReplay) -> Iterator[Contradiction]:
    """What became of an order: its state, what is left of it, and which command changed it last."""
    end = replay.orders.get(row.order.order_id)
    if end is not None:
        for column in ("basket", "state", "remaining_lots", "reduced_lots", "changed_sequence", "received_s"):
            if getattr(row, column) != getattr(end, column):
                stated, computed = getattr(row, column), getattr(end, column)
                yield differs("orders", row.order.order_id, column, stated=stated, computed=computed)


def _trades(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    trades, done = publish_store.all_trades(scene.connection), 0
    while piece := list(islice(trades, AT_ONCE)):
        yield from examine_trades(piece, scene.replay)
        done += len(piece)
        tick(len(piece))
    if done != len(scene.replay.trades):
        yield differs("trades", "all", "count", stated=done, computed=len(scene.replay.trades))


def _signatures(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """Roots of batches and, on all cores, every signature."""
    sequences = audit_store.first_sequences(scene.connection)
    rows = publish_store.all_signatures(scene.connection)
    checks: list[SignatureCheck] = []
    for signature in rows:
        yield from examine_signatures([signature])
        yield from _check(scene, signature, sequences, checks)
    scene.sampler.pass_by(checks)
    for result in first_bad(checks):
        if isinstance(result, Contradiction):
            yield result
        else:
            tick(result)


def _check(
    scene: Scene, signature: PublishedSignature, sequences: dict[int, int], checks: list[SignatureCheck]
) -> Iterator[Contradiction]:
    for check in signature_checks([signature], sequences, scene.keys, scene.clearing):
        if isinstance(check, Contradiction):
            yield check
        else:
            checks.append(check)
