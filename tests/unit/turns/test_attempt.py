"""The current attempt: who has it, and where it ends."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

from parley.turns.attempt import attempt_of_body, current_attempt, in_body, running
from parley.turns.context import TurnContext
from parley_testing.stores.in_memory import FIRST_ATTEMPT, Stores


async def test_all_that_is_started_in_a_run_has_its_attempt_and_nothing_else() -> None:
    attempt = Stores().attempt()

    async def look() -> object:
        return current_attempt()

    with running(attempt):
        task = asyncio.create_task(look())
        in_thread = await asyncio.to_thread(current_attempt)
    beside: list[object] = []
    thread = threading.Thread(target=lambda: beside.append(current_attempt()))
    thread.start()
    thread.join()

    assert await task is attempt
    assert in_thread is attempt
    assert [current_attempt(), *beside] == [None, None]


async def test_turns_that_run_beside_each_other_have_their_own() -> None:
    both = [Stores().attempt(), Stores().attempt()]
    met = asyncio.Barrier(2)

    async def run(attempt: object) -> bool:
        with running(attempt):  # type: ignore[arg-type]
            await met.wait()
            return current_attempt() is attempt

    assert await asyncio.gather(*map(run, both)) == [True, True]


async def test_only_the_body_of_a_transaction_is_in_one() -> None:
    attempt = Stores().attempt()

    with running(attempt):
        before = attempt_of_body()
        with in_body(attempt):
            inside = attempt_of_body()
        after = attempt_of_body()

    assert [before, inside, after] == [None, attempt, None]


async def test_an_agent_without_a_context_is_given_the_turn_s() -> None:
    attempt = Stores().attempt()

    told = TurnContext("alice", FIRST_ATTEMPT.session_id, FIRST_ATTEMPT.id)
    assert attempt.own == attempt.context == told
    assert attempt.journal.own.state() == {}


async def test_an_agent_s_own_context_is_what_tools_get_and_the_journal_keeps() -> None:
    @dataclass
    class Mine:
        seen: int = 3

    attempt = Stores().attempt()
    own = Mine()

    attempt.give_context(own)

    assert attempt.own is own
    assert attempt.journal.own.state() == {"seen": 3}
