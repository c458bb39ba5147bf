"""A receivable by itself, for a bank that finances it: what it is made of, and all that the chain says became of it.

How much of each trade was delivered, and that each commitment's root is the chain's, is believed here: the evidence of
a trade shows that. The receivable's content, its trades' sum, its period and its events are checked.
"""

from typing import Any

from verifier import claim
from verifier.chain import Known
from verifier.document import Fields
from verifier.report import Report
from verifier.trade import contracts_of, read_domain

KIND = "receivable_evidence"
FIELDS = ("kind", "version", "domain", "deployer", "receivable")


def verify_receivable(value: Any, report: Report, known: Known) -> None:
    """Verify a receivable's file. Raises MalformedError."""
    fields = Fields(value, "", FIELDS)
    fields.number("version", 1, 1)
    contracts, deployer = contracts_of(fields), fields.hex("deployer", 20)
    report.check("contracts_of_one_account", read_domain(fields).contract in contracts, account=deployer.hex())
    claimed = fields.fields("receivable", "evidence", "events")
    claim.verify_claim(claimed, report, known, claim.Subject(None, contracts, None))
