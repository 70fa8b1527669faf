"""What the model is sent from turn to turn begins with the same bytes, which providers cache.

Each request is compared with the one before as it came over the wire: its instructions, its tools
and its conversation. `bench/prompt_cache.py` says what that comes to over a long conversation.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley.memory.window import LOW_MARK_PERCENT
from parley_testing.models.dialects import alike, called, responding, response
from parley_testing.models.server import Asked, Said
from parley_testing.run.at_length import times

from .conftest import Conversation

MEMORY_ITEMS = times(enough=20, full=40)
TURNS = times(enough=25, full=50)


@pytest.fixture
def bench_fields() -> dict[str, Any]:
    return {"memory_items": MEMORY_ITEMS}


def sent(asked: Asked) -> list[str]:
    """What is before the conversation, and then each of its items, as JSON."""
    body = {key: value for key, value in asked.body.items() if value is not asked.input}
    return [json.dumps(part) for part in (body, *asked.input)]


def added(before: list[str], now: list[str]) -> int | None:
    """How many items follow what was sent before; None if it does not begin with that."""
    return len(now) - len(before) if now[: len(before)] == before else None


@pytest.mark.parametrize("streamed", [False])
@pytest.mark.parametrize("call_id", [None, "call_0", "call_{turn}_of_a_good_server"])
async def test_every_request_begins_with_the_one_before_until_the_window_moves(
    conversation: Conversation, which: str, call_id: str | None
) -> None:
    steps = 0
    before: list[str] = []
    for turn in range(1, TURNS + 1):
        conversation.server.asked.clear()
        conversation.script(*answers(which, turn, call_id))

        view = await conversation.say(f"question {turn}")

        assert view.turn.status == "completed", view.turn.error_detail
        for place, asked in enumerate(conversation.server.asked):
            now = sent(asked)
            if before and added(before, now) is None:
                assert place == 0
                assert len(now) <= MEMORY_ITEMS * LOW_MARK_PERCENT / 100 + 3
                steps += 1
            before = now
    # A turn leaves two items, or four with a call; the window keeps three fifths of what it holds.
    assert steps == times(enough=5, full=6)


def answers(which: str, turn: int, call_id: str | None) -> list[Any]:
    said = Said(f"answer {turn}")
    if turn % 2:
        return [said]
    made = None if call_id is None else call_id.format(turn=turn)
    if which == "responses":
        return [responding(response(called("list_tasks", "{}", made))), said]
    listing = {"name": "list_tasks", "arguments": "{}"}
    calls = [{"id": made, "type": "function", "function": listing}]
    return [alike({"content": None, "tool_calls": calls}, "tool_calls"), said]
