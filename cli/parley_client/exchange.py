"""Calls as HTTP requests, and HTTP responses as results or errors: what both clients share."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from parley_client.call import Call
from parley_client.errors import ApiError, FieldError, NotSendable, UnexpectedAnswer
from parley_client.retry import CONNECT_SECONDS, retry_after

T = TypeVar("T")

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def is_loopback(url: str) -> bool:
    """Return whether the address is on this machine, so that no proxy can lead there."""
    return urlsplit(url).hostname in _LOOPBACK


def request(url: str, call: Call[Any], token: str, read_seconds: float) -> httpx.Request:
    """Make the request.

    Raises:
        NotSendable: Something in it cannot be sent.
    """
    if not (token.isascii() and token.isprintable()) or not token:
        raise NotSendable("The token is none.")  # which is all that may be told of it
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "parley-client"}
    headers |= call.headers
    if call.key is not None:
        headers["Idempotency-Key"] = call.key
    try:
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            # ASCII: what UTF-8 cannot carry is the server's to mend.
            content = json.dumps(call.body, default=_text, allow_nan=False).encode()
        return httpx.Request(
            call.method,
            url + call.path,
            params={name: _parameter(v) for name, v in call.query.items() if v is not None},
            headers=headers,
            content=content,
            extensions={"timeout": httpx.Timeout(read_seconds, connect=CONNECT_SECONDS).as_dict()},
        )
    except (TypeError, ValueError, RecursionError, httpx.InvalidURL) as error:
        raise NotSendable(f"The request cannot be sent: {error}") from error


def result(url: str, call: Call[T], response: httpx.Response) -> T:
    """Read the response.

    Raises:
        ApiError: The API refused.
        UnexpectedAnswer: It is not what Parley answers.
    """
    if not response.is_success:
        raise _refusal(url, response)
    try:
        return call.read(response)
    except (ValueError, RecursionError) as error:
        raise UnexpectedAnswer(url, response.status_code) from error


def _refusal(url: str, response: httpx.Response) -> ApiError | UnexpectedAnswer:
    if response.status_code < 400:
        return UnexpectedAnswer(url, response.status_code)
    try:
        problem = response.json()
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict):
        return ApiError(response.status_code, title=response.reason_phrase)
    errors = problem.get("errors")
    return ApiError(
        response.status_code,
        code=_string(problem.get("code")),
        # API Gateway's own errors have a message only.
        title=_string(problem.get("title") or problem.get("message") or response.reason_phrase),
        detail=_string(problem.get("detail")),
        errors=tuple(
            FieldError(_string(error.get("field")), _string(error.get("reason")))
            for error in (errors if isinstance(errors, list) else [])
            if isinstance(error, dict)
        ),
        request_id=_string(problem.get("request_id")) or None,
        session_id=_id(problem.get("session_id")),
        session_status=_string(problem.get("session_status")) or None,
        limit=_string(problem.get("limit")) or None,
        retry_after=retry_after(response),
        turn_id=_id(problem.get("turn_id")),
    )


def _string(value: object) -> str:
    return "" if value is None else str(value)


def _id(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
