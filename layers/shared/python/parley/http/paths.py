"""Paths of requests: a slash at the end makes no other path, and each has its methods."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import Any

_UNDOCUMENTED = {"/docs": "GET", "/openapi.json": "GET"}


def without_slash(path: str) -> str:
    """Return a path without the slashes at its end, which API Gateway takes for nothing."""
    return path.rstrip("/") or "/"


def seen_from(path: str, location: str) -> str:
    """Return a relative address as it must be said to who asked for a path.

    Args:
        path: As it was asked for; each slash at its end makes addresses start one level lower.
        location: The address, relative to the path without them.
    """
    return "../" * (len(path) - len(without_slash(path))) + location


def methods_of(path: str) -> list[str]:
    """Return the methods that a path has in this API, in whichever function; none if it has none.

    Asked where no route was found, so the document is read for it only then.
    """
    plain = without_slash(path)
    return next((methods for rule, methods in _methods() if rule.fullmatch(plain)), [])


def document() -> str:
    """Return the OpenAPI document, as it is committed."""
    return (resources.files("parley.http") / "openapi.json").read_text("utf-8")


@cache
def _methods() -> list[tuple[re.Pattern[str], list[str]]]:
    paths: dict[str, dict[str, Any]] = json.loads(document())["paths"]
    named = {path: sorted(method.upper() for method in item) for path, item in paths.items()}
    named |= {path: [method] for path, method in _UNDOCUMENTED.items()}
    # A literal segment goes before a parameter, as in API Gateway.
    return [
        (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), methods)
        for path, methods in sorted(named.items(), key=lambda item: item[0].count("{"))
    ]
