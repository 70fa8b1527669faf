"""Sessions, turns, memory and tasks over HTTP, and a project's routes, without the Agents SDK."""

from __future__ import annotations

from parley.composition import Composition
from parley.config import load_settings
from parley.http import admin, admin_stats, memory, open, sessions, tasks, transcript, turns
from parley.http.api import Api
from parley.http.audit import Audit
from parley.http.body import body_max_bytes
from parley.http.project_routes import ProjectRoutes
from parley.http.task_schemas import TEXTS_MAX_CHARS
from parley.manifest import manifest
from parley.snapshot import reseed_after_restore

reseed_after_restore()

parts = Composition(load_settings("database", "memory", "queue"))
parts.prepare_reading()

ROUTES = (sessions, transcript, turns, memory, tasks, admin, admin_stats, open)

handler = Api(
    [module.router for module in ROUTES],
    parts,
    body_max_bytes=body_max_bytes(TEXTS_MAX_CHARS),
    audit=Audit(parts.audit_records),
    project=ProjectRoutes(manifest().routes),
)
