"""How often a model is asked, and how long it is left alone in between."""

from __future__ import annotations

from typing import Any, cast

import httpx2
import pytest
from agents import Model
from agents.retry import ModelRetryAdvice
from openai import APIConnectionError

from parley.runner.model_faults import NO_ANSWER_TRIES, TRIES, BadAnswer, no_answer
from parley.runner.model_retry import LONGEST_PAUSE_SECONDS, PAUSE_SECONDS, asked

BROKEN = APIConnectionError(request=httpx2.Request("POST", "http://model.test"))


class Advised:
    """A model whose server says something of asking again."""

    def __init__(self, advice: ModelRetryAdvice | None = None) -> None:
        self._advice = advice

    def get_retry_advice(self, request: Any) -> ModelRetryAdvice | None:
        return self._advice


class Asking:
    """Asks a model that fails some times and then answers."""

    def __init__(self, *failures: Exception, advice: ModelRetryAdvice | None = None) -> None:
        self._failures = list(failures)
        self._model = cast(Model, Advised(advice))
        self.tries = 0
        self.told: list[Exception] = []

    async def once(self) -> str:
        self.tries += 1
        if self._failures:
            raise self._failures.pop(0)
        return "answer"

    async def ask(self, *, again: bool = True) -> str:
        return await asked(self.once, self._model, self.told.append, again=again)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was paused; nothing waits."""
    seconds: list[float] = []

    async def sleep(pause: float) -> None:
        seconds.append(pause)

    monkeypatch.setattr("parley.runner.model_retry.asyncio.sleep", sleep)
    return seconds


async def test_an_answer_is_asked_for_once(pauses: list[float]) -> None:
    asking = Asking()

    assert await asking.ask() == "answer"
    assert (asking.tries, asking.told, pauses) == (1, [], [])


@pytest.mark.parametrize(
    ("failure", "tries"),
    [
        (BROKEN, TRIES),
        (no_answer(), NO_ANSWER_TRIES),
        (BadAnswer("it was cut off", tries=1), 1),
        (ZeroDivisionError(), 1),
    ],
    ids=["broken off", "nothing", "will not pass", "not the model's"],
)
async def test_the_same_is_asked_as_often_as_it_may_help(failure: Exception, tries: int) -> None:
    asking = Asking(*[failure] * 9)

    with pytest.raises(type(failure)):
        await asking.ask()

    assert asking.tries == tries
    assert asking.told == [failure] * tries


async def test_an_agent_with_settings_of_its_own_is_asked_by_the_runner() -> None:
    asking = Asking(BROKEN)

    with pytest.raises(APIConnectionError):
        await asking.ask(again=False)

    assert asking.tries == 1


async def test_pauses_become_longer_and_are_not_the_same_for_all(pauses: list[float]) -> None:
    await Asking(BROKEN, BROKEN).ask()

    first, second = pauses
    assert 0.75 * PAUSE_SECONDS <= first <= PAUSE_SECONDS
    assert 1.5 * PAUSE_SECONDS <= second <= 2 * PAUSE_SECONDS


@pytest.mark.parametrize(
    ("named", "taken"), [(7.0, True), (LONGEST_PAUSE_SECONDS + 1, False)], ids=["short", "too long"]
)
async def test_the_server_s_own_pause_is_taken_unless_it_is_too_long(
    pauses: list[float], named: float, taken: bool
) -> None:
    await Asking(BROKEN, advice=ModelRetryAdvice(suggested=True, retry_after=named)).ask()

    assert (pauses == [named]) is taken
    assert taken or pauses[0] <= PAUSE_SECONDS


async def test_a_server_that_wants_no_second_try_gets_none() -> None:
    asking = Asking(BROKEN, advice=ModelRetryAdvice(suggested=False))

    with pytest.raises(APIConnectionError):
        await asking.ask()

    assert asking.tries == 1
