"""Tools that block take asyncio's threads; a turn's own calls have others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from agents import Agent, function_tool

from parley.memory.store import AgentSessionStore
from parley.repository.turns import Renewed, RunningTurn, TurnRepository
from parley.turns import lease
from parley_testing.models.scripted import Answer, Asked, call, say
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench

THREADS = 2  # of asyncio's; a Lambda function has six


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


class Blocking:
    """An agent whose tool blocks until it is let go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.blocked = threading.Semaphore(0)  # counts bodies that have begun

        @function_tool
        def look_up(what: str) -> str:
            """Look something up in a slow place."""
            self.blocked.release()
            assert self.go_on.wait(HANG_SECONDS)
            return f"found {what}"

        self.agent = Agent(name="todo", instructions="Help.", tools=[look_up])


def answer(asked: Asked) -> Answer:
    if asked.input[-1].get("content") == "look up":
        calls = [call("look_up", f"call_{n}", what=f"thing {n}") for n in range(THREADS + 2)]
        return [each for one in calls for each in one]
    return say("Here it is.")


@pytest.fixture
def blocking() -> Blocking:
    return Blocking()


@pytest.fixture
def bench(new_bench: Callable[..., Workbench], blocking: Blocking) -> Workbench:
    return new_bench(answer, agent=blocking.agent)


async def test_the_heartbeat_and_the_turns_of_other_sessions_go_on(
    bench: Workbench, blocking: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    watching = ThreadPoolExecutor(1)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    renewed = asyncio.Event()
    renew = TurnRepository.renew

    def noting(turns: TurnRepository, turn: RunningTurn) -> Renewed | None:
        done = renew(turns, turn)
        loop.call_soon_threadsafe(renewed.set)
        return done

    monkeypatch.setattr(TurnRepository, "renew", noting)
    session_id, other = bench.new_session(), bench.new_session()
    waiting = asyncio.ensure_future(bench.send(session_id, "look up"))
    try:
        for _ in range(THREADS):
            assert await loop.run_in_executor(watching, blocking.blocked.acquire)
        renewed.clear()

        beside = asyncio.ensure_future(bench.send(other, "hello"))
        heartbeat = asyncio.ensure_future(renewed.wait())
        _, left = await asyncio.wait([beside, heartbeat], timeout=HANG_SECONDS)

        assert not left, "what a tool blocks keeps others waiting"
        assert not waiting.done()
    finally:
        blocking.go_on.set()
    for sent in (await beside, await waiting):
        assert sent.view.turn.status == "completed"
