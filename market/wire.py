"""JSON <-> units: the only place where text from outside becomes money, energy, prices and times.

A body is read strictly: UTF-8, one JSON value, no key twice, no unknown field, no NaN or infinity, no lone surrogate,
every value of its declared type (``"7"``, ``7.0`` and ``true`` are not ``7``). What fails is a 400 with a code and the
field at fault; a number off its step is a 422 with the code of the rule. Nothing is rounded, nothing is guessed.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from aiohttp import web

from data.units import (
    UnitError,
    format_instant,
    parse_energy_lots,
    parse_instant_s,
    parse_money_micro,
    parse_price_ticks,
)
from market.problems import Problem, ProblemError, refuse
from settlement.jwk import Jwk, from_jwk
from settlement.signatures import SIGNATURE_BYTES, PublicKey

_PAYLOAD = web.RequestKey("payload", bytes)

BODY_TERMS: web.RequestKey[tuple[int, int]] = web.RequestKey("body_terms", tuple)
"""How many bytes of a body are read, and for how many seconds."""

_USUAL_TERMS = (2**20, 20)
TOO_LARGE = Problem(413, "too_large", "the body is larger than this route reads; send it in several requests")

DEEPEST = 32
"""Levels of nesting that a body may have; ours have four."""

PAGE_LIMIT = 1000
"""The most items a list answers with at once."""

T = TypeVar("T")

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A member, a nonce, a count: a JSON integer that every layer below can hold."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, examples=["A1"])]
ClientId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$", examples=["sunny-1"])]
"""An id that a member chooses."""


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every request body."""


# ---------------------------------------------------------------------------------------------- reading


async def read(request: web.Request, kind: type[T]) -> T:
    """The request's body as ``kind`` (a ``Body``). Raises ProblemError, or TimeoutError on a slow sender."""
    if request.can_read_body and request.content_type not in ("application/json", "application/octet-stream"):
        raise refuse(415, "unsupported_media_type", "send application/json")
    return decode(await payload_of(request), kind)


async def payload_of(request: web.Request) -> bytes:
    """The body, however often it is asked for. Raises ProblemError ``too_large``, TimeoutError on a slow sender."""
    kept: bytes | None = request.get(_PAYLOAD)
    if kept is not None:
        return kept
    limit, patience_s = request.get(BODY_TERMS, _USUAL_TERMS)
    if request.content.is_eof():  # it came together with its head, as small ones do: nothing to wait for
        whole = request.content.read_nowait()
        if len(whole) > limit:
            raise ProblemError(TOO_LARGE)
    else:
        whole = await _arriving(request, limit, patience_s)
    request[_PAYLOAD] = whole
    return whole


async def _arriving(request: web.Request, limit: int, patience_s: float) -> bytes:
    payload = bytearray()
    async with asyncio.timeout(patience_s):
        async for chunk in request.content.iter_any():
            payload += chunk
            if len(payload) > limit:
                raise ProblemError(TOO_LARGE)
    return bytes(payload)


def decode(payload: bytes, kind: type[T]) -> T:
    """Strict JSON as ``kind``. Raises ProblemError with status 400."""
    _check_depth(payload)
    try:
        value = msgspec.json.decode(payload, type=kind)
    except msgspec.ValidationError as error:
        raise ProblemError(_of_validation(str(error))) from error
    except RecursionError as error:
        raise _too_deep() from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(error) from error
    _check_keys(payload)
    if b"\\u0000" in payload and _NUL.search(payload):
        raise refuse(400, "bad_value", "text has no NUL in it")
    return value


_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""U+0000 as JSON must write it. Databases differ on it, so it stands in no text."""


def _check_depth(payload: bytes) -> None:
    """Raises ProblemError when objects and lists are nested deeper than DEEPEST, before any parser sees them.

    Parsers recurse, and stop at Python's recursion limit; but ``ethereum-execution`` raises that limit, for the whole
    process, beyond what the C stack bears: a deep body would end the server. An object is the whole, stands in a list
    or is the value of a key, so there are no more levels than twice the lists, the objects behind a colon, and one:
    that bound lets usual bodies pass. For others, what is not structure is cut away, then the innermost levels, which
    leaves little; the rest is counted.
    """
    colons = b":{" if _is_compact(payload) else None
    behind_colons = payload.count(colons) if colons else len(_OBJECT_BEHIND_COLON.findall(payload))
    if 2 * payload.count(b"[") + behind_colons < DEEPEST:
        return
    structure = payload.translate(None, _NOT_STRUCTURE)
    if b"\\" not in structure:
        structure = structure.replace(b'""', b"")  # most strings, fast; the pattern takes those with brackets inside
    structure = _STRING.sub(b"", structure)
    for _ in range(_USUAL_LEVELS):
        structure = structure.replace(b"{}", b"").replace(b"[]", b"")
    depth = 0
    for byte in structure:
        depth += 1 if byte in b"[{" else -1
        if depth > DEEPEST - _USUAL_LEVELS:
            raise _too_deep()


def _is_compact(payload: bytes) -> bool:
    return not (b" " in payload or b"\n" in payload or b"\t" in payload or b"\r" in payload)


_OBJECT_BEHIND_COLON = re.compile(rb":[ \t\r\n]*\{")
_USUAL_LEVELS = 4
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"\\[]{}'))
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')


def _check_keys(payload: bytes) -> None:
    """Raises ProblemError when a key stands twice in one object: parsers differ on which of the two they take.

    In a text without blanks between a key and its colon there are at most as many keys as ``":`` stands in it; where
    as many arrive, none was lost to a twin. Only what does not add up is looked at key by key.
    """
    has_blanks = not _is_compact(payload) and _BLANK_BEFORE_COLON.search(payload)
    if not has_blanks and payload.count(b'":') == _count_keys(msgspec.json.decode(payload)):
        return
    try:
        json.loads(payload, object_pairs_hook=_refuse_duplicates)
    except _DuplicateKeyError as error:
        raise refuse(400, "duplicate_key", f"the key {error.key!r} stands twice in one object", error.key) from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise _malformed(error) from error


_BLANK_BEFORE_COLON = re.compile(rb'"[ \t\r\n]+:')


def _count_keys(whole: Any) -> int:
    """How many keys the objects inside a JSON value have."""
    keys, inside = 0, [whole]
    while inside:
        value = inside.pop()
        if value.__class__ is dict:
            keys += len(value)
            value = value.values()
        elif value.__class__ is not list:
            continue
        inside += [each for each in value if each.__class__ is dict or each.__class__ is list]
    return keys


def _too_deep() -> ProblemError:
    return refuse(400, "too_deep", "the JSON is nested too deeply")


def _malformed(error: Exception) -> ProblemError:
    return refuse(400, "malformed_json", f"the body is not strict JSON: {error}"[:200])


class _DuplicateKeyError(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key[:64]


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _DuplicateKeyError(key)
        seen.add(key)


_NAMED = re.compile(r"field `([^`]*)`")
_AT = re.compile(r" - at `\$\.?([^`]*)`$")


def _of_validation(message: str) -> Problem:
    """msgspec's message as a problem: which field, and in which way it is wrong."""
    at, named = _AT.search(message), _NAMED.search(message)
    inside = at.group(1) if at else ""
    plain = _AT.sub("", message)
    if named:
        field = f"{inside}.{named.group(1)}" if inside else named.group(1)
        return Problem(400, "unknown_field" if "unknown" in plain else "missing_field", plain[:200], field[:100])
    code = "wrong_type" if plain.startswith("Expected `") and "got" in plain else "bad_value"
    return Problem(400, code, plain[:200], inside[:100] or None)


# ------------------------------------------------------------------------------------------- one value


def _unit(parse: Callable[[str], int], text: str, field: str, code: str) -> int:
    try:
        return parse(text)
    except UnitError as error:
        raise refuse(422, code, str(error), field) from error


def energy_lots(text: str, field: str = "quantity") -> int:
    """kWh to lots. Raises ProblemError ``bad_quantity``."""
    return _unit(parse_energy_lots, text, field, "bad_quantity")


def price_ticks(text: str, field: str = "price") -> int:
    """CNY/kWh to ticks. Raises ProblemError ``bad_price``."""
    return _unit(parse_price_ticks, text, field, "bad_price")


def money_micro(text: str, field: str = "amount") -> int:
    """CNY to micro-yuan. Raises ProblemError ``bad_amount``."""
    return _unit(parse_money_micro, text, field, "bad_amount")


def instant_s(text: str, field: str) -> int:
    """An RFC 3339 instant in UTC, not before 1970, to seconds. Raises ProblemError ``bad_time``."""
    seconds = _unit(parse_instant_s, text, field, "bad_time")
    if seconds < 0:
        raise refuse(422, "bad_time", "times before 1970 are not served", field)
    return seconds


def hex_bytes(text: str, size: int, field: str, code: str = "bad_hex") -> bytes:
    """Lower-case hex without 0x, of exactly ``size`` bytes. Raises ProblemError."""
    if len(text) != 2 * size or not re.fullmatch(r"[0-9a-f]*", text, re.ASCII):
        raise refuse(422, code, f"expected {size} bytes as lower-case hex, without 0x", field)
    return bytes.fromhex(text)


def signature(text: str, field: str = "signature") -> bytes:
    """64 bytes r || s. Raises ProblemError ``bad_signature``."""
    return hex_bytes(text, SIGNATURE_BYTES, field, "bad_signature")


def public_key(given: Jwk, field: str = "public_key") -> PublicKey:
    """The point, checked to be on the curve. Raises ProblemError ``bad_key``."""
    try:
        return from_jwk(given)
    except ValueError as error:
        raise refuse(422, "bad_key", str(error), field) from error


# ----------------------------------------------------------------------------------- query and answers


def query(request: web.Request, *allowed: str) -> dict[str, str]:
    """The query string as a dict. Raises ProblemError on a name that is not ``allowed`` or stands twice."""
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in allowed:
            raise refuse(
                400, "unknown_parameter", f"the parameters here are: {', '.join(allowed) or 'none'}", name[:64]
            )
        if name in found:
            raise refuse(400, "duplicate_parameter", "a parameter may stand once", name)
        if "\x00" in value:
            raise refuse(400, "bad_parameter", "text has no NUL in it", name)
        found[name] = value
    return found


def page_limit(parameters: dict[str, str]) -> int:
    """``limit`` of a list, 1..1000, by default 1000. Raises ProblemError."""
    return whole_number(parameters.get("limit", str(PAGE_LIMIT)), "limit", 1, PAGE_LIMIT)


def whole_number(text: str, field: str, lowest: int = 0, highest: int = 2**63 - 1) -> int:
    """A whole number in a path or query. Raises ProblemError ``bad_number``."""
    if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) or not lowest <= int(text) <= highest:
        raise refuse(400, "bad_number", f"expected a whole number from {lowest} to {highest}", field)
    return int(text)


def cursor(parameters: dict[str, str]) -> int:
    """Where a list goes on: the key of the last item seen, -1 at the start. Opaque to clients. Raises ProblemError."""
    text = parameters.get("cursor")
    if text is None:
        return -1
    if not re.fullmatch(r"c[0-9a-f]{1,16}", text, re.ASCII) or int(text[1:], 16) >= 2**63:
        raise refuse(400, "bad_cursor", "use the value of next from the previous page", "cursor")
    return int(text[1:], 16)


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A list's answer; `next` is the cursor to go on with, null at the end."""

    items: list[T]
    next: str | None


def page(items: list[T], last_key: int | None) -> Page[T]:
    """A list's answer. ``last_key`` is that of the last item when there may be more, else None."""
    return Page(items, next_cursor(last_key))


def next_cursor(last_key: int | None) -> str | None:
    """The cursor after an item with this key, None when there are no more."""
    return None if last_key is None else f"c{last_key:x}"


def reply(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """``value`` (anything msgspec can write) as a JSON answer."""
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers
    )


async def reply_bytes(payload: Awaitable[bytes]) -> web.Response:
    """An answer whose JSON is made off the loop."""
    return web.Response(body=await payload, content_type="application/json")


def time_text(instant: int | None) -> str | None:
    """An instant for an answer, or None where there is none."""
    return None if instant is None else format_instant(instant)
