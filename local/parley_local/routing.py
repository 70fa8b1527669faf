"""Which route of the template a request is for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from parley_local.template import ANY, Route


@dataclass(frozen=True)
class Match:
    """A path of the API that fits a request, its methods, and the parameters' raw values."""

    path: str
    methods: dict[str, Route]
    parameters: dict[str, str]

    def route(self, method: str) -> Route | None:
        """Return the route for this method, if the path has one."""
        return self.methods.get(method) or self.methods.get(ANY)


@dataclass
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameters: dict[str, _Node] = field(default_factory=dict)
    path: str | None = None
    methods: dict[str, Route] = field(default_factory=dict)


class Router:
    """Finds routes as API Gateway does.

    Segment by segment, a literal goes before `{parameter}`, and that before `{rest+}`. One
    slash at the end is tolerated, as API Gateway's REST APIs do.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            for segment in _segments(route.path):
                children = node.parameters if segment.startswith("{") else node.literals
                node = children.setdefault(segment, _Node())
            node.path = route.path
            node.methods[route.method] = route

    def match(self, path: str) -> Match | None:
        """Return what fits a request's path, as it stood in the request line, or None."""
        segments = _segments(path)
        # An empty segment inside, as in `/a//b`, is no segment of any route.
        return None if "" in segments else _find(self._root, segments, {})


def _find(node: _Node, segments: list[str], values: dict[str, str]) -> Match | None:
    if not segments:
        return None if node.path is None else Match(node.path, node.methods, values)
    first, rest = segments[0], segments[1:]
    if first in node.literals and (found := _find(node.literals[first], rest, values)):
        return found
    for name, child in node.parameters.items():
        if not name.endswith("+}") and (
            found := _find(child, rest, {**values, name[1:-1]: unquote(first)})
        ):
            return found
    for name, child in node.parameters.items():
        if name.endswith("+}") and child.path is not None:
            taken = {**values, name[1:-2]: unquote("/".join(segments))}
            return Match(child.path, child.methods, taken)
    return None


def _segments(path: str) -> list[str]:
    inner = path.removeprefix("/").removesuffix("/")
    return inner.split("/") if inner else []
