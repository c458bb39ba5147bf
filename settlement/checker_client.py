"""The checker's side of the market's HTTP interface: logs in with its key, reads what is published, posts its word.

Exceptions::

    MarketUnreachableError   nobody answers, or says "later": try again
    MarketRefusedError       the market answered with a refusal; ``code`` is its own
"""

import http.client
import urllib.error
import urllib.request
from typing import Any

import msgspec

from settlement import hexjson, signatures
from settlement.intents import LOGIN, Domain
from settlement.officer import Officer

TIMEOUT_S = 120
_LATER = frozenset({408, 429, 503})


class MarketUnreachableError(Exception):
    """Nobody answers at this address, or not now."""


class MarketRefusedError(Exception):
    """The market answered with a refusal."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status, self.code = status, code


class _Problem(msgspec.Struct):
    code: str = "unknown"
    detail: str = ""


class MarketClient:
    """Blocking, one request after another. The session is renewed when the market no longer knows it."""

    def __init__(self, server_url: str, officer: Officer) -> None:
        self._url, self._officer = server_url.rstrip("/"), officer
        self._token: str | None = None
        self._domain: Domain | None = None

    def get(self, path: str) -> bytes:
        """The body of the answer. Raises MarketUnreachableError, MarketRefusedError."""
        return self._authorised("GET", path, None)

    def get_json(self, path: str) -> Any:
        """The answer's JSON as builtins."""
        return msgspec.json.decode(self.get(path))

    def post(self, path: str, body: msgspec.Struct) -> bytes:
        """Send a body; the answer's. Raises MarketUnreachableError, MarketRefusedError."""
        return self._authorised("POST", path, hexjson.dumps(body))

    def log_in_at(self, domain: Domain) -> None:
        """Log in with signatures in this domain, that of Members, from now on."""
        self._domain, self._token = domain, None

    def _authorised(self, method: str, path: str, body: bytes | None) -> bytes:
        if self._token is None and self._domain is not None:
            self._token = self._log_in(self._domain)
        try:
            return self._send(method, path, body)
        except MarketRefusedError as error:
            if error.status != 401 or self._domain is None:
                raise
        self._token = self._log_in(self._domain)
        return self._send(method, path, body)

    def _log_in(self, domain: Domain) -> str:
        member = self._officer.member
        self._token = None
        asked = self._send("POST", "/v1/sessions/challenge", msgspec.json.encode({"member": member}))
        nonce = bytes.fromhex(msgspec.json.decode(asked)["nonce"])
        digest = LOGIN.digest(domain, {"member": member, "nonce": nonce})
        signature = signatures.sign(self._officer.key, digest)
        body = {"member": member, "nonce": nonce.hex(), "signature": signature.hex()}
        token: str = msgspec.json.decode(self._send("POST", "/v1/sessions", msgspec.json.encode(body)))["token"]
        return token

    def _send(self, method: str, path: str, body: bytes | None) -> bytes:
        request = urllib.request.Request(self._url + path, data=body, method=method)
        request.add_header("Content-Type", "application/json")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                payload: bytes = answer.read()
                return payload
        except urllib.error.HTTPError as error:
            raise _refusal(error) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise MarketUnreachableError(f"{self._url} does not answer: {error}") from error


def _refusal(error: urllib.error.HTTPError) -> Exception:
    if error.code in _LATER:
        return MarketUnreachableError(f"the market says {error.code}, later")
    try:
        problem = msgspec.json.decode(error.read(), type=_Problem)
    except (msgspec.DecodeError, OSError):
        problem = _Problem(detail=error.reason)
    return MarketRefusedError(error.code, problem.code, problem.detail)
