"""What the functions behind the API have in common: from an event to a response."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, NoReturn, cast

from aws_lambda_powertools.event_handler import (
    APIGatewayRestResolver,
    CORSConfig,
    Request,
    Response,
)
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.errors import NotFound, Unauthenticated
from parley.http.identity import Caller, identify
from parley.http.problems import (
    CONTENT_TYPE,
    Answer,
    BodyTooLarge,
    FieldError,
    InvalidFields,
    MalformedBody,
    Problem,
    UnsupportedMediaType,
    answer,
)
from parley.observability import logger, request_answered, traced
from parley.text import storable_json
from parley.tracing import subsegment

BODY_MAX_BYTES = 1_000_000
NESTING_MAX = 100
"""How deep a body may be nested: far below where writing it as JSON again would fail."""

OPEN_PATHS = frozenset({"/health", "/openapi.json", "/docs"})
"""What answers without a token."""

_EXPOSED = [
    "Location",
    "Retry-After",
    "Idempotent-Replayed",
    "Next-Cursor",
    "Preference-Applied",
    "x-amzn-RequestId",
]


def caller(request: Request) -> Caller:
    """Give the user whose request this is: a dependency of every route but the open ones.

    Raises:
        Unauthenticated: The event names no user.
    """
    return identify(request.resolved_event)


class Api:
    """A Lambda handler for REST API events."""

    def __init__(self, routers: Iterable[Router]) -> None:
        """Take the routes that this function serves."""
        self.resolver = APIGatewayRestResolver(
            enable_validation=True,
            json_body_deserializer=_json,
            cors=CORSConfig(allow_origin="*", expose_headers=_EXPOSED),
        )
        for router in routers:
            self.resolver.include_router(router)
        self.resolver.not_found(_no_route)
        self.resolver.exception_handler(RequestValidationError)(self._invalid)
        self.resolver.exception_handler(Exception)(self._problem)

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer an event."""
        log = logger()
        log.append_keys(request_id=_request_id(event), function_request_id=context.aws_request_id)
        started = time.monotonic()
        # As the template has it: names for the ids, and nothing that a client made up.
        route = f"{event.get('httpMethod')} {event.get('resource')}"
        try:
            with subsegment(route) as annotations:
                response = self.answer(event, context)
                annotations["status"] = status = response["statusCode"]
            request_answered(route=route, status=status, seconds=time.monotonic() - started)
            return response
        finally:
            log.clear_state()

    def answer(self, event: dict[str, Any], context: LambdaContext | None) -> dict[str, Any]:
        """Answer an event without a word in the log, but of errors.

        Args:
            event: The event.
            context: Lambda's; None where no route asks for it.
        """
        refusal = _refusal(event)
        if refusal is not None:
            return refused(event, refusal)
        return self.resolver.resolve(_storable(event), cast(LambdaContext, context))

    def _problem(self, error: Exception) -> Response[str]:
        return problem_response(error, _request_id(self.resolver.current_event.raw_event))

    def _invalid(self, error: RequestValidationError) -> Response[str]:
        faults = [
            FieldError(field=_name(fault["loc"]), reason=fault["msg"]) for fault in error.errors()
        ]
        return self._problem(InvalidFields(faults))


def refused(event: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    """Answer an event with an error, of which the log is told as of any other."""
    response = problem_response(error, _request_id(event))
    return {
        "statusCode": response.status_code,
        "headers": {
            **response.headers,
            "Access-Control-Allow-Origin": "*",
            "Content-Type": CONTENT_TYPE,
        },
        "multiValueHeaders": {},
        "body": response.body,
        "isBase64Encoded": False,
    }


def problem_response(error: Exception, request_id: str) -> Response[str]:
    """Make the response of an error, and log it."""
    said = logged(error)
    problem = Problem(
        title=said.status.phrase,
        status=said.status,
        detail=said.detail,
        code=said.code,
        request_id=request_id,
        **said.facts,
    )
    return Response(
        status_code=said.status,
        content_type=CONTENT_TYPE,
        body=problem.model_dump_json(exclude_none=True),
        headers=dict(said.headers),
    )


def logged(error: Exception) -> Answer:
    """Say what a client is told of an error; one that is only our fault is logged whole."""
    said = answer(error)
    if said.code == "internal_error":
        logger().error("unexpected error", **traced(error))
    elif said.status >= 500:
        logger().warning("request not served", code=said.code, reason=str(error))
    return said


def _refusal(event: Mapping[str, Any]) -> Exception | None:
    """Refuse before the body is read: strangers first, then what is not JSON or too large."""
    if event.get("path") not in OPEN_PATHS:
        try:
            identify(event)
        except Unauthenticated as error:
            return error
    body = event.get("body") or ""
    media_type = _media_type(event)
    if body and media_type not in ("", "application/json"):
        return UnsupportedMediaType(media_type)
    try:
        size = len(_bytes(event))
    except ValueError as error:
        return MalformedBody(str(error))
    return BodyTooLarge(BODY_MAX_BYTES) if size > BODY_MAX_BYTES else None


def _bytes(event: Mapping[str, Any]) -> bytes:
    """Give the body's bytes.

    Raises:
        ValueError: They are not text in UTF-8.
    """
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode()
    decoded = b64decode(body, validate=True)
    decoded.decode()
    return decoded


def _storable(event: dict[str, Any]) -> dict[str, Any]:
    """Make the query's text storable, as the body's is when it is read."""
    names = ("queryStringParameters", "multiValueQueryStringParameters")
    return event | {name: storable_json(event.get(name)) for name in names}


def _media_type(event: Mapping[str, Any]) -> str:
    headers = event.get("headers") or {}
    given = [value for name, value in headers.items() if name.lower() == "content-type"]
    return (given[0] or "").partition(";")[0].strip().lower() if given else ""


def _json(body: str) -> Any:
    try:
        value = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
        _refuse_depth(value)
        return storable_json(value)
    except (ValueError, RecursionError) as error:
        raise MalformedBody(str(error)) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if not isfinite(value):
        raise ValueError("a number is out of range")
    return value


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(NESTING_MAX + 1):  # below the deepest list there is only what it holds
        level = [
            part
            for whole in level
            if isinstance(whole, dict | list)
            for part in (whole.values() if isinstance(whole, dict) else whole)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {NESTING_MAX} deep")


def _no_route(error: NotFoundError) -> NoReturn:
    raise NotFound("route", "") from error


def _name(location: Iterable[Any]) -> str:
    """Name a field as a client knows it: without where in the request it stands."""
    _, *names = location
    return ".".join(str(name) for name in names) or "body"


def _request_id(event: Mapping[str, Any]) -> str:
    return str((event.get("requestContext") or {}).get("requestId") or "")
