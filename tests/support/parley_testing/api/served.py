"""The API as `make dev` serves it: Parley's own, with the routes of the repository's project."""

from __future__ import annotations

import json
from typing import Any

from parley.http.project_document import with_routes
from parley.http.project_routes import ProjectRoutes
from parley.manifest import manifest


def served_document() -> dict[str, Any]:
    """Return its OpenAPI document, made of the committed one."""
    made: dict[str, Any] = json.loads(with_routes(ProjectRoutes(manifest().routes).routers))
    return made
