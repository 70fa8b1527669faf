"""The page on which the authorizer finds the local issuer's keys."""

from __future__ import annotations

import json
from pathlib import Path

from parley_local.gateway import LocalPage
from parley_local.issuer import jwks
from parley_local.messages import HttpRequest, HttpResponse

JWKS_PATH = "/_local/jwks.json"
"""Not a route of the API: the template does not have it."""


def keys_page(data_dir: Path) -> LocalPage:
    """Return the page for the issuer of this data directory."""

    def page(_: HttpRequest) -> HttpResponse:
        body = json.dumps(jwks(data_dir)).encode()
        return HttpResponse(200, (("Content-Type", "application/json"),), body)

    return page
