"""The API as `make dev` serves it: Parley's own, with the routes of the repository's project."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from parley.http import paths
from parley.http.project_document import with_routes
from parley.http.project_routes import ProjectRoutes
from parley.manifest import manifest


def served_document() -> dict[str, Any]:
    """Return its OpenAPI document, made of the committed one."""
    made: dict[str, Any] = json.loads(_with(tuple(manifest().routes)))
    return made


def own_document() -> dict[str, Any]:
    """Return the committed document of Parley's own, which `unit/http` holds against the code."""
    made: dict[str, Any] = json.loads(paths.document())
    return made


@cache
def _with(routes: Sequence[str]) -> str:
    return with_routes(ProjectRoutes(routes).routers)
