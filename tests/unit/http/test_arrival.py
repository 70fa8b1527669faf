"""How long somebody waits for an answer, by what the event says of its arrival."""

from __future__ import annotations

import time
from typing import Any

import pytest

from parley.http.arrival import seconds_to_answer
from parley.timing import ANSWER_SECONDS, GATEWAY_SECONDS
from parley_local.gateway import INTEGRATION_TIMEOUT

NOW = 1_800_000_000.0
WHOLE = GATEWAY_SECONDS - ANSWER_SECONDS


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


def arrived(at: Any) -> dict[str, Any]:
    return {"requestContext": {"requestTimeEpoch": at}}


@pytest.mark.parametrize(("age", "left"), [(0, WHOLE), (20, WHOLE - 20), (40, WHOLE - 40)])
def test_it_is_counted_from_the_arrival(age: float, left: float) -> None:
    assert seconds_to_answer(arrived((NOW - age) * 1000)) == pytest.approx(left)


@pytest.mark.parametrize(
    "at",
    [None, "soon", NOW, (NOW + 60) * 1000, (NOW - 86_400) * 1000],
    ids=["not-told", "no-number", "in-seconds", "to-come", "a-sample-event"],
)
def test_an_arrival_that_cannot_be_is_now(at: Any) -> None:
    assert seconds_to_answer(arrived(at)) == WHOLE
    assert seconds_to_answer({"requestContext": {}}) == WHOLE


def test_the_local_gateway_waits_as_long() -> None:
    assert INTEGRATION_TIMEOUT == GATEWAY_SECONDS
