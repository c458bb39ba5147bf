"""Structured logs: one JSON object a line, with an event name and its fields; no secrets, no personal data.

Fields are ids, codes, counts and durations. Bodies, tokens, names, signatures and keys are never given to ``log``.
"""

import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec

_logger = logging.getLogger("jinsha")

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Whose work this is: set once for each request, and in every line that is logged for it."""


def log(level: int, event: str, *, trace: bool = False, **fields: str | int | float | bool | None) -> None:
    """One line. With ``trace`` the exception being handled goes along, as one field."""
    if not _logger.isEnabledFor(level):
        return
    if (request_id := REQUEST_ID.get()) is not None:
        fields["id"] = request_id
    if trace:
        fields["trace"] = traceback.format_exc()
    _logger.log(level, event, extra={"fields": fields})


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def start_logging(level: int = logging.INFO) -> None:
    """Send every logger's lines, from ``level`` up, to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    _logger.setLevel(level)
