"""How the pages for people sign in to `make dev`: as any user that one types, or as administrator.

Only a page that came from here may: another one, of whatever site, would else be given tokens by
the browser that shows it. What is no browser may say that it is one; whoever runs programs on this
machine can be any of its users.
"""

from __future__ import annotations

import json
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

from parley_local.gateway import LocalPage
from parley_local.issuer import issue_token
from parley_local.messages import HttpRequest, HttpResponse
from parley_local.own_hosts import is_our_name

PATH = "/_local/sign-in"
"""Not a route of the API: the template does not have it."""
CONFIG = "/web/config.json"
"""Where pages learn how to sign in; the sessions function would answer what a deployment does."""

_LIFETIME = timedelta(hours=1)
_BODY_MAX_BYTES = 1024


def config() -> HttpResponse:
    """Return what tells a page to ask for a user's name, and where to send it."""
    return _json(HTTPStatus.OK, {"sign_in": {"kind": "local", "path": PATH.lstrip("/")}})


def sign_in_page(data_dir: Path) -> LocalPage:
    """Return what gives a page a token of this data directory's issuer.

    It takes `{"user": …}` as JSON and answers `{"token": …, "expires_in": …}`, in seconds. With
    `"admin": true` the token has the scope of administrators.
    """

    def page(request: HttpRequest) -> HttpResponse:
        if not _is_from_here(request):
            return _problem(HTTPStatus.FORBIDDEN, "foreign_origin", "Only a page from here may.")
        asked = _asked(request)
        if asked is None:
            detail = 'The body is {"user": "a name"} as JSON, and may have "admin": true.'
            return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail)
        user, admin = asked
        try:
            token = issue_token(data_dir, user, admin=admin, lifetime=_LIFETIME)
        except ValueError as error:
            return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", str(error))
        return _json(HTTPStatus.OK, {"token": token, "expires_in": int(_LIFETIME.total_seconds())})

    return page


def _is_from_here(request: HttpRequest) -> bool:
    """Return whether a page of this very address asks.

    A browser names a request's page in Origin.
    """
    origins = [value for name, value in request.headers if name.lower() == "origin"]
    host = request.header("host") or ""
    if len(origins) != 1 or not is_our_name(host):
        return False
    return origins[0] == f"http://{host}"


def _asked(request: HttpRequest) -> tuple[str, bool] | None:
    """Read who signs in, and whether as an administrator; None if the body does not say."""
    # A form of another site's can send no JSON without asking first.
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json" or len(request.body) > _BODY_MAX_BYTES:
        return None
    try:
        said = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    user, admin = said.get("user"), said.get("admin", False)
    return (user, admin) if isinstance(user, str) and isinstance(admin, bool) else None


def _json(status: HTTPStatus, body: object, kind: str = "application/json") -> HttpResponse:
    headers = (
        ("Content-Type", kind),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return HttpResponse(status, headers, json.dumps(body).encode())


def _problem(status: HTTPStatus, code: str, detail: str) -> HttpResponse:
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return _json(status, problem, "application/problem+json")
