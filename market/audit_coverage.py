"""What the audit covers, column by column, and what it does not, with the reason: ``docs/audit_coverage.md``.

    python -m market.audit_coverage > docs/audit_coverage.md

A column is covered when another value in any row of it is a contradiction that the audit names; a test changes every
one of them. Whatever is not listed in ``UNCOVERED`` is claimed to be covered, so that a new column without a decision
fails that test.
"""

import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from data.tables import metadata
from settlement.blocks import Block

_RECORD = "the market's own record, made by nobody else and signed by nobody"
_WORDS = "words; nothing follows from them"
_TIME = "the market's clock when it was written; only bounds of it are checked"
_ENTRY = "lets people in; what it is made from is secret, and no order or money follows from it without a signature"
_REPEAT = "an answer kept for whoever asks twice; what was asked is not kept, and what it did is in other tables"
_RULE = f"{_RECORD}; held to the journal: no order was taken where it forbids it"

_TOLD = "what a member, a bank or the tax office told; nothing on the chain says it again, and no money follows from it"

_FEED = "tells of what other tables hold, which are covered; nothing follows from what was told"
_CONSENT = f"{_RECORD}; whoever shows more than it should would not need a row for it"
_CRITERIA = "a bank's own wishes, which it may change at any time; what it finances, it signs"
_WEBHOOK = "where the feed is sent, and how far it got; told again from any number, nothing follows from it"
_SAID = f"{_RECORD}, shown to both sides; what is decided counts as a signed reading only"
_COUNT = "how many signatures over readings there were; held to those that the meter signed itself"

UNCOVERED: dict[str, dict[str, str]] = {
    **{table: dict.fromkeys(metadata.tables[table].c.keys(), _TOLD) for table in ("bank_entries", "particulars")},
    "fapiao": dict.fromkeys(
        (
            *("number", "issue_day", "seller_name", "seller_code", "buyer_name", "buyer_code"),
            *("state", "reason", "recorded_s", "verified_s"),
        ),
        _TOLD,
    ),
    "registrations": dict.fromkeys(("place", "receivable_id", "party", "expires_day", "recorded_s"), _TOLD),
    "api_keys": dict.fromkeys(metadata.tables["api_keys"].c.keys(), _ENTRY),
    "area_meters": {"set_s": _TIME},
    "auctions": {"act_s": _TIME},
    "challenges": {
        **dict.fromkeys(("answer_outbox", "uphold_outbox"), f"{_RECORD}; what was sent is on the chain"),
        "problem": _WORDS,
    },
    "credit_limits": {
        **dict.fromkeys(("number", "set_s", "decision"), f"{_RECORD}; who could be asked about it is the lender"),
        "limit_micro": "of a limit in whose place another stands by now",
    },
    "credit_models": {"first_used_s": _TIME},
    "credit_runs": {
        **dict.fromkeys(("as_of_s", "last_cycle", "model_hash"), "of a run in which nothing had changed"),
        "members": f"{_RECORD}; it is only said how many were looked at",
        "scored_s": _TIME,
    },
    "exits": {"tried_s": _TIME},
    "feed_events": dict.fromkeys(metadata.tables["feed_events"].c.keys(), _FEED),
    "feed_audience": dict.fromkeys(metadata.tables["feed_audience"].c.keys(), _FEED),
    "feed_positions": dict.fromkeys(metadata.tables["feed_positions"].c.keys(), _FEED),
    "consents": dict.fromkeys(metadata.tables["consents"].c.keys(), _CONSENT),
    "criteria": dict.fromkeys(metadata.tables["criteria"].c.keys(), _CRITERIA),
    "webhooks": dict.fromkeys(metadata.tables["webhooks"].c.keys(), _WEBHOOK),
    "factors": dict.fromkeys(metadata.tables["factors"].c.keys(), _ENTRY),
    "halts": {
        **dict.fromkeys(("node_id", "start_s", "end_s", "halted_s", "lifted_s"), _RULE),
        **dict.fromkeys(("halted_by", "lifted_by"), _RECORD),
        **dict.fromkeys(("reason", "lift_reason"), _WORDS),
    },
    "idempotency": dict.fromkeys(metadata.tables["idempotency"].c.keys(), _REPEAT),
    "member_controls": {
        **dict.fromkeys(("member_id", "changed_s", "stopped"), _RULE),
        **dict.fromkeys(("change", "changed_by"), _RECORD),
        **dict.fromkeys(("open_orders", "batch_orders", "messages_per_s", "message_burst"), _RECORD),
        "reason": _WORDS,
    },
    "member_decisions": {"note": _WORDS, "checked": _WORDS},
    "member_keys": {"rotated_s": _TIME},
    "members": {
        "name": f"{_RECORD}; of the institutions it is that of market.toml",
        "kind": f"{_RECORD}; of the institutions and of the fund it is checked",
        "registered_s": _TIME,
        "credit_limit_micro": "of a member to whom no lender gave a limit since there is a history of them",
    },
    "meter_keys": {"from_signature": _COUNT, "to_signature": _COUNT, "registered_s": _TIME},
    "meters": {"kind": _WORDS},
    "nodes": {"name": "of a node that is no meter: a label; a meter's is in the digests of its orders and readings"},
    "offers": {"made_s": "found when it falls on another day: the days until payment are part of the terms"},
    "outbox": {"call": "of a call that waits: the contract checks it, and once it is on the chain it is that call"},
    "programs": {"made_s": _TIME},
    "reading_disputes": dict.fromkeys(metadata.tables["reading_disputes"].c.keys(), _SAID),
    "reading_dispute_steps": dict.fromkeys(metadata.tables["reading_dispute_steps"].c.keys(), _SAID),
    "reading_signatures": {"received_s": _TIME},
    "receivables": {"changed_s": _TIME, "marked_s": _TIME, "source": f"a meter's kind, which is {_WORDS}"},
    "recovery_codes": dict.fromkeys(metadata.tables["recovery_codes"].c.keys(), _ENTRY),
    "sessions": dict.fromkeys(metadata.tables["sessions"].c.keys(), _ENTRY),
    "settings": {"value": "of a clock that is moved by hand; that of the genesis is compared with market.toml"},
    "witness_statements": {"received_s": _TIME},
    "withdrawals": {
        "requested_s": _TIME,
        "changed_s": f"{_TIME}; of what the chain did it is the block's",
        "bank_reference": "the custodian's bank knows it; the chain has only the market's own reference",
    },
}
"""By table and column: why another value in some row of it is not found."""


def covered(table: str) -> list[str]:
    """The columns of a table in all rows of which another value is found."""
    return [column.name for column in metadata.tables[table].columns if column.name not in UNCOVERED.get(table, {})]


def block_fields() -> Iterator[tuple[str, ...]]:
    """Every field of the embedded chain's blocks, down to the values within them, by their names."""
    return _fields(msgspec.inspect.type_info(Block), ())


def _fields(kind: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(kind, msgspec.inspect.ListType):
        yield from _fields(kind.item_type, path)
    elif isinstance(kind, msgspec.inspect.StructType | msgspec.inspect.NamedTupleType):
        for field in kind.fields:
            yield from _fields(field.type, (*path, field.name))
    else:
        yield path


def markdown() -> str:
    """The document."""
    total = sum(len(table.c) for table in metadata.sorted_tables)
    open_columns = sum(map(len, UNCOVERED.values()))
    lines = [
        "# What the audit covers",
        "",
        "Written by `python -m market.audit_coverage`; a test changes every value named here, one by one, and compares",
        "this page with the schema. A column is *covered* when another value in any of its rows is found, with table,",
        "key and column; otherwise the reason stands beside it, and it holds for at least some of its rows.",
        "",
        f"{total - open_columns} of {total} columns are covered.",
        "",
        "| table | covered | not covered |",
        "|---|---|---|",
        *(_row(name) for name in sorted(metadata.tables)),
        "",
        "## Why not",
        "",
        *_reasons(),
        "## Blocks of the embedded chain",
        "",
        "Every field is covered; and also when somebody computes the hashes of the block and of all later ones anew,",
        "for the audit then runs it again (all blocks with `--thorough`, else some hundred of them chosen at random).",
        "",
        *(f"- `{'.'.join(path)}`" for path in block_fields()),
        "",
    ]
    return "\n".join(lines)


def _row(table: str) -> str:
    without = ", ".join(f"`{name}`" for name in UNCOVERED.get(table, {}))
    with_it = ", ".join(f"`{name}`" for name in covered(table))
    return f"| `{table}` | {with_it} | {without} |"


def _reasons() -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for table, columns in UNCOVERED.items():
        for column, reason in columns.items():
            by_reason.setdefault(reason, []).append(f"`{table}.{column}`")
    for reason, places in by_reason.items():
        yield f"- {', '.join(places)}: {reason}."
        yield ""


if __name__ == "__main__":
    sys.stdout.write(markdown())
