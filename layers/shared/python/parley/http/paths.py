"""Paths of requests: a slash at the end makes no other path, and each has its methods."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

WEB_FILES = "/web/"
"""Below it is what the pages for people load."""

_UNDOCUMENTED = {
    "/docs": "GET",
    "/openapi.json": "GET",
    "/chat": "GET",
    "/console": "GET",
    f"{WEB_FILES}{{path+}}": "GET",
}

_ID = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_NAMED = {
    "session_id": re.compile(f"(?:^|/)sessions/{_ID}"),
    "turn_id": re.compile(f"(?:^|/)turns/{_ID}"),
}


def named_ids(*addresses: str) -> dict[str, str]:
    """Return the ids of the session and the turn that addresses name; the first of each counts.

    Args:
        addresses: Paths, such as a request's and the one that its answer's Location has.
    """
    found = {
        name: [match[1] for address in addresses if (match := pattern.search(address))]
        for name, pattern in _NAMED.items()
    }
    return {name: ids[0] for name, ids in found.items() if ids}


def without_slash(path: str) -> str:
    """Return a path without the slash at its end, which API Gateway takes for nothing.

    Behind a second one there is an empty segment, and that no route has.
    """
    return path.removesuffix("/") or "/"


def seen_from(path: str, location: str) -> str:
    """Return a relative address as it must be said to who asked for a path.

    Args:
        path: As it was asked for; a slash at its end makes addresses start one level lower.
        location: The address, relative to the path without it.
    """
    return "../" * (len(path) - len(without_slash(path))) + location


def methods_of(path: str) -> list[str]:
    """Return the methods that a path has in this API, in whichever function; none if it has none.

    Asked where no route was found, so the document is read for it only then.
    """
    return methods_among(_methods(), path)


def methods_among(known: Mapping[str, Sequence[str]], path: str) -> list[str]:
    """Return the methods that a path has, sorted; none if it has none.

    Args:
        known: The methods of each path, as OpenAPI writes paths.
        path: A request's.
    """
    found = _matching(known, path)
    return [] if found is None else sorted(known[found])


def route_of(path: str, resource: str) -> str:
    """Return the path of a request as the document has it, with names for the ids.

    Args:
        path: The request's.
        resource: As API Gateway's template has it, which may leave the rest of a path open; this is
            returned where there is no such path.
    """
    open_ended = resource.endswith("+}")
    return (_matching(_methods(), path) or resource) if open_ended else resource


def _matching(known: Iterable[str], path: str) -> str | None:
    plain = without_slash(path)
    # A literal segment goes before a parameter, as in API Gateway.
    for each in sorted(known, key=lambda each: each.count("{")):
        if _rule(each).fullmatch(plain):
            return each
    return None


def document() -> str:
    """Return the OpenAPI document, as it is committed."""
    return (resources.files("parley.http") / "openapi.json").read_text("utf-8")


def taken_segments() -> frozenset[str]:
    """Return with which first segments the paths of Parley's own begin."""
    return frozenset(path.split("/")[1] for path in _methods())


@cache
def _rule(path: str) -> re.Pattern[str]:
    one = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
    return re.compile(re.sub(r"\\{\w+\\\+\\}", ".+", one))  # whatever stands at its end


@cache
def _methods() -> dict[str, list[str]]:
    """Return the methods of each path of Parley's own."""
    paths: dict[str, dict[str, Any]] = json.loads(document())["paths"]
    named = {path: [method.upper() for method in item] for path, item in paths.items()}
    return named | {path: [method] for path, method in _UNDOCUMENTED.items()}
