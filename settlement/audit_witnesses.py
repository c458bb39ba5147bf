"""The audit of witnesses: what outside parties said of the chain's head, against the chain as it is now."""

from collections.abc import Iterator

from settlement import witness_store, witnesses
from settlement.audit_scene import Scene, Step, Tick
from settlement.contradiction import Contradiction, differs
from settlement.witnesses import UNWITNESSED_AFTER_S, Statement, Witnessed


def steps(scene: Scene) -> list[Step]:
    """One step; ``scene.witnessed_s`` then holds the time of the newest block that each witness has seen."""
    count = len(witness_store.statements(scene.connection))
    return [Step("what outside witnesses saw of the chain", "statements", count, _statements)]


def _statements(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    for said in witnesses.witnessed_heads(scene.connection, Witnessed(scene.terms.witnesses, scene.clearing)):
        if isinstance(said, Contradiction):
            yield said
            continue
        yield from _is_on_chain(scene, said)
        scene.witnessed_s[said.witness] = said.block_s
        tick(1)


def _is_on_chain(scene: Scene, said: Statement) -> Iterator[Contradiction]:
    key = f"{said.witness} {said.number}"
    found = scene.chain.headers(said.block, said.block)
    if not found:
        yield Contradiction("witness_statements", key, "block", "the chain ends before it: it was rewritten")
        return
    for column, computed in {"block_hash": found[0].hash, "block_s": found[0].timestamp_s}.items():
        stated = getattr(said, column)
        if stated != computed:
            yield differs("witness_statements", key, column, stated=stated, computed=computed)


def witness_count(scene: Scene) -> int:
    """How many witnesses have seen the chain up to the last hour of it."""
    newest_s = scene.chain.head().timestamp_s
    return sum(newest_s - seen_s <= UNWITNESSED_AFTER_S for seen_s in scene.witnessed_s.values())
