"""What the functions behind the API have in common: from an event to a response."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from importlib import import_module
from typing import Any, cast

from aws_lambda_powertools.event_handler import (
    APIGatewayRestResolver,
    CORSConfig,
    Response,
)
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestValidationError,
    ResponseValidationError,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.errors import LimitReached, NotFound, StoreUnavailable, Unauthenticated
from parley.http.audit import PREFIX, Audit
from parley.http.body import ROOM_BYTES, VALUES_MAX, body_refusal, read_json
from parley.http.declared import answering, build_validation, declared, place_of, resolved
from parley.http.headers import SAFE, safe_besides
from parley.http.identity import identify
from parley.http.parts import context_of
from parley.http.paths import WEB_FILES, methods_of, named_ids, route_of, seen_from, without_slash
from parley.http.problems import (
    CONTENT_TYPE,
    FAULTS_MAX,
    NAME_MAX_CHARS,
    Answer,
    FieldError,
    InvalidFields,
    MethodNotAllowed,
    Problem,
    answer,
)
from parley.http.project_routes import ProjectRoutes
from parley.observability import limit_reached, logger, request_answered, traced
from parley.project_variables import renew_environment
from parley.refusals import reason_of
from parley.text import storable_json
from parley.tracing import subsegment

OPEN_PATHS = frozenset({"/health", "/openapi.json", "/docs", "/chat", "/console"})
"""What answers without a token, besides the files of pages."""

_EXPOSED = [
    "Location",
    "Retry-After",
    "Idempotent-Replayed",
    "Next-Cursor",
    "Preference-Applied",
    "x-amzn-RequestId",
]


class Api:
    """A Lambda handler for REST API events.

    Attributes:
        body_max_bytes: How many bytes any of its routes takes as a body.
    """

    def __init__(
        self,
        routers: Iterable[Router],
        parts: object,
        *,
        body_max_bytes: int = ROOM_BYTES,
        values_max: int = VALUES_MAX,
        audit: Audit | None = None,
        project: ProjectRoutes | None = None,
        late: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Take the routes that this function serves.

        Those of the project are imported too. If that fails, Parley's own are served, and it is
        tried again when somebody asks for one of the project's.

        Args:
            routers: The routes.
            parts: What they may ask for: a `Composition`, or what has as much of one as they need.
            body_max_bytes: How many bytes any of them takes as a body.
            values_max: How many values any of them takes in a body.
            audit: Records what administrators do; None if none of the routes is theirs.
            project: The routes of the project's own, if this is the function that serves them.
            late: Modules with a `router` whose routes few ask for, by what their paths begin with:
                they are imported when one of them is first asked for. One whose paths begin in two
                ways stands at both.
        """
        self._parts = parts
        self._project = project or ProjectRoutes()
        self._project_is_served = False
        self._late = dict(late or {})
        self._imported_late: set[str] = set()
        self.body_max_bytes = body_max_bytes
        self._audit = audit
        self.resolver = APIGatewayRestResolver(
            enable_validation=True,
            json_body_deserializer=partial(read_json, values_max=values_max),
            serializer=_written,
            cors=CORSConfig(allow_origin="*", expose_headers=_EXPOSED),
            # Else an answer of a route's that does not fit its type were the client's fault.
            response_validation_error_http_code=HTTPStatus.INTERNAL_SERVER_ERROR,
        )
        self._include(routers)
        self.resolver.not_found(self._no_route)
        self.resolver.exception_handler(RequestValidationError)(self._invalid)
        self.resolver.exception_handler(ResponseValidationError)(self._unfit)
        self.resolver.exception_handler(Exception)(self._problem)
        try:
            self._serve_project()
        except Exception as error:
            logger().error("the project's routes cannot be imported", **traced(error))

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer an event."""
        log = logger()
        log.append_keys(request_id=_request_id(event), function_request_id=context.aws_request_id)
        started = time.monotonic()
        # As the template has it: names for the ids, and nothing that a client made up.
        path = route_of(event.get("path") or "", event.get("resource") or "")
        route = f"{event.get('httpMethod')} {path}"
        try:
            with subsegment(route) as annotations:
                response = self.answer(event, context)
                annotations["status"] = status = response["statusCode"]
            locations = response["multiValueHeaders"].get("Location", ())
            request_answered(
                route=route,
                status=status,
                seconds=time.monotonic() - started,
                ids=named_ids(event.get("path") or "", *locations),
            )
            return response
        finally:
            log.clear_state()

    def answer(
        self, event: dict[str, Any], context: LambdaContext | None, *, parts: object = None
    ) -> dict[str, Any]:
        """Answer an event without a word in the log, but of errors.

        Args:
            event: The event.
            context: Lambda's; None where no route asks for it.
            parts: What routes may ask for in the place of the function's parts; those if None.
        """
        asked = _plain(event)
        refusal = self._refusal(event, asked["path"])
        if refusal is not None:
            return refused(event, refusal)

        if not self._project_is_served and not methods_of(asked["path"]):
            try:
                self._serve_project()
            except Exception as error:
                return refused(event, error)
        renew_environment()
        self.serve_late(asked["path"])

        def resolve() -> dict[str, Any]:
            self.resolver.append_context(**context_of(parts or self._parts, context, self._project))
            return self.resolver.resolve(asked, cast(LambdaContext, context))

        if self._audit is not None and asked["path"].startswith(PREFIX):
            try:
                response = self._audit.answer(asked, resolve)
            except StoreUnavailable as error:  # unrecorded, so not done
                return refused(event, error)
        else:
            response = resolve()
        headers = response["multiValueHeaders"]
        if "Location" in headers:
            headers["Location"] = [seen_from(event["path"], to) for to in headers["Location"]]
        return response | {"headers": safe_besides(headers)}

    def _refusal(self, event: Mapping[str, Any], path: str) -> Exception | None:
        """Refuse before the body is read: strangers first, then what is not JSON or too large.

        A path with a second slash at its end is none for anybody; the resolver would take it.
        """
        if path.endswith("/") and path != "/":
            return NotFound("route", "")
        if path not in OPEN_PATHS and not path.startswith(WEB_FILES):
            try:
                identify(event)
            except Unauthenticated as error:
                return error
        return body_refusal(event, self.body_max_bytes)

    def _serve_project(self) -> None:
        self._include(self._project.routers)
        self._project_is_served = True

    def serve_late(self, path: str) -> None:
        """Import the late routes whose paths begin as this one, unless they are there."""
        for prefix in [prefix for prefix in self._late if path.startswith(prefix)]:
            for module in self._late[prefix]:
                if module not in self._imported_late:
                    self._include([import_module(module).router])
                    self._imported_late.add(module)
            self._late.pop(prefix, None)

    def prepare_routes(self) -> None:
        """Import all late routes, and build what all routes validate with.

        Powertools builds that of each route in its first request.
        """
        for prefix in tuple(self._late):
            self.serve_late(prefix)
        build_validation(self.resolver)

    def _include(self, routers: Iterable[Router]) -> None:
        for router in routers:
            for route in declared(router):
                resolved(route.function)
            self.resolver.include_router(router)

    def _no_route(self, error: NotFoundError) -> Response[str]:
        if error.__traceback__ is not None:  # raised by a route; else there is none
            return self._problem(error)
        event = self.resolver.current_event
        methods = methods_of(event.path) or self._project.methods_of(event.path)
        # A path that is another function's with this method comes here only by mistake.
        if methods and event.http_method not in methods:
            raise MethodNotAllowed(", ".join(methods)) from error
        raise NotFound("route", "") from error

    def _problem(self, error: Exception) -> Response[str]:
        return problem_response(error, _request_id(self.resolver.current_event.raw_event))

    def _unfit(self, error: ResponseValidationError) -> Response[str]:
        fields = [f"{_name(fault['loc'])}: {fault['type']}" for fault in error.errors()]
        return problem_response(
            error,
            _request_id(self.resolver.current_event.raw_event),
            at=place_of(answering(self.resolver)),
            unfit=fields[:FAULTS_MAX],
        )

    def _invalid(self, error: RequestValidationError) -> Response[str]:
        faults = [
            FieldError(field=_name(fault["loc"]), reason=reason_of(fault))
            for fault in error.errors()
        ]
        return self._problem(InvalidFields(faults))


def refused(event: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    """Answer an event with an error, of which the log is told as of any other."""
    response = problem_response(error, _request_id(event))
    return {
        "statusCode": response.status_code,
        "headers": {
            **SAFE,
            **response.headers,
            "Access-Control-Allow-Origin": "*",
            "Content-Type": CONTENT_TYPE,
        },
        "multiValueHeaders": {},
        "body": response.body,
        "isBase64Encoded": False,
    }


def problem_response(error: Exception, request_id: str, **known: Any) -> Response[str]:
    """Make the response of an error, and log it.

    Args:
        error: The error.
        request_id: Of the request.
        known: What the log is told besides, if the error is only our fault.
    """
    said = logged(error, **known)
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


def logged(error: Exception, **known: Any) -> Answer:
    """Say what a client is told of an error; one that is only our fault is logged whole."""
    said = answer(error)
    if said.code == "internal_error":
        logger().error("unexpected error", **traced(error), **known)
    elif said.status >= 500:
        logger().warning("request not served", code=said.code, reason=str(error))
    elif isinstance(error, LimitReached):
        limit_reached(error.limit)
    return said


def _plain(event: Mapping[str, Any]) -> dict[str, Any]:
    """Make one of all events that ask for the same.

    The path loses the slash at its end. A body is JSON or refused, so its type is said as the
    resolver knows it, which looks at its letters. The query's text is made storable, as the body's
    is when it is read.
    """
    headers = event.get("headers") or {}
    others = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    query = ("queryStringParameters", "multiValueQueryStringParameters")
    return {
        **event,
        **{name: storable_json(event.get(name)) for name in query},
        "path": without_slash(event.get("path") or ""),
        "headers": others,
    }


def _written(body: Any) -> str:
    """Write a body, in UTF-8: escapes would take twice the bytes, and an answer has its limit."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _name(location: Iterable[Any]) -> str:
    """Name a field as a client knows it: without where in the request it stands."""
    _, *names = location
    return ".".join(str(name) for name in names)[:NAME_MAX_CHARS] or "body"


def _request_id(event: Mapping[str, Any]) -> str:
    return str((event.get("requestContext") or {}).get("requestId") or "")
