"""A row of each table of what banks ask for and are told: for tests that need every table to have one."""

from dataclasses import replace

from sqlalchemy import Connection

from finance import consent_store, criteria_store, feed_store, telling
from finance.eligibility import Criteria
from finance.telling import Content, Told
from market import webhook_store
from market.webhook_store import Webhook


def ask(connection: Connection, receivable_id: bytes, *, seller: int, bank: int, at_s: int) -> None:
    """The bank's criteria and webhook, which has failed; the seller's consent, withdrawn; both were told of it."""
    criteria_store.set_criteria(connection, bank, Criteria(rating_at_least="A"), at_s)
    webhook = Webhook("w" * 16, bank, "https://bank.example/hook", ("consent",), bytes(60), at_s, 0)
    webhook_store.add(connection, webhook)
    failed = replace(webhook, attempts=1, failing_s=at_s, last_status=500, last_error="it answered 500")
    webhook_store.move(connection, webhook, failed)
    given = {"seller": seller, "bank": bank, "receivable_id": receivable_id, "granted_s": at_s, "until_s": at_s + 1}
    number = consent_store.add(connection, given)
    consent_store.withdraw(connection, number, at_s)
    content = Content(after="withdrawn", bank=bank, seller=seller)
    telling.append(connection, [Told("consent", at_s, receivable_id, number, content, frozenset({seller, bank}))])
    feed_store.set_position(connection, "consents", 1)
