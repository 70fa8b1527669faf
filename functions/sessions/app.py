"""Sessions, transcripts, turns and memory, over HTTP. The Agents SDK is not imported."""

from __future__ import annotations

from parley.composition import Composition
from parley.config import load_settings
from parley.http.api import Api
from parley.http.memory import memory_routes
from parley.http.open import open_routes
from parley.http.sessions import session_routes
from parley.http.transcript import transcript_routes
from parley.snapshot import reseed_after_restore

reseed_after_restore()

parts = Composition(load_settings("database", "memory"))

handler = Api(
    [
        session_routes(parts.database, parts.sessions, parts.forgetter),
        transcript_routes(parts.transcript),
        memory_routes(parts.forgetter),
        open_routes(),
    ]
)
