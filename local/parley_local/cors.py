"""Preflight requests, answered by the mock integration that SAM makes of a template's Cors."""

from __future__ import annotations

from collections.abc import Iterable

from parley_local.messages import HttpResponse
from parley_local.template import ANY, Cors

_ALL = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def preflight(cors: Cors, methods: Iterable[str]) -> HttpResponse:
    """Return the answer to OPTIONS on a path that has these methods."""
    own = set(methods)
    allowed = cors.methods or ",".join(_ALL if ANY in own else sorted(own | {"OPTIONS"}))
    headers = [
        ("Access-Control-Allow-Origin", cors.origin),
        ("Access-Control-Allow-Methods", allowed),
    ]
    if cors.headers:
        headers.append(("Access-Control-Allow-Headers", cors.headers))
    if cors.max_age:
        headers.append(("Access-Control-Max-Age", cors.max_age))
    if cors.credentials:
        headers.append(("Access-Control-Allow-Credentials", "true"))
    return HttpResponse(200, (*headers, ("Content-Type", "application/json")), b"{}\n")
