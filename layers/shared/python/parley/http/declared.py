"""What a Router declares, and one that forgets nothing of it.

All that depends on what Powertools keeps to itself is here: `Router._routes`, whose keys begin with
rule and methods, `_exception_handlers`, `_router_middlewares`, a resolver's `_route`, its
`_static_routes` and `_dynamic_routes`, and their `_build_middleware_stack`. Read in
aws-lambda-powertools 3.37.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from aws_lambda_powertools.event_handler.api_gateway import (
    ApiGatewayResolver,
    BaseRouter,
    Router,
)

F = TypeVar("F", bound=Callable[..., Any])


def resolved(function: F) -> F:
    """Have a route, or what a route depends on, annotated with types instead of text.

    Powertools reads the annotations of both with every request, and text is compiled and evaluated
    anew each time: that took a third of what reading a session takes the processor. What cannot be
    resolved is left to Powertools.

    Returns:
        The same function.
    """
    with suppress(NameError):
        function.__annotations__ = get_type_hints(function, include_extras=True)
    return function


@dataclass(frozen=True, slots=True)
class Declared:
    """A function of a router's, and what it answers.

    Attributes:
        methods: In capital letters.
        rule: The path as Powertools writes it, such as `/notes/<note_id>`.
        function: What answers.
    """

    methods: tuple[str, ...]
    rule: str
    function: Callable[..., Any]

    @property
    def path(self) -> str:
        """The path as API Gateway and OpenAPI write it, such as `/notes/{note_id}`."""
        return re.sub(r"<(\w+)>", r"{\1}", self.rule)


class OwnRouter(Router):
    """A router that also knows what was declared twice, where Powertools takes the later only."""

    def __init__(self) -> None:
        """Declare nothing yet."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.overwritten: list[Declared] = []

    def route(self, *given: Any, **more: Any) -> Callable[[Any], Any]:
        """Declare a route, as Powertools' own does."""
        declare = super().route(*given, **more)

        def declaring(function: Callable[..., Any]) -> Any:
            before = dict(self._routes)
            declared = declare(function)
            self.overwritten += [
                Declared(tuple(key[1]), key[0], lost)
                for key, lost in before.items()
                if self._routes[key] is not lost
            ]
            return declared

        return declaring


def overwritten(router: Router) -> Sequence[Declared]:
    """Return what a router declared and then declared otherwise, as far as it knows."""
    return router.overwritten if isinstance(router, OwnRouter) else ()


def declared(router: Router) -> Iterator[Declared]:
    """Yield what a router declares, in the order in which it was declared."""
    for (rule, methods, *_), function in router._routes.items():
        yield Declared(tuple(method.upper() for method in methods), rule, function)


def handlers_of(router: Router) -> Mapping[type[Exception], Callable[..., Any]]:
    """Return what a router answers exceptions with, by their class."""
    return router._exception_handlers


def has_middlewares(router: Router) -> bool:
    """Return whether a router has middlewares that would run for all routes, whoever's they are."""
    return bool(router._router_middlewares)


def place_of(function: Callable[..., Any]) -> str:
    """Return where a function stands, as `file:line name`."""
    plain = inspect.unwrap(function)
    code = plain.__code__
    return f"{code.co_filename}:{code.co_firstlineno} {plain.__name__}"


def build_validation(resolver: ApiGatewayResolver) -> None:
    """Build what a resolver's routes validate with, which each does in its first request."""
    for route in (*resolver._static_routes, *resolver._dynamic_routes):
        _ = route.dependant, route.body_field, route.has_dependencies
        if not route._middleware_stack_built:
            route._build_middleware_stack(resolver._router_middlewares, resolver)


def answering(resolver: BaseRouter) -> Callable[..., Any]:
    """Return the function that answers the request of the moment."""
    function: Callable[..., Any] = resolver.context["_route"].func
    return function
