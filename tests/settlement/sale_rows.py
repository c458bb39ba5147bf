"""A row of each table of selling, as the market itself writes them: for tests that need every table to have one."""

from collections.abc import Callable

from finance.program import Price
from tests.finance.ledger import BANK, Ledger
from tests.finance.selling import HOUR_S, Selling


def auction_and_program(ledger: Ledger, receivable_id: bytes, pull: Callable[[], None]) -> None:
    """An auction in which the bank has bid and shown what; a program that the bank has signed and nobody drawn on."""
    owed = ledger.receivable(receivable_id)
    selling = Selling(ledger, receivable_id)
    selling.ask(owed.creditor)
    pull()
    number = 1
    bid = selling.commit(number, BANK, 60)
    pull()
    selling.wait(HOUR_S)
    selling.reveal(bid)
    pull()
    program = selling.draft(BANK, {owed.debtor: "A"}, prices=[Price("A", 90, 45_000)])
    selling.sign(BANK, program)
