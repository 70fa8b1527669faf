"""A guardrail's verdict: asked for once in a turn, in its place."""

from __future__ import annotations

from typing import Any

import pytest

from parley.errors import StoreUnavailable
from parley.runner.verdicts import judged_once
from parley.turns.scope import inside_call
from parley_testing.stores.in_memory import SECOND_ATTEMPT, Stores


class Judge:
    """A judge that counts its verdicts, and asks a model for each."""

    def __init__(self, attempt: Any) -> None:
        self._journal = attempt.journal
        self.asked: list[str] = []

    async def __call__(self) -> dict[str, Any]:
        self.asked.append(self._journal.next_position())
        return {"verdict": len(self.asked)}


async def test_a_verdict_is_recorded_before_anything_follows_from_it() -> None:
    stores = Stores()
    attempt = stores.attempt()

    verdict = await judged_once(attempt, "words", Judge(attempt))

    assert verdict == {"verdict": 1}
    assert stores.memory.records == {"guardrail words/0": {"verdict": verdict}}


async def test_one_that_cannot_be_recorded_is_none() -> None:
    stores = Stores()
    stores.memory.fault = StoreUnavailable("postgres", "down")
    attempt = stores.attempt()

    with pytest.raises(StoreUnavailable):
        await judged_once(attempt, "words", Judge(attempt))

    assert attempt.journal.verdicts == {}


async def test_the_next_attempt_is_given_it_and_asks_nobody() -> None:
    stores = Stores()
    first, second = stores.attempt(), stores.attempt(SECOND_ATTEMPT)
    given = await judged_once(first, "words", Judge(first))
    second.journal.resume(stores.memory.records, {})
    judge = Judge(second)

    assert await judged_once(second, "words", judge) == given
    assert judge.asked == []


async def test_several_are_told_apart_by_name_place_and_order() -> None:
    stores = Stores()
    attempt = stores.attempt()
    judge = Judge(attempt)

    for name in ("words", "words", "length"):
        await judged_once(attempt, name, judge)
    with inside_call("c"):
        await judged_once(attempt, "words", judge)

    assert list(stores.memory.records) == [
        "guardrail words/0",
        "guardrail words/1",
        "guardrail length/0",
        "c/guardrail words/0",
    ]


async def test_a_model_that_a_guardrail_asks_stands_below_its_verdict() -> None:
    stores = Stores()
    attempt = stores.attempt()
    judge = Judge(attempt)

    await judged_once(attempt, "words", judge)
    await judged_once(attempt, "words", judge)

    assert judge.asked == ["guardrail words/0/0", "guardrail words/1/0"]
    assert attempt.journal.next_position() == "0"
