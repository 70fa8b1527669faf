"""Sending a message and waiting for the reply, over HTTP."""

from __future__ import annotations

from parley import starting

starting.begin()

from parley.composition import Composition
from parley.config import load_settings
from parley.http import messages
from parley.http.api import Api
from parley.http.body import body_max_bytes
from parley.snapshot import prime_before_snapshot, reseed_after_restore

reseed_after_restore()

parts = Composition(load_settings("database", "memory", "model", "queue", "project"))
parts.prepare_sending()

handler = Api(
    [messages.router], parts, body_max_bytes=body_max_bytes(parts.settings.message_max_chars)
)


def _prime() -> None:
    from parley.priming.sending import prime  # of use to a snapshot only

    prime(handler, parts)


prime_before_snapshot(_prime)

starting.done()
