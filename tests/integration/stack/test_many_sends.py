"""Many people, or one with many windows, write to one session at the same moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from pathlib import Path
from threading import Event, Lock
from typing import Any

import httpx
import psycopg
import pytest

from parley_local.postgres import DATABASE
from parley_local.stack import LocalStack
from parley_testing.models.server import Asked, ModelServer, Said
from parley_testing.run.at_length import times
from parley_testing.waiting import HANG_SECONDS

SENDS = times(enough=25, full=50)


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model's HTTP server."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def stack(model: ModelServer, tmp_path: Path) -> Iterator[LocalStack]:
    """The whole of Parley on that model."""
    env = {
        "OPENAI_API_KEY": "test",
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_MODEL": "scripted",
    }
    with LocalStack(tmp_path / "data", env=env, ready_within=HANG_SECONDS) as stack:
        yield stack


def slow_until_now(stack: LocalStack) -> None:
    """Let the turns so far have taken a minute each."""
    lines = (stack.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    with psycopg.connect(host=lines[4], user="postgres", dbname=DATABASE) as connection:
        connection.execute("UPDATE turns SET started_at = ended_at - interval '1 minute'")


def test_each_is_answered_before_the_gateway_hangs_up_and_each_turn_is_done_once_and_in_order(
    stack: LocalStack, model: ModelServer
) -> None:
    answered, one_by_one = Event(), Lock()
    client = httpx.Client(
        base_url=stack.url,
        headers=stack.headers("alice"),
        timeout=HANG_SECONDS,
        # None that was idle: a server may close it just when it is used again.
        limits=httpx.Limits(max_connections=SENDS, max_keepalive_connections=0),
        trust_env=False,
    )
    first = client.post("/messages", json={"text": "before"}).json()
    path = f"/sessions/{first['turn']['session_id']}/messages"
    slow_until_now(stack)

    def not_before_another_is_answered(asked: Asked) -> Said:
        answered.wait(HANG_SECONDS)
        return Said(f"heard {asked.input[-1]['content']}")

    def send(number: int) -> httpx.Response:
        body = {"text": f"message {number}", "on_conflict": "enqueue"}
        end = time.monotonic() + HANG_SECONDS
        in_line: AbstractContextManager[object] = nullcontext()
        while True:
            with in_line:
                response = client.post(path, json=body, headers={"Idempotency-Key": f"k{number}"})
            if response.status_code == 504 and time.monotonic() < end:
                # The machine was too slow to begin with so many: no function says that it waited
                # too long. They are sent again, now one at a time; what waits would wait for ever.
                assert "turn_id" not in response.json(), response.text
                in_line = one_by_one
                continue
            if response.status_code != 409:
                answered.set()
                return response
            # As many wait as may. Nothing was taken.
            assert response.json()["code"] == "queue_full", response.text
            time.sleep(0.5)

    model.script = not_before_another_is_answered
    with ThreadPoolExecutor(SENDS) as threads:
        answers = list(threads.map(send, range(SENDS)))

    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 202}, statuses
    assert statuses[202] > 0
    turns = _all_ended(client, f"{path.rpartition('/')[0]}/turns")
    numbers = {answer.json()["turn"]["id"]: answer.json()["turn"]["number"] for answer in answers}
    assert sorted(numbers.values()) == list(range(2, SENDS + 2))
    assert [turn["number"] for turn in turns] == list(range(1, SENDS + 2))
    assert {turn["status"] for turn in turns} == {"completed"}
    assert [turn["usage"]["model_calls"] for turn in turns] == [1] * len(turns)
    for turn, next_one in pairwise(turns[1:]):
        assert turn["ended_at"] <= next_one["started_at"]
    heard = Counter(asked.input[-1]["content"] for asked in model.asked[1:])
    assert heard == Counter({f"message {number}": 1 for number in range(SENDS)})
    client.close()


def _all_ended(client: httpx.Client, path: str) -> list[Any]:
    """Wait until no turn is open, and give all, the first one first."""
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        page = client.get(path, params={"limit": 100}).json()
        turns: list[Any] = page["items"][::-1]
        if page["next_cursor"] is None and all(turn["ended_at"] for turn in turns):
            return turns
        time.sleep(0.2)
    raise AssertionError(f"turns are open: {turns}")
