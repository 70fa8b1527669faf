"""Sending a message and waiting for the reply, over HTTP."""

from __future__ import annotations

from parley.composition import Composition
from parley.config import load_settings
from parley.http.api import Api
from parley.http.body import body_max_bytes
from parley.http.messages import message_routes
from parley.snapshot import reseed_after_restore

reseed_after_restore()

parts = Composition(load_settings("database", "memory", "model", "queue"))
parts.wake_queue.prepare()

max_chars = parts.settings.message_max_chars
handler = Api(
    [message_routes(parts.sender, max_chars=max_chars)], body_max_bytes=body_max_bytes(max_chars)
)
