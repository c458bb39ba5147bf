"""Witnesses: outside parties that countersign the head of the chain, so that nobody can rewrite it unseen.

A statement says: at this time the chain's head was this block. It is signed with the witness's own key, and names the
digest of the witness's statement before it, so that none can be left out. A witness signs a head only when it has
followed the chain there, hash by hash, from the head that it signed before. Its statements are kept by itself and
published by the market; keys of witnesses stand in market.toml under ``[witnesses]``.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, RowMapping

from settlement import signatures, witness_store
from settlement.contradiction import Contradiction
from settlement.headers import BlockHeader
from settlement.hexjson import Hex
from settlement.intents import WITNESSED, Domain
from settlement.signatures import PublicKey, is_signed

NO_STATEMENT = bytes(32)
"""What the first statement names as the one before."""

WITNESS_EVERY_S = 600
UNWITNESSED_AFTER_S = 3_600
"""A chain whose head is later than the newest witnessed block by more than this is as good as without a witness."""


class Statement(msgspec.Struct, frozen=True):
    """What one witness said; ``number`` counts its statements from 1, times are seconds since 1970."""

    witness: str
    number: int
    block: int
    block_hash: Hex
    block_s: int
    witnessed_s: int
    previous: Hex
    signature: Hex


class Signer(NamedTuple):
    """A witness that signs; ``domain`` is that of Clearing."""

    witness: str
    key: ec.EllipticCurvePrivateKey
    domain: Domain


class Witnessed(NamedTuple):
    """Whom to believe: the witnesses' keys by name, and the domain of Clearing."""

    keys: Mapping[str, PublicKey]
    domain: Domain


def digest(domain: Domain, statement: Statement) -> bytes:
    """The 32 bytes that a witness signs; also what its next statement names."""
    return WITNESSED.digest(
        domain,
        {
            "witness": statement.witness,
            "number": statement.number,
            "blockNumber": statement.block,
            "blockHash": bytes(statement.block_hash),
            "blockTime": statement.block_s,
            "witnessedAt": statement.witnessed_s,
            "previous": bytes(statement.previous),
        },
    )


def state(signer: Signer, head: BlockHeader, last: Statement | None, now_s: int) -> Statement:
    """The next statement of a witness, signed."""
    said = Statement(
        witness=signer.witness,
        number=1 if last is None else last.number + 1,
        block=head.number,
        block_hash=Hex(head.hash),
        block_s=head.timestamp_s,
        witnessed_s=now_s,
        previous=Hex(NO_STATEMENT if last is None else digest(signer.domain, last)),
        signature=Hex(),
    )
    signature = signatures.sign(signer.key, digest(signer.domain, said))
    return msgspec.structs.replace(said, signature=Hex(signature))


def problem(said: Statement, last: Statement | None, key: PublicKey, domain: Domain) -> str | None:
    """Why a statement does not come after another of the same witness: the field that says so; None when it does."""
    if len(said.block_hash) != 32 or len(said.previous) != 32:
        return "block_hash"
    if said.number != (1 if last is None else last.number + 1):
        return "number"
    if bytes(said.previous) != (NO_STATEMENT if last is None else digest(domain, last)):
        return "previous"
    if last is not None and (said.block < last.block or said.witnessed_s < last.witnessed_s):
        return "block" if said.block < last.block else "witnessed_s"
    return None if is_signed(key, digest(domain, said), said.signature) else "signature"


def examine(statements: Iterable[Statement], witnessed: Witnessed) -> Iterator[Statement | Contradiction]:
    """Statements of any witnesses, each witness's in order: those that hold, and what contradicts."""
    last: dict[str, Statement] = {}
    for said in statements:
        where = ("witness_statements", f"{said.witness} {said.number}")
        key = witnessed.keys.get(said.witness)
        if key is None:
            yield Contradiction(*where, "witness", "is not one of those that market.toml names")
            continue
        wrong = problem(said, last.get(said.witness), key, witnessed.domain)
        yield said if wrong is None else Contradiction(*where, wrong, "is not what this witness signed next")
        last[said.witness] = said


def witnessed_heads(connection: Connection, witnessed: Witnessed) -> Iterator[Statement | Contradiction]:
    """For the audit: every published statement that holds, and what contradicts.

    Whether the block that a statement names is the chain's is for the caller to see (``headers`` of the chain).
    """
    return examine(map(of_row, witness_store.statements(connection)), witnessed)


def of_row(row: RowMapping) -> Statement:
    """A row of ``witness_statements``."""
    fields = {name: row[name] for name in Statement.__struct_fields__}
    shown: Any = {name: Hex(value) if isinstance(value, bytes) else value for name, value in fields.items()}
    return Statement(**shown)
