"""Lambda proxy integration: requests to REST API events, answers to HTTP responses."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

from parley.errors import ParleyError
from parley_local.messages import HttpRequest, HttpResponse
from parley_local.request_context import RequestContext

_BETWEEN_TWO_HOPS = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_PASSED_ON = _BETWEEN_TWO_HOPS | {"expect", "x-amzn-requestid"}
# What a client must not say: on AWS the streaming adapter sets x-amzn-request-context and
# x-amzn-lambda-context, and a function believes them.
_OF_THE_ADAPTER = re.compile(r"x-amzn-.*context.*", re.IGNORECASE)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REMAPPED = frozenset({"connection", "date", "server", "www-authenticate", "content-md5"})
_MADE_BY_THE_GATEWAY = frozenset({"content-length", "transfer-encoding", "x-amzn-requestid"})


class MalformedAnswer(ParleyError):
    """The function's answer is no proxy response; says which part."""


def proxy_event(
    context: RequestContext,
    parameters: Mapping[str, str],
    *,
    binary_types: Iterable[str] = (),
    authorizer: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the REST API (payload 1.0) event of a request.

    Args:
        context: The request and what the gateway knows of it.
        parameters: Path parameters, decoded.
        binary_types: Content types whose bodies are always base64. So is any other body that is
            no UTF-8 text (AWS would damage it).
        authorizer: The authorizer's result, as it goes into the request context.
    """
    request = context.request
    headers = _group(passed_on(request))
    query = _group(request.query_values())
    body, encoded = _body(request, binary_types)
    return {
        "resource": context.route_path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": _last(headers),
        "multiValueHeaders": headers or None,
        "queryStringParameters": _last(query),
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": context.as_event(authorizer),
        "body": body,
        "isBase64Encoded": encoded,
    }


def passed_on(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the headers that a function sees: the client's, and what the gateway adds."""
    kept = [
        (name, value)
        for name, value in request.headers
        if name.lower() not in _NOT_PASSED_ON
        and not name.lower().startswith("x-forwarded-")
        and not _OF_THE_ADAPTER.fullmatch(name)
    ]
    port = (request.header("host") or "").rpartition(":")[2]
    before = [v for n, v in request.headers if n.lower() == "x-forwarded-for"]
    return [
        *kept,
        ("X-Forwarded-For", ", ".join([*before, request.client])),
        ("X-Forwarded-Port", port if port.isdigit() else "80"),
        ("X-Forwarded-Proto", "http"),
    ]


def proxy_response(answer: Any) -> HttpResponse:
    """Return the HTTP response that a function's proxy response stands for.

    Raises:
        MalformedAnswer: It is none; a client then gets 502.
    """
    if not isinstance(answer, dict):
        raise MalformedAnswer("it is not an object")
    status = _status(answer.get("statusCode"))
    body = answer.get("body")
    if body is not None and not isinstance(body, str):
        raise MalformedAnswer("body is not a string")
    return HttpResponse(status, _headers(answer), _bytes(body or "", answer))


def _status(value: Any) -> int:
    try:
        status = int(value) if not isinstance(value, bool) else 0
    except (TypeError, ValueError):
        status = 0
    if not 100 <= status <= 599:
        raise MalformedAnswer(f"statusCode is {value!r}")
    return status


def _headers(answer: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    single, multiple = (
        {} if answer.get(name) is None else answer[name]
        for name in ("headers", "multiValueHeaders")
    )
    if not isinstance(single, dict) or not isinstance(multiple, dict):
        raise MalformedAnswer("headers are not an object")
    pairs = []
    for name, values in multiple.items():
        if not isinstance(values, list):
            raise MalformedAnswer(f"multiValueHeaders.{name} is not a list")
        pairs += [(str(name), _header_value(name, value)) for value in values]
    # As on AWS: of a pair that stands in both, one is kept.
    seen = {(name.lower(), value) for name, value in pairs}
    for name, value in single.items():
        text = _header_value(name, value)
        if (str(name).lower(), text) not in seen:
            pairs.append((str(name), text))
    if not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(("Content-Type", "application/json"))
    return _remapped(pairs)


def streamed_headers(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return what a client sees of the headers of a response that is streamed."""
    own = list(pairs)
    named = ",".join(value for name, value in own if name.lower() == "connection")
    between = _BETWEEN_TWO_HOPS | {name.strip().lower() for name in named.split(",")}
    return _remapped(pair for pair in own if pair[0].lower() not in between)


def _remapped(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name, value)
        for name, value in pairs
        if name.lower() not in _MADE_BY_THE_GATEWAY
    )


def _header_value(name: object, value: Any) -> str:
    if isinstance(value, dict | list) or value is None:
        raise MalformedAnswer(f"the header {name} is not text")
    if not _TOKEN.fullmatch(str(name)):
        raise MalformedAnswer(f"{name!r} is no name of a header")
    text = (str(value).lower() if isinstance(value, bool) else str(value)).strip()
    if any(
        (ord(character) < 32 and character != "\t") or ord(character) == 127 for character in text
    ):
        raise MalformedAnswer(f"the header {name} has a control character")
    return text


def _bytes(body: str, answer: dict[str, Any]) -> bytes:
    if answer.get("isBase64Encoded") is not True:
        return body.encode(errors="replace")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise MalformedAnswer("body is not base64") from error


def _body(request: HttpRequest, binary_types: Iterable[str]) -> tuple[str | None, bool]:
    if not request.body:
        return None, False
    kind = (request.header("content-type") or "").split(";")[0].strip().lower()
    if not any(kind == binary or binary == "*/*" for binary in binary_types):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def _group(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups


def _last(groups: Mapping[str, list[str]]) -> dict[str, str] | None:
    return {name: values[-1] for name, values in groups.items()} or None
