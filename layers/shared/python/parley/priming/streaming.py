"""Priming `stream`. Importing this imports the Agents SDK."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.types import Message

from parley.composition import Composition
from parley.http.response import Outgoing
from parley.http.stream_request import Invocation
from parley.http.stream_routes import FOLLOW, SEND, SEND_FIRST
from parley.http.streaming import Streams
from parley.manifest import manifest
from parley.priming.agents import prime_agents
from parley.priming.asked import SAID, SECONDS, event
from parley.priming.nowhere import leading_nowhere
from parley.priming.preparing import prepare
from parley.priming.rows import MESSAGE_ID, SESSION_ID, TURN_ID
from parley.priming.steps import PrimingFailed, primed_by, step
from parley.priming.turns import RehearsedParts
from parley.timing import Deadline


def requests() -> list[tuple[str, str, dict[str, str], Any]]:
    """Return what is asked for: method, resource, what its path names, and body."""
    named = {"session_id": str(SESSION_ID), "turn_id": str(TURN_ID)}
    said = {"id": str(MESSAGE_ID), "role": "user", "content": SAID["text"]}
    run = {"threadId": "priming", "runId": "priming", "messages": [said]}
    nothing: dict[str, Any] = {"state": {}, "tools": [], "context": [], "forwardedProps": {}}
    typed = {"id": "1", "role": "user", "parts": [{"type": "text"} | SAID]}
    return [
        ("POST", SEND_FIRST, {}, SAID),
        ("POST", SEND, named, SAID),
        ("GET", FOLLOW, named, None),
        ("POST", "/ag-ui/{agent}", {"agent": manifest().default}, run | nothing),
        ("POST", "/ai-sdk/chat", {}, {"id": "priming", "messages": [typed]}),
    ]


def prime(streams: Streams, parts: Composition) -> None:
    """Do before the snapshot what a first request would do: see `parley.priming`.

    Args:
        streams: What the function's app answers with.
        parts: The function's.
    """
    primed_by(lambda: _prime(streams, parts))


def _prime(streams: Streams, parts: Composition) -> None:
    prepare(parts.settings, streams.prepare_routes, agents=True)
    prime_agents()
    with step("turns"):
        _ = parts.sender, parts.events, parts.follower
        parts.wake_queue.prepare()
        rehearsed = RehearsedParts(parts.settings, parts)
        others = streams.with_others(
            rehearsed.sender, rehearsed.follower, rehearsed.decider, rehearsed.stream_places
        )
        with leading_nowhere(parts):
            for method, resource, named, body in requests():
                with step(f"{method} {resource}"):
                    asyncio.run(_ask(others, method, resource, named, body))


async def _ask(
    streams: Streams, method: str, resource: str, named: dict[str, str], body: Any
) -> None:
    async def taken(_: Message) -> None:
        """Take a part of the answer, as a reader does."""

    async def gone() -> Message:
        await asyncio.Event().wait()  # it stays to the end
        return {}

    asked = event(method, resource.format(**named), body) | {"resource": resource}
    outgoing = Outgoing(taken)
    invocation = Invocation("", Deadline.at(time.time() + SECONDS), None)
    await streams.answer(asked, invocation, gone, outgoing)
    if outgoing.status is None or outgoing.status >= 300 or not outgoing.complete:
        raise PrimingFailed(f"{method} {resource}", outgoing.status or 0)
