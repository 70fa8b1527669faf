"""Sessions, turns and memory over HTTP, and a project's routes, without the Agents SDK."""

from __future__ import annotations

from parley import starting

starting.begin()

from pathlib import Path

from parley.composition import Composition
from parley.config import load_settings
from parley.http import memory, open, sessions, transcript, turns, web
from parley.http.api import Api
from parley.http.audit import PREFIX, Audit
from parley.http.body import body_max_bytes
from parley.http.project_routes import ProjectRoutes
from parley.manifest import manifest
from parley.snapshot import prime_before_snapshot, reseed_after_restore

reseed_after_restore()

parts = Composition(load_settings("database", "memory", "queue"))
parts.prepare_reading()

ROUTES = (sessions, transcript, turns, memory, open)
DECISIONS, USAGE = ("parley.http.approvals",), ("parley.http.usage",)
ADMINISTRATION = tuple(
    f"parley.http.{name}" for name in ("admin", "admin_turns", "admin_stats", "budgets")
)

# What the texts of a body may have together, of a project's routes too.
TEXTS_MAX_CHARS = 10_500

HERE = Path(__file__).parent
# What pages are made of is packaged with this function; in a checkout it is at the top level.
WEB = HERE / "web" if (HERE / "web").is_dir() else HERE.parents[1] / "web"

handler = Api(
    [*(module.router for module in ROUTES), web.router(WEB, web.SignIn.of(parts.settings))],
    parts,
    body_max_bytes=body_max_bytes(TEXTS_MAX_CHARS),
    audit=Audit(parts.audit_records),
    project=ProjectRoutes(manifest().routes),
    late={
        "/approvals": DECISIONS,
        "/usage": USAGE,
        PREFIX: (*ADMINISTRATION, *DECISIONS, *USAGE),
    },
)


def _prime() -> None:
    from parley.priming.sessions import prime  # of use to a snapshot only

    prime(handler, parts)


prime_before_snapshot(_prime)

starting.done()
