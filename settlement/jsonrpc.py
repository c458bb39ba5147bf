"""JSON-RPC 2.0 over HTTP: requests and batches on one kept connection, with nothing but the standard library.

A batch is what makes bulk cheap, and web3's refuses raw transactions. A connection that went stale is opened once
more: everything this house sends may safely arrive twice. Source: JSON-RPC 2.0 specification.
"""

import base64
import http.client
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from settlement.chain import ChainRefusedError, ChainUnavailableError

REQUEST_TIMEOUT_S = 300

Post = Callable[[bytes], bytes]
"""Delivers a request body and returns the answer's. Raises ChainUnavailableError."""


class Request(NamedTuple):
    """A method and its parameters, as JSON values."""

    method: str
    parameters: list[Any]


class Failure(NamedTuple):
    """The node's error for one request; ``data`` is its extra text, such as revert data, or empty."""

    code: int
    message: str
    data: str


class JsonRpc:
    """Asks a node. Threads may share it."""

    def __init__(self, post: Post) -> None:
        self._post = post

    def ask(self, method: str, *parameters: Any) -> Any:
        """One request's result. Raises ChainRefusedError with the node's message, ChainUnavailableError."""
        (result,) = self.batch([Request(method, list(parameters))])
        if isinstance(result, Failure):
            raise ChainRefusedError(f"{method}: {result.message}")
        return result

    def batch(self, requests: Sequence[Request]) -> list[Any]:
        """Results in the order of the requests, a ``Failure`` where the node refused one."""
        if not requests:
            return []
        body = [
            {"jsonrpc": "2.0", "id": number, "method": request.method, "params": request.parameters}
            for number, request in enumerate(requests)
        ]
        try:
            answers = msgspec.json.decode(self._post(msgspec.json.encode(body)))
        except msgspec.DecodeError as error:
            raise ChainUnavailableError(f"the node's answer is cut off or no JSON: {error}") from error
        if not isinstance(answers, list):
            raise ChainRefusedError(f"the node answered a batch with {str(answers)[:200]}")
        by_id = {answer.get("id"): answer for answer in answers}
        missing = [request.method for number, request in enumerate(requests) if number not in by_id]
        if missing:
            raise ChainRefusedError(f"the node did not answer {missing[0]}")
        return [_result(by_id[number]) for number in range(len(requests))]


def _result(answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    data = error.get("data")
    return Failure(error.get("code", 0), error.get("message", ""), data if isinstance(data, str) else "")


class HttpPost:
    """Posts bodies to a URL on one kept connection, one at a time. A name and password in the URL are sent along."""

    def __init__(self, url: str, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        assert parts.hostname is not None, f"{url} names no host"
        self.place = f"{parts.hostname}:{parts.port or kind.default_port}"
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_s)
        self._timeout_s = timeout_s
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/json"}
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
        self._lock = threading.Lock()

    def __call__(self, body: bytes) -> bytes:
        with self._lock:
            try:
                return self._post(body)
            except (OSError, http.client.HTTPException):
                self._connection.close()  # a kept connection that the other side closed: once more on a new one
            try:
                return self._post(body)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                raise ChainUnavailableError(f"the chain's node {self.place} does not answer: {error}") from error

    def _post(self, body: bytes) -> bytes:
        try:
            self._connection.request("POST", self._path, body, self._headers)
            response = self._connection.getresponse()
            answer = response.read()
        except TimeoutError as error:
            self._connection.close()
            raise ChainUnavailableError(f"no answer of {self.place} within {self._timeout_s} s") from error
        if response.status != http.client.OK:
            raise ChainUnavailableError(f"the chain's node {self.place} answered {response.status}: {answer[:200]!r}")
        if answer.lstrip()[:1] not in (b"[", b"{"):
            raise ChainUnavailableError(f"{self.place} does not speak JSON-RPC: {answer[:200]!r}")
        return answer

    def close(self) -> None:
        self._connection.close()
