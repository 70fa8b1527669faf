"""Where a model call stands in its turn: the key of its record."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from inspect import signature
from typing import Any

import pytest

from parley.ids import new_id
from parley.repository.turns import RunningTurn
from parley.turns.attempt import Attempt
from parley.turns.scope import inside_call


@pytest.fixture
def attempt() -> Attempt:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    turn = RunningTurn(
        new_id(), new_id(), "alice", 1, 1, 0, "todo", new_id(), "hello", now, now, ()
    )
    # No store is asked where a call stands.
    parts: dict[str, Any] = dict.fromkeys(signature(Attempt).parameters)
    return Attempt(**{**parts, "turn": turn})


async def test_calls_are_counted_below_the_tool_call_around_them(attempt: Attempt) -> None:
    async def inner(call_id: str) -> list[str]:
        with inside_call(call_id):
            first = attempt.journal.next_position()
            await asyncio.sleep(0)
            with inside_call("deeper"):
                deeper = attempt.journal.next_position()
            return [first, deeper, attempt.journal.next_position()]

    before = attempt.journal.next_position()
    a, b = await asyncio.gather(inner("a"), inner("b"))

    assert [before, attempt.journal.next_position()] == ["0", "1"]
    assert a == ["a/0", "a/deeper/0", "a/1"]
    assert b == ["b/0", "b/deeper/0", "b/1"]


async def test_a_call_that_is_tried_again_stands_in_the_same_place(attempt: Attempt) -> None:
    attempt.journal.next_position()
    failed = attempt.journal.next_position()
    attempt.journal.step_back()

    assert attempt.journal.next_position() == failed
