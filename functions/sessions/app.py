"""Sessions, transcripts, turns, memory and tasks, over HTTP. The Agents SDK is not imported."""

from __future__ import annotations

from parley.composition import Composition
from parley.config import load_settings
from parley.http.admin import admin_routes
from parley.http.admin_stats import statistics_routes
from parley.http.api import Api
from parley.http.audit import Audit
from parley.http.body import body_max_bytes
from parley.http.memory import memory_routes
from parley.http.open import open_routes
from parley.http.sessions import session_routes
from parley.http.task_schemas import TEXTS_MAX_CHARS
from parley.http.tasks import task_routes
from parley.http.transcript import transcript_routes
from parley.http.turns import turn_routes
from parley.snapshot import reseed_after_restore

reseed_after_restore()

parts = Composition(load_settings("database", "memory", "queue"))

handler = Api(
    [
        session_routes(parts.database, parts.sessions, parts.forgetter),
        transcript_routes(parts.transcript),
        turn_routes(parts.canceller),
        memory_routes(parts.forgetter),
        task_routes(parts.database),
        admin_routes(
            parts.database,
            parts.sessions,
            parts.transcript,
            parts.cleaner,
            parts.eraser,
            parts.exporter,
            parts.renamer,
        ),
        statistics_routes(parts.database, lambda: parts.store),
        open_routes(),
    ],
    body_max_bytes=body_max_bytes(TEXTS_MAX_CHARS),
    audit=Audit(parts.audit_records),
)
