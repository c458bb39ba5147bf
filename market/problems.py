"""Refusals on the wire: RFC 9457 ``application/problem+json`` with a stable code, and nothing else, ever.

A rule's refusal is a ``Problem``, an ordinary value; a route that can not go on raises it inside a ``ProblemError``.
The middleware turns everything that can leave a handler into a problem: an unknown route, a wrong method, a body too
large or too slow, an outage, and a bug, which is logged with its trace under the request's id and answered without it.
"""

import asyncio
import logging
from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import UNSET, UnsetType
from sqlalchemy.exc import DBAPIError

from market.logs import REQUEST_ID, log

PROBLEM_CODE = web.ResponseKey("problem_code", str)
"""On an answer: the code of the problem that it tells of."""


class ProblemBody(msgspec.Struct, frozen=True):
    """RFC 9457: what was refused and why; `code` is stable, `field` names what is at fault in the request."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET


class Problem(msgspec.Struct, frozen=True):
    """A refusal: HTTP status, stable snake_case code, what to do about it, and the field at fault if there is one."""

    status: int
    code: str
    detail: str
    field: str | None = None
    retry_after_s: int | None = None

    def body(self, request_id: str | None = None) -> ProblemBody:
        """The problem+json object."""
        return ProblemBody(
            type="about:blank",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            code=self.code,
            detail=self.detail,
            field=UNSET if self.field is None else self.field,
            request_id=UNSET if request_id is None else request_id,
        )


class ProblemError(Exception):
    """Carries a problem out of a handler."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.problem = problem


class StoppedError(Exception):
    """The sequencer has stopped; nothing that changes the market can be answered."""


class NotRecordedError(Exception):
    """The database failed; nothing that was asked for is acknowledged. The same request may be sent again."""


def refuse(status: int, code: str, detail: str, field: str | None = None) -> ProblemError:
    """``raise refuse(...)``: shorthand for a ProblemError."""
    return ProblemError(Problem(status, code, detail, field))


def not_found(what: str) -> ProblemError:
    """404, also for what the asker may not see."""
    return refuse(404, "not_found", f"there is no such {what}")


def unavailable(code: str, detail: str, retry_after_s: int = 1) -> ProblemError:
    """503: an outage; the same request may be sent again."""
    return ProblemError(Problem(503, code, detail, retry_after_s=retry_after_s))


def problem_response(problem: Problem) -> web.Response:
    """The problem as an answer to the request that is being served, whose id is in it."""
    retry_after_s = problem.retry_after_s
    if retry_after_s is None and problem.status in (429, 503):
        retry_after_s = 1
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else None
    response = web.Response(
        status=problem.status,
        body=msgspec.json.encode(problem.body(REQUEST_ID.get())),
        content_type="application/problem+json",
        headers=headers,
    )
    response[PROBLEM_CODE] = problem.code
    return response


_OF_STATUS = {
    404: Problem(404, "no_such_route", "there is nothing at this address; see /v1/market"),
    413: Problem(413, "too_large", "the body is larger than this server reads; send it in several requests"),
}


def _of_http_error(error: web.HTTPException) -> Problem:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Problem(405, "method_not_allowed", f"{error.method} is not served here; {allowed} are")
    return _OF_STATUS.get(error.status) or Problem(error.status, "bad_request", "the request can not be read")


def _of_outage(error: Exception) -> Problem:
    if isinstance(error, StoppedError):
        return Problem(503, "market_stopped", "the market has stopped; nothing was changed", retry_after_s=30)
    if isinstance(error, TimeoutError):
        return Problem(408, "too_slow", "the request did not arrive, or could not be answered, in time")
    return Problem(503, "storage_unavailable", "the database does not answer; nothing was acknowledged", None, 2)


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers every failure in one shape."""
    try:
        response: web.StreamResponse = await handler(request)
    except ProblemError as error:
        return problem_response(error.problem)
    except web.HTTPException as error:
        response = problem_response(_of_http_error(error))
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return response
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: outages and bugs are logged and answered
        return problem_response(problem_of(error))
    return response


def problem_of(error: Exception) -> Problem:
    """What is answered for an exception that is being handled; an outage is logged, a bug with its trace."""
    if isinstance(error, ProblemError):
        return error.problem
    if isinstance(error, StoppedError | NotRecordedError | TimeoutError | DBAPIError):
        log(logging.ERROR, "outage", error=type(error).__name__)
        return _of_outage(error)
    log(logging.ERROR, "bug", trace=True)
    return Problem(500, "internal_error", "a fault on our side; it is recorded under this request's id")
