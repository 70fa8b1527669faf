"""Priming `sessions`, without the Agents SDK."""

from __future__ import annotations

from typing import Any

from parley.composition import Composition
from parley.http.api import Api
from parley.priming.asked import ask
from parley.priming.nowhere import leading_nowhere
from parley.priming.preparing import prepare
from parley.priming.rows import SESSION_ID, TURN_ID
from parley.priming.steps import primed_by, step

_SESSION = f"/sessions/{SESSION_ID}"
_TURN = f"{_SESSION}/turns/{TURN_ID}"

REQUESTS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/agents", None),
    ("GET", "/sessions", None),
    ("POST", "/sessions", {}),
    ("POST", "/sessions", {"metadata": {"primed": "yes"}}),
    ("GET", _SESSION, None),
    ("PATCH", _SESSION, {"name": "Primed"}),
    ("GET", f"{_SESSION}/messages", None),
    ("GET", f"{_SESSION}/turns", None),
    ("GET", _TURN, None),
    ("GET", "/approvals", None),
    ("GET", "/usage", None),
    ("DELETE", _SESSION, None),
)
"""What is asked for, with bodies: what front ends do. No administration, which goes on record."""


def prime(api: Api, parts: Composition) -> None:
    """Do before the snapshot what a first request would do: see `parley.priming`.

    Args:
        api: The function's handler.
        parts: The function's.
    """
    primed_by(lambda: _prime(api, parts))


def _prime(api: Api, parts: Composition) -> None:
    prepare(parts.settings, api.prepare_routes, agents=False)
    with step("requests"):
        # Without its clients nothing is asked for: a request would make them, and they would send.
        _ = parts.store, parts.events, parts.forgetter, parts.decider, parts.summary_reader
        parts.wake_queue.prepare()
        with leading_nowhere(parts):
            for method, path, body in REQUESTS:
                with step(f"{method} {path}"):
                    ask(api, parts, method, path, body)
