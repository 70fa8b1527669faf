"""The local gateway: a small, faithful stand-in for API Gateway in front of Lambda."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from parley_local.authorization import Gatekeeper, Refused
from parley_local.cors import preflight
from parley_local.execution import Answer
from parley_local.gateway_responses import gateway_response
from parley_local.http import receive_request, send_response
from parley_local.messages import HttpRequest, HttpResponse
from parley_local.pool import PAYLOAD_LIMIT, PayloadTooLarge, Pool, payload_size
from parley_local.proxy import MalformedAnswer, proxy_event, proxy_response
from parley_local.relay import NotBegun, Relay
from parley_local.request_context import RequestContext
from parley_local.request_log import log_request
from parley_local.routing import Match, Router
from parley_local.template import Route, Template
from parley_local.web_function import WebFunction

REQUEST_LIMIT = 10 * 1024 * 1024
"""Bytes that API Gateway takes as a body."""

INTEGRATION_TIMEOUT = 29.0
"""Seconds after which API Gateway answers 504, whatever the function does."""

PROCESSES = 4
"""How many events of one function run at a time, unless one asks for another number."""

log = logging.getLogger(__name__)

LocalPage = Callable[[HttpRequest], HttpResponse]
"""What the gateway answers itself."""


class Gateway:
    """An ASGI app that serves a template's API from processes that run its functions.

    Use it as an async context manager: leaving it stops every process.
    """

    def __init__(
        self,
        template: Template,
        variables: Mapping[str, str],
        *,
        pages: Mapping[tuple[str, str], LocalPage] | None = None,
        processes: int = PROCESSES,
        integration_timeout: float = INTEGRATION_TIMEOUT,
        request_limit: int = REQUEST_LIMIT,
    ) -> None:
        """Make a gateway; no process is started yet.

        Args:
            template: What to serve.
            variables: The environment of every function's processes.
            pages: What the gateway answers itself, by method and path (the local issuer's keys);
                no function and no authorizer is asked.
            processes: How many events of one function run at a time.
            integration_timeout: Seconds after which a request is answered 504. Its invocation
                goes on, as on AWS.
            request_limit: Bytes of the largest body.
        """
        self._template = template
        self._router = Router(template.routes)
        self._pages = pages or {}
        self._integration_timeout = integration_timeout
        self._request_limit = request_limit
        self.pools = {
            name: Pool(function, variables, limit=processes)
            for name, function in template.functions.items()
            if not function.is_web_server
        }
        self.web_functions = {
            name: WebFunction(function, variables)
            for name, function in template.functions.items()
            if function.is_web_server
        }
        self._runners: list[tuple[str, Pool | WebFunction]] = [
            *self.pools.items(),
            *self.web_functions.items(),
        ]
        self._gatekeepers = {
            name: Gatekeeper(authorizer, self.pools[authorizer.function])
            for name, authorizer in template.authorizers.items()
        }
        self._invocations: set[asyncio.Task[Answer]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def prewarm(self) -> None:
        """Start one process for each function that a request can reach.

        Raises:
            EnvironmentLost: A function cannot be imported.
        """
        reachable = {route.function for route in self._template.routes}
        reachable |= {authorizer.function for authorizer in self._template.authorizers.values()}
        await asyncio.gather(
            *(runner.prewarm() for name, runner in self._runners if name in reachable)
        )

    async def aclose(self) -> None:
        """Stop every process; invocations that still run are cut off."""
        await asyncio.gather(*(runner.aclose() for _, runner in self._runners))
        await asyncio.gather(*self._invocations, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            # API Gateway's REST APIs speak HTTP only.
            raise ValueError(f"The gateway serves no {scope['type']} connections.")
        try:
            request, too_large = await receive_request(scope, receive, self._request_limit)
        except ClientDisconnect:
            return  # nobody is there to be answered, and no function has been asked
        method = "GET" if request.method == "HEAD" else request.method
        page = self._pages.get((method, request.path))
        if page is not None:
            await send_response(send, page(request), request.method)
            return
        match = self._router.match(request.path)
        context = RequestContext(
            request, self._template.stage, match.path if match else request.path
        )
        ids = (
            ("x-amzn-RequestId", context.request_id),
            ("x-amz-apigw-id", context.extended_request_id),
        )
        try:
            if match is None:
                raise Refused("MISSING_AUTHENTICATION_TOKEN")
            if too_large:
                raise Refused("REQUEST_TOO_LARGE")
            route = match.route(request.method)
            if route is not None and route.streams:
                await self._stream(route, match, context, Relay(send, ids), receive)
                return
            response = await self._answer(match, context)
        except Refused as refused:
            response = self._own_response(refused.kind, context, refused.message)
        log_request(context, response.status, headers=response.headers, body=response.body)
        marked = HttpResponse(response.status, (*response.headers, *ids), response.body)
        await send_response(send, marked, request.method)

    async def _answer(self, match: Match, context: RequestContext) -> HttpResponse:
        route = match.route(context.request.method)
        cors = self._template.cors
        if "OPTIONS" not in match.methods and cors and context.request.method == "OPTIONS":
            await self._admit(cors.authorizer, match, context)
            return preflight(cors, match.methods)
        if route is None:
            raise Refused("MISSING_AUTHENTICATION_TOKEN")
        caller = await self._admit(route.authorizer, match, context)
        event = proxy_event(
            context,
            match.parameters,
            binary_types=self._template.binary_types,
            authorizer=caller,
        )
        answer = await self._invoke(route, event, context)
        if answer.error is not None:
            log.error("%s failed: %s", route.function, answer.error.get("errorMessage"))
            raise Refused("DEFAULT_5XX")
        try:
            return proxy_response(answer.result)
        except MalformedAnswer as fault:
            log.error("%s answered no proxy response: %s", route.function, fault)
            raise Refused("DEFAULT_5XX") from fault

    async def _stream(
        self, route: Route, match: Match, context: RequestContext, relay: Relay, receive: Receive
    ) -> None:
        """Answer with what the route's function streams; its end is what the log tells.

        A stream that breaks off is left without its last part: the server then hangs up, and
        the client sees that something is missing.
        """
        caller = await self._admit(route.authorizer, match, context)
        if payload_size(proxy_event(context, match.parameters, authorizer=caller)) > PAYLOAD_LIMIT:
            raise Refused("REQUEST_TOO_LARGE")
        function = self.web_functions[route.function]
        limit = self._limit(route)
        try:
            await relay.run(
                function.call(context, caller),
                receive,
                limit=min(limit, function.function.timeout),
            )
        except asyncio.CancelledError:
            relay.ending = "parley dev is ending"
            raise
        except NotBegun as error:
            log.error("%s gave no response: %s", route.function, error)
            late = error.timed_out and limit <= function.function.timeout
            raise Refused("INTEGRATION_TIMEOUT" if late else "DEFAULT_5XX") from error
        finally:
            if relay.status is not None or relay.ending is not None:
                said = (f"{relay.sent} bytes streamed", relay.ending)
                log_request(context, relay.status, *said, headers=relay.headers)

    async def _admit(
        self, authorizer: str | None, match: Match, context: RequestContext
    ) -> dict[str, Any] | None:
        if authorizer is None:
            return None
        return await self._gatekeepers[authorizer].admit(context, match.parameters)

    async def _invoke(self, route: Route, event: dict[str, Any], context: RequestContext) -> Answer:
        """Invoke the route's function, but wait for it only as long as API Gateway would."""
        invocation = asyncio.create_task(
            self.pools[route.function].invoke(event, context.request_id)
        )
        self._invocations.add(invocation)
        invocation.add_done_callback(self._invocations.discard)
        done, _ = await asyncio.wait({invocation}, timeout=self._limit(route))
        if not done:
            raise Refused("INTEGRATION_TIMEOUT")
        try:
            return invocation.result()
        except PayloadTooLarge as error:
            raise Refused("REQUEST_TOO_LARGE") from error

    def _limit(self, route: Route) -> float:
        return self._integration_timeout if route.timeout is None else route.timeout

    def _own_response(
        self, kind: str, context: RequestContext, message: str | None
    ) -> HttpResponse:
        return gateway_response(kind, context, self._template.gateway_responses, message)
