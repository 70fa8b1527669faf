"""Priming `messages`. Importing this imports the Agents SDK."""

from __future__ import annotations

from parley.composition import Composition
from parley.http.api import Api
from parley.priming.agents import prime_agents
from parley.priming.asked import SAID, ask
from parley.priming.nowhere import leading_nowhere
from parley.priming.preparing import prepare
from parley.priming.rows import SESSION_ID
from parley.priming.steps import primed_by, step
from parley.priming.turns import RehearsedParts


def prime(api: Api, parts: Composition) -> None:
    """Do before the snapshot what a first request would do: see `parley.priming`.

    Args:
        api: The function's handler.
        parts: The function's.
    """
    primed_by(lambda: _prime(api, parts))


def _prime(api: Api, parts: Composition) -> None:
    prepare(parts.settings, api.prepare_routes, agents=True)
    prime_agents()
    with step("turns"):
        _ = parts.sender, parts.events
        parts.wake_queue.prepare()
        rehearsed = RehearsedParts(parts.settings, parts)
        with leading_nowhere(parts):
            ask(api, rehearsed, "POST", "/messages", SAID)
            ask(api, rehearsed, "POST", f"/sessions/{SESSION_ID}/messages", SAID)
