"""What is wrong with the routes of a project: found by importing them, where its agents are built.

API Gateway decides what a path may be, and Lambda how many there may be: a function's policy has
20,480 bytes, in which each path is named.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aws_lambda_powertools.event_handler.api_gateway import APIGatewayRestResolver, Router

from parley.faults import traced
from parley.http.declared import (
    Declared,
    declared,
    handlers_of,
    has_middlewares,
    overwritten,
    place_of,
)
from parley.http.paths import taken_segments
from parley.http.project_routes import target_of
from parley.manifest import locate

PATHS_MAX = 10
"""How many paths a project may add. With the template's own there is room for that many, whatever
the stack's name; a path has as many methods as it likes."""
PATH_MAX_CHARS = 80

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
"""Those that a route may have; API Gateway answers OPTIONS by itself."""

_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|<[A-Za-z_]\w*>", re.ASCII)


@dataclass(frozen=True, slots=True)
class Found:
    """A route, and which of the project's routers has it."""

    named: str
    route: Declared

    def told(self, method: str) -> str:
        """Return what it is and where it stands, for a sentence."""
        return f"{place_of(self.route.function)}: {method} {self.route.rule}"


def faults_of_router(named: str) -> Iterator[str]:
    """Return what is wrong with one that `routes` names, which can be imported.

    Args:
        named: As `[tool.parley] routes` has it.
    """
    router = locate(target_of(named))
    if not isinstance(router, Router):
        kind = type(router).__name__
        yield f"{target_of(named)} is {_article(kind)}, not a Router of parley.http"
        return
    if has_middlewares(router):
        yield (
            f"{target_of(named)} has middlewares that would run for Parley's routes too; give them"
            " to each route, as middlewares=[…]"
        )
    package = named.partition(":")[0].partition(".")[0]
    for error in handlers_of(router):
        if error.__module__.partition(".")[0] != package:
            yield (
                f"{target_of(named)} has a handler of {error.__name__}, which Parley answers; a"
                " project answers exceptions of its own"
            )
    for lost in overwritten(router):
        yield f"{Found(named, lost).told(lost.methods[0])} is declared again below it"
    routes = list(declared(router))
    if not routes:
        yield f"{target_of(named)} has no route"
    for route in routes:
        yield from _faults_of_route(Found(named, route))


def faults_between(found: Sequence[Found]) -> Iterator[tuple[str, str]]:
    """Return what is wrong with routes beside each other: for each fault whose, and the fault."""
    seen: dict[tuple[str, str], Found] = {}
    variables: dict[tuple[str, ...], tuple[str, Found]] = {}
    for each in found:
        path = each.route.path
        for method in each.route.methods:
            first = seen.setdefault((method, path), each)
            if first is not each:
                yield each.named, f"{each.told(method)} is there already: {first.told(method)}"
        place: tuple[str, ...] = ()
        for segment in path.split("/")[1:]:
            if segment.startswith("{"):
                name, other = variables.setdefault(place, (segment, each))
                if name != segment:
                    fault = f"has {segment} where {other.route.path} has {name}"
                    told = each.told(each.route.methods[0])
                    yield each.named, f"{told} {fault}; API Gateway takes one name there"
                segment = "{}"
            place = (*place, segment)
    paths = {each.route.path for each in found}
    if len(paths) > PATHS_MAX:
        fault = f"there are {len(paths)} paths, and a project may have {PATHS_MAX}"
        yield found[-1].named, f"{fault}, since Lambda names each in a policy of 20 KB"


def found_in(names: Sequence[str]) -> list[Found]:
    """Return the routes of the routers that a project names."""
    return [Found(named, route) for named in names for route in declared(locate(target_of(named)))]


def _faults_of_route(found: Found) -> Iterator[str]:
    route = found.route
    for method in route.methods:
        if method not in METHODS:
            yield f"{found.told(method)}: a method is one of {', '.join(METHODS)}"
    told = found.told(route.methods[0])
    segments = route.rule.split("/")
    if not route.rule.startswith("/"):
        yield f"{told}: a path begins with /"
    elif bad := [each for each in segments[1:] if not _SEGMENT.fullmatch(each)]:
        yield (
            f"{told}: {bad[0]!r} is no part of a path: it has letters, digits, -, _, . and ~, or is"
            " a parameter, as <note_id>, and none is empty"
        )
    elif segments[1] in taken_segments():
        yield f"{told}: what is below /{segments[1]} is Parley's"
    elif segments[1].startswith("<"):
        yield f"{told}: the first part is a parameter, which would be in the way of Parley's own"
    elif len(route.path) > PATH_MAX_CHARS:
        yield f"{told}: a path has {PATH_MAX_CHARS} characters at most"
    if inspect.iscoroutinefunction(inspect.unwrap(route.function)):
        yield f"{told}: an async function; it must be an ordinary one, with def"
        return
    yield from (f"{told}: {fault}" for fault in _faults_of_types(found, segments))


def _faults_of_types(found: Found, segments: Sequence[str]) -> Iterator[str]:
    """Return what is wrong with what a route takes and gives, looked at as for a request."""
    taken = inspect.signature(found.route.function).parameters
    for segment in segments:
        if segment.startswith("<") and segment[1:-1] not in taken:
            yield f"the path has {segment}, and the function no parameter {segment[1:-1]}"
            return
    resolver = APIGatewayRestResolver(enable_validation=True)
    method = found.route.methods[0]
    try:
        resolver.route(found.route.rule, method)(found.route.function)
        resolver.get_openapi_schema(title="", version="")
    except Exception as error:
        facts = traced(error, quoting=True)
        yield f"its types cannot be read: {type(error).__name__}: {facts['reason']}"


def _article(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "AEIOUaeiou" else f"a {kind}"
