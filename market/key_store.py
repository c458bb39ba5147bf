"""SQL of members' keys: which held from which sequence to which, and how each was signed in."""

from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from data.tables import api_keys, member_keys, outbox, sessions
from settlement import acts
from settlement import outbox as outbox_of
from settlement.signatures import PublicKey


class Rotation(NamedTuple):
    """A new key, signed in by the one before; ``signature`` is over ``acts.rotate_key_digest``."""

    member_id: int
    old: PublicKey
    new: PublicKey
    nonce: int
    deadline_s: int
    signature: bytes
    keeps_api_keys: bool


class KeyRow(NamedTuple):
    """A key that a member signs, or signed, with: ``from_sequence <= sequence < to_sequence``.

    ``call`` is the state of the call that tells the chain, and ``refusal`` why it was refused; None for a first key,
    and for one that came from the chain.
    """

    key: PublicKey
    from_sequence: int
    to_sequence: int | None
    rotated_s: int | None
    call: str | None
    refusal: str | None


def rotate(connection: Connection, rotation: Rotation, sequence: int, now_s: int) -> None:
    """From ``sequence`` on the new key holds. Queues the call to the chain, and ends what the old key opened."""
    call = acts.rotate_key(
        rotation.member_id, rotation.new, rotation.signature, nonce=rotation.nonce, deadline_s=rotation.deadline_s
    )
    word = {
        "nonce": rotation.nonce,
        "deadline_s": rotation.deadline_s,
        "signature": rotation.signature,
        "outbox_id": outbox_of.put(connection, call),
    }
    _change(connection, rotation.member_id, rotation.new, sequence, word | {"rotated_s": now_s})
    if not rotation.keeps_api_keys:
        connection.execute(api_keys.delete().where(api_keys.c.member_id == rotation.member_id))


def follow(connection: Connection, member_id: int, new: PublicKey, *, sequence: int, now_s: int) -> None:
    """From ``sequence`` on the key holds that the chain has, whoever told it. Ends all that the old key opened."""
    _change(connection, member_id, new, sequence, {"rotated_s": now_s})
    connection.execute(api_keys.delete().where(api_keys.c.member_id == member_id))


def _change(connection: Connection, member_id: int, new: PublicKey, sequence: int, how: dict[str, object]) -> None:
    ours = member_keys.c.member_id == member_id
    live = connection.execute(
        select(member_keys.c.number).where(ours, member_keys.c.to_sequence.is_(None))
    ).scalar_one()
    connection.execute(update(member_keys).where(ours, member_keys.c.number == live).values(to_sequence=sequence))
    held = {"number": live + 1, "from_sequence": sequence}
    key = {"x": new.x.to_bytes(32, "big"), "y": new.y.to_bytes(32, "big")}
    connection.execute(insert(member_keys).values(member_id=member_id, **held, **key, **how))
    connection.execute(sessions.delete().where(sessions.c.member_id == member_id))


def history(connection: Connection, member_id: int) -> list[KeyRow]:
    """A member's keys, the oldest first."""
    asked = (
        select(member_keys, outbox.c.state, outbox.c.refusal)
        .outerjoin(outbox, outbox.c.outbox_id == member_keys.c.outbox_id)
        .where(member_keys.c.member_id == member_id)
        .order_by(member_keys.c.number)
    )
    return [
        KeyRow(_key(row.x, row.y), row.from_sequence, row.to_sequence, row.rotated_s, row.state, row.refusal)
        for row in connection.execute(asked)
    ]


def is_nonce_used(connection: Connection, member_id: int, nonce: int) -> bool:
    """Whether the member signed an earlier rotation with this nonce: the contract would refuse it."""
    asked = select(member_keys.c.number).where(member_keys.c.member_id == member_id, member_keys.c.nonce == nonce)
    return connection.execute(asked).first() is not None


def rotated(connection: Connection) -> dict[int, PublicKey]:
    """The live keys of members that have changed theirs."""
    asked = select(member_keys).where(member_keys.c.number > 1, member_keys.c.to_sequence.is_(None))
    return {row.member_id: _key(row.x, row.y) for row in connection.execute(asked)}


def retired(connection: Connection) -> list[PublicKey]:
    """Keys that somebody had and has no more: nobody gets them again."""
    asked = select(member_keys.c.x, member_keys.c.y).where(member_keys.c.to_sequence.is_not(None))
    return [_key(row.x, row.y) for row in connection.execute(asked)]


def _key(x: bytes, y: bytes) -> PublicKey:
    return PublicKey(int.from_bytes(x, "big"), int.from_bytes(y, "big"))
