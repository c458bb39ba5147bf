"""Structured logs: one JSON object a line on standard error, with an event name and its fields.

No secrets and no personal data: fields are ids, codes, counts and durations, never bodies, tokens, names, signatures,
keys or addresses. Of an exception its type and where it passed are told, not its message, which may quote anything; of
a library's line its template, not what stands in it.

A line costs its caller one encoding: a thread of its own writes what has gathered, so that a slow reader of the log
does not slow the market. When too much waits, lines below a warning are left out, and counted.
"""

import atexit
import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import BinaryIO

import msgspec

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Whose work this is: set once for each request, and in every line that is logged for it."""

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_NAMES = {level: name for name, level in LEVELS.items()} | {logging.CRITICAL: "critical"}
GATHER_S = 0.05
MOST_WAITING = 20_000
LONGEST_TEMPLATE = 200

Field = str | int | float | bool | list[str] | None


class Sink:
    """Writes lines to a stream, in a thread of its own."""

    def __init__(self, stream: BinaryIO, level: int) -> None:
        self.level = level
        self._stream = stream
        self._lines: deque[bytes] = deque()
        self._dropped = 0
        self._has_lines = threading.Event()
        self._is_closed = False
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, level: int, line: bytes) -> None:
        """Have a line written soon; never waits."""
        if level < logging.WARNING and len(self._lines) >= MOST_WAITING:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._has_lines.is_set():
            self._has_lines.set()

    def flush(self) -> None:
        """Write all that waits. Blocks as long as the stream does."""
        with self._writing:
            lines: list[bytes] = []
            while self._lines:
                lines.append(self._lines.popleft())
            if self._dropped:
                lines.append(_line(logging.WARNING, "log_lines_left_out", {"count": self._dropped}))
                self._dropped = 0
            try:
                self._stream.write(b"".join(lines))
                self._stream.flush()
            except (OSError, ValueError):  # nobody can read it any more, or its disk is full: the market goes on
                self._dropped += len(lines)

    def close(self) -> None:
        """Write all that waits, and end."""
        self._is_closed = True
        self._has_lines.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._is_closed:
            self._has_lines.wait()
            time.sleep(GATHER_S)
            self._has_lines.clear()
            self.flush()


class _Sinks:
    """Where lines go; None until ``start_logging``: then warnings and worse go straight to standard error."""

    current: Sink | None = None


def log(level: int, event: str, *, trace: bool = False, **fields: Field) -> None:
    """One line. With ``trace`` the exception being handled goes along: its types, and the way it took."""
    sink = _Sinks.current
    if level < (sink.level if sink is not None else logging.WARNING):
        return
    if trace:
        fields["trace"] = _trace(sys.exception())
    _put(level, _line(level, event, fields))


def _put(level: int, line: bytes) -> None:
    if _Sinks.current is not None:
        _Sinks.current.put(level, line)
    else:
        sys.stderr.write(line.decode())


def _line(level: int, event: str, fields: dict[str, Field]) -> bytes:
    line: dict[str, Field] = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": _NAMES.get(level, "info"),
        "event": event,
    }
    if (request_id := REQUEST_ID.get()) is not None:
        line["id"] = request_id
    line.update(fields)
    return msgspec.json.encode(line) + b"\n"


def _trace(error: BaseException | None) -> list[str]:
    """Where an exception passed, its type, then the same of its causes."""
    told: list[str] = []
    while error is not None:
        told += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
        told.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    return told


class _FromLibraries(logging.Handler):
    """Lines of libraries, without what they were filled in with: it may be an address, or worse."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Field] = dict(getattr(record, "fields", {}))
        event = str(record.msg).partition("\n")[0][:LONGEST_TEMPLATE]
        if not record.name.startswith("jinsha"):
            fields["library"] = record.name
        if record.exc_info:
            fields["trace"] = _trace(record.exc_info[1])
        _put(record.levelno, _line(record.levelno, event, fields))


def start_logging(level: int = logging.INFO, stream: BinaryIO | None = None) -> Sink:
    """Send every line from ``level`` up to a stream, standard error by default; of libraries those from warnings up."""
    stop_logging()
    atexit.register(stop_logging)
    _Sinks.current = Sink(stream if stream is not None else sys.stderr.buffer, level)
    logging.basicConfig(level=logging.WARNING, handlers=[_FromLibraries()], force=True)
    logging.getLogger("jinsha").setLevel(level)
    return _Sinks.current


def set_level(name: str) -> None:
    """From now on, lines from ``debug``, ``info``, ``warning`` or ``error`` up."""
    if _Sinks.current is not None:
        _Sinks.current.level = LEVELS[name]
        logging.getLogger("jinsha").setLevel(LEVELS[name])


def stop_logging() -> None:
    """Write what waits; later lines are written only from warnings up, straight to standard error."""
    if _Sinks.current is not None:
        _Sinks.current.close()
        _Sinks.current = None


def is_logged(level: int) -> bool:
    """Whether lines of this level are written at all, for those that cost something to put together."""
    return _Sinks.current is not None and level >= _Sinks.current.level


def some(ids: Iterable[str | None], most: int = 50) -> list[str]:
    """The first few of the ids that there are, each once."""
    return list(dict.fromkeys(each for each in ids if each is not None))[:most]
