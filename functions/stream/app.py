"""Sending a message and streaming the turn, over HTTP: an ASGI app that `run.sh` serves."""

from __future__ import annotations

from parley import starting

starting.begin()

from parley.composition import Composition
from parley.config import load_settings
from parley.http.stream import stream_app
from parley.snapshot import prime_at_once

parts = Composition(load_settings("database", "memory", "model", "queue", "project"))
parts.wake_queue.prepare()

app = stream_app(
    parts.sender,
    parts.follower,
    parts.decider,
    parts.stream_places,
    max_chars=parts.settings.message_max_chars,
)


def _prime() -> None:
    from parley.priming.streaming import prime  # of use to a snapshot only

    prime(app.state.streams, parts)


prime_at_once(_prime)

starting.done()
