"""Why an MCP server could not be used, in words, and whether it can have done what it was asked.

Importing this module imports the client of the Model Context Protocol.
"""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import httpx
from mcp import McpError

from parley.errors import ParleyError
from parley.runner.mcp_servers.bounded_http import AnswerTooLarge

_TIMED_OUT = httpx.codes.REQUEST_TIMEOUT
_CLOSED = -32000
_NO_SESSION = 32600  # what the client makes of a 404


class ConnectionLost(ParleyError):
    """A connection ended, or is of no use any more; the cause says by what."""


class TookTooLong(ParleyError):
    """A server did not answer in time."""


def loses_connection(error: BaseException) -> bool:
    """Return whether an error of a request says that its connection should not be used again."""
    if isinstance(error, McpError):
        return error.error.code in (_TIMED_OUT, _CLOSED, _NO_SESSION)
    return any(isinstance(each, _ABOUT_CONNECTIONS) for each in _behind(error))


def never_arrived(error: BaseException) -> bool:
    """Return whether an error says that the server cannot have seen the request."""
    origins = [each for each in _behind(error) if _is_origin(each)]
    return bool(origins) and all(
        isinstance(each, _NOT_SENT)
        or (isinstance(each, McpError) and each.error.code == _NO_SESSION)
        for each in origins
    )


def reason(error: BaseException) -> str:
    """Return what a server did, as the rest of a sentence, without anything that it or we sent."""
    for each in _behind(error):
        match each:
            case httpx.HTTPStatusError(response=response):
                return f"answered with HTTP status {response.status_code}"
            case AnswerTooLarge():
                return "sent an answer that is too large"
            case httpx.ConnectError() | httpx.ConnectTimeout():
                return "cannot be reached"
            case httpx.TimeoutException() | TookTooLong() | TimeoutError():
                return "did not answer in time; it may have done what it was asked"
            case McpError(error=data) if data.code == _TIMED_OUT:
                return "did not answer in time; it may have done what it was asked"
            case McpError(error=data) if data.code == _NO_SESSION:
                return "does not know the session any more, or is not at this address"
            case McpError(error=data) if data.code != _CLOSED:
                return "refused the request"
            case OSError(strerror=said) if said:
                return f"could not be started: {said}"
            case ConnectionLost() | BaseExceptionGroup():
                pass
            case McpError() | OSError() | EOFError():
                break
            case _ if isinstance(each, _ABOUT_CONNECTIONS):
                break
            case _:
                return f"cannot be used: {type(each).__name__}"
    return "broke off the connection; it may have done what it was asked"


_NOT_SENT = (
    anyio.ClosedResourceError,
    anyio.BrokenResourceError,
    httpx.ConnectError,
    httpx.ConnectTimeout,
)
_ABOUT_CONNECTIONS = (
    ConnectionLost,
    TookTooLong,
    anyio.ClosedResourceError,
    anyio.BrokenResourceError,
    httpx.RequestError,
    httpx.HTTPStatusError,
)


def _is_origin(error: BaseException) -> bool:
    """Return whether an error is not made from another, as far as that matters here."""
    if isinstance(error, BaseExceptionGroup):
        return False
    return error.__cause__ is None or isinstance(error, _ABOUT_TRANSPORT)


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was made from, the errors of a group among it, outermost first."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            waiting += reversed(each.exceptions)
        elif each.__cause__ is not None and not isinstance(each, _ABOUT_TRANSPORT):
            waiting.append(each.__cause__)


_ABOUT_TRANSPORT = (httpx.RequestError, anyio.BrokenResourceError, anyio.ClosedResourceError)
