"""One file with all that a bank needs to check a receivable offline (``jinsha verify``), and to keep."""

from typing import Literal

import msgspec
from sqlalchemy import Connection, Row

from finance.evidence import evidence_of
from finance.trade_evidence import ShownClaim
from settlement import evidence, evidence_store
from settlement.chain import ReadableChain
from settlement.hexjson import Hex
from settlement.trade_leaf import ProofDomain


class ReceivableEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The file. Every event on the receivable is in it with the header of its block."""

    kind: Literal["receivable_evidence"] = "receivable_evidence"
    version: Literal[1] = 1
    domain: ProofDomain
    deployer: Hex
    receivable: ShownClaim


def receivable_evidence(connection: Connection, chain: ReadableChain, row: Row[object]) -> ReceivableEvidence:
    """The evidence of an issued receivable, given as its row. Raises EventNotProvableError, ChainUnavailableError."""
    domain = chain.domain("Receivables")
    places = evidence_store.receivable_events(connection, row.receivable_id, row.period)
    return ReceivableEvidence(
        domain=ProofDomain(domain.chain_id, Hex(domain.contract), Hex(domain.salt)),
        deployer=Hex(chain.deployer),
        receivable=ShownClaim(evidence_of(connection, row), evidence.proven(chain, places)),
    )
