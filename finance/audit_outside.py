"""What the audit asks of what others told: tax invoices that match their faces, registrations that hash to the chain's.

Whether a tax office or a registry really said it, only they can tell; these are the parts that follow from elsewhere.
"""

from collections.abc import Iterator

from finance import registry, registry_store, store
from settlement.audit_scene import Scene, Step, Tick
from settlement.contradiction import Contradiction, differs


def steps(scene: Scene) -> list[Step]:
    """The steps on what others told, after those on finance."""
    count = len(registry_store.all_fapiao(scene.connection)) + len(registry_store.all_registrations(scene.connection))
    return [Step("tax invoices and registrations", "rows", count, _told)]


def _told(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    faces = {row.receivable_id: row.face_fen for row in store.all_receivables(scene.connection)}
    standing = set()
    for row in registry_store.all_fapiao(scene.connection):
        tick(1)
        if row.net_fen + row.tax_fen != row.total_fen:
            yield Contradiction("fapiao", row.number, "total_fen", "net and tax do not come to it")
        if row.total_fen != faces.get(row.receivable_id):
            face_fen = faces.get(row.receivable_id)
            yield differs("fapiao", row.number, "total_fen", stated=row.total_fen, computed=face_fen)
        if row.state != "replaced" and row.receivable_id in standing:
            yield Contradiction("fapiao", row.number, "state", "another invoice stands for this receivable")
        if row.state != "replaced":
            standing.add(row.receivable_id)
    for row in registry_store.all_registrations(scene.connection):
        tick(1)
        expected = registry.registration_hash(row.number)
        if row.registration_hash != expected:
            stated = row.registration_hash
            yield differs("registrations", row.number, "registration_hash", stated=stated, computed=expected)
