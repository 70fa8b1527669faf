"""What a template says of an API: functions, routes, authorizers, gateway responses, CORS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

ANY = "ANY"


@dataclass(frozen=True)
class Function:
    """One Lambda function. `timeout` is in seconds, `memory` in MB."""

    name: str
    folder: Path
    handler: str
    timeout: float = 3
    memory: int = 128
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_web_server(self) -> bool:
        """Whether it is an HTTP server behind Lambda Web Adapter, started by its Handler."""
        return self.variables.get("AWS_LAMBDA_EXEC_WRAPPER") == "/opt/bootstrap"


@dataclass(frozen=True)
class Route:
    """One method of one path (`/sessions/{session_id}`); `authorizer` is None where all may call.

    `timeout` is the integration's own limit in seconds, where the template sets one. `streams`
    is whether the response goes out while it is being made.
    """

    method: str
    path: str
    function: str
    authorizer: str | None
    timeout: float | None = None
    streams: bool = False


@dataclass(frozen=True)
class Authorizer:
    """A Lambda authorizer. `ttl` is for how many seconds its answer is kept; 0 is not at all."""

    name: str
    function: str
    kind: str = "TOKEN"
    headers: tuple[str, ...] = ("Authorization",)
    query_strings: tuple[str, ...] = ()
    pattern: str | None = None
    ttl: float = 300


@dataclass(frozen=True)
class Schedule:
    """When a function is invoked by itself, as EventBridge Scheduler writes it, and with what."""

    function: str
    expression: str
    event: Any


@dataclass(frozen=True)
class Queue:
    """An SQS queue and the function that is invoked on its messages.

    `visibility` is for how many seconds a message that was received is hidden, `delay` for how
    many one that was sent. After `receives` of it that failed, a message goes to `dead_letters`;
    None is never. `concurrency` is how many messages are worked on at a time at most.
    """

    name: str
    function: str
    visibility: float = 30
    delay: float = 0
    receives: int | None = None
    dead_letters: str | None = None
    concurrency: int | None = None


@dataclass(frozen=True)
class GatewayResponse:
    """How an error of the gateway's own looks; headers are mapping expressions."""

    status: int | None
    headers: Mapping[str, str]
    templates: Mapping[str, str]


@dataclass(frozen=True)
class Cors:
    """What preflight requests are answered; each value as it goes on the wire.

    `authorizer` is the one that a preflight request must pass, None where all may send one.
    """

    origin: str
    methods: str | None = None
    headers: str | None = None
    max_age: str | None = None
    credentials: bool = False
    authorizer: str | None = None


@dataclass(frozen=True)
class Template:
    """The API and the functions of one template."""

    functions: Mapping[str, Function]
    routes: tuple[Route, ...]
    authorizers: Mapping[str, Authorizer]
    gateway_responses: Mapping[str, GatewayResponse]
    cors: Cors | None
    stage: str
    binary_types: tuple[str, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    queue: Queue | None = None

    def with_paths(self, function: str, paths: Iterable[str]) -> Self:
        """Return this with further paths of a function's, authorized as its others are.

        Each has every method that no other function has there. Paths that are there stay as they
        are, and where there is no such function, nothing is added.
        """
        authorizers = [
            route.authorizer
            for route in self.routes
            if route.function == function and route.authorizer is not None
        ]
        there = {route.path for route in self.routes}
        added = [
            Route(ANY, path, function, authorizers[0])
            for path in paths
            if authorizers and path not in there
        ]
        return replace(self, routes=(*self.routes, *added))
