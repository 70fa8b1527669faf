"""What the agent remembers from turn to turn, on both stores."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from parley.ids import conversation_key
from parley.memory.shape import assistant_message, user_message
from parley.memory.store import AgentSessionStore, TurnMemory
from parley.repository.turns import Ending, Usage
from parley_testing.models.scripted import Answer, Asked, call, in_order, say
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


def counting() -> Callable[[Asked], Answer]:
    numbers = itertools.count(1)
    return lambda asked: say(f"answer {next(numbers)}")


def said(asked: Asked) -> list[Any]:
    return [item.get("content") for item in asked.input]


async def test_the_agent_remembers(new_bench: NewBench) -> None:
    bench = new_bench(counting())
    session_id = bench.new_session()

    for text in ("one", "two", "three"):
        await bench.send(session_id, text)

    assert said(bench.model.asked[-1]) == ["one", "answer 1", "two", "answer 2", "three"]


async def test_the_agent_remembers_no_more_than_it_may(new_bench: NewBench) -> None:
    bench = new_bench(counting(), memory_items=4)
    session_id = bench.new_session()

    for number in range(1, 6):
        await bench.send(session_id, f"question {number}")

    assert said(bench.model.asked[-1]) == [
        *("question 3", "answer 3", "question 4", "answer 4"),
        "question 5",
    ]


async def test_the_newest_turn_is_remembered_whatever_its_size(new_bench: NewBench) -> None:
    calls = [call("list_tasks", f"call_{number}") for number in range(4)]
    bench = new_bench(in_order(say("small"), *calls, say("big"), say("end")), memory_items=4)
    session_id = bench.new_session()

    for text in ("one", "two", "three"):
        await bench.send(session_id, text)

    assert len(bench.model.asked[-1].input) == 1 + 2 * 4 + 1 + 1
    assert said(bench.model.asked[-1])[0] == "two"


async def test_sessions_do_not_share_memory(new_bench: NewBench) -> None:
    bench = new_bench(counting())
    await bench.send(bench.new_session(), "a secret")

    await bench.send(bench.new_session(), "hello")

    assert said(bench.model.asked[-1]) == ["hello"]


@pytest.mark.parametrize("damage", ["gone", "of another attempt"])
async def test_lost_memory_is_rebuilt_from_the_transcript(new_bench: NewBench, damage: str) -> None:
    bench = new_bench(
        in_order(call("list_tasks"), say("nothing"), say("two"), say("three")),
    )
    session_id = bench.new_session()
    await bench.send(session_id, "what do I have?")
    await bench.send(session_id, "second")
    conversation = conversation_key("alice", session_id)
    if damage == "gone":
        bench.store.forget_before(conversation, 2)
    else:
        first = bench.store.read_newest(conversation, None)[-1]
        bench.store.claim(conversation, first.turn, 7)

    await bench.send(session_id, "third")

    assert said(bench.model.asked[-1]) == [
        *("what do I have?", "nothing"),
        *("second", "two"),
        "third",
    ]


async def test_no_more_is_rebuilt_than_can_be_shown(new_bench: NewBench) -> None:
    bench = new_bench(lambda _: say("z" * 1_000), memory_bytes=5_000)
    session_id = bench.new_session()
    for number in range(1, 9):
        await bench.send(session_id, f"{number}" * 1_000)
    bench.store.forget(conversation_key("alice", session_id))

    told = bench.transcript.of_turns("alice", session_id, range(1, 9), max_bytes=5_000)
    await bench.send(session_id, "and now?")

    # The third is the one that is too much.
    assert sorted(told) == [6, 7, 8]
    assert said(bench.model.asked[-1])[::2] == ["7" * 1_000, "8" * 1_000, "and now?"]
    stored = bench.store.read_newest(conversation_key("alice", session_id), None)
    assert len(stored) <= 4


async def test_rebuilt_memory_tells_why_a_turn_failed(new_bench: NewBench) -> None:
    bench = new_bench(in_order(call("add_task", title="milk"), ValueError(), say("ok")))
    session_id = bench.new_session()
    with pytest.raises(Exception, match="failed"):
        await bench.send(session_id, "add milk")
    bench.store.forget(conversation_key("alice", session_id))

    await bench.send(session_id, "hello")

    first, note, _ = said(bench.model.asked[-1])
    assert first == "add milk"
    assert "not to be repeated: add_task" in note


async def test_a_finished_turn_that_is_not_vouched_for_is_not_shown(new_bench: NewBench) -> None:
    bench = new_bench(counting())
    session_id = bench.new_session()
    turn = bench.begin(session_id, "cancel this")
    stopped = TurnMemory([user_message("cancel this"), assistant_message("done")], "done")
    bench.store.finish(conversation_key("alice", session_id), turn.key, turn.attempt, stopped)
    ending = Ending("cancelled", "cancelled", "You stopped it.", remembered=False)
    assert bench.turns.stop(turn, ending, Usage(), None)

    await bench.send(session_id, "hello")

    assert said(bench.model.asked[-1]) == ["hello"]


async def test_the_window_moves_in_steps_and_pruning_follows_them(new_bench: NewBench) -> None:
    bench = new_bench(counting(), memory_items=10)
    session_id = bench.new_session()
    first = 1

    for number in range(1, 21):
        bench.watched.calls.clear()
        await bench.send(session_id, f"question {number}")
        steps = 2 * (number - first) > 10
        if steps:
            first = number - 3  # 60 % of 10 items are 3 turns
        pruned = ["forget_before"] if steps else []
        assert bench.watched.calls == ["read_newest", "finish", *pruned]
        shown = said(bench.model.asked[-1])
        assert shown[0] == f"question {first}"
        assert len(shown) == 2 * (number - first) + 1
        assert _turns(bench, session_id) == number - first + 1  # what it was shown, and itself
    assert first == 16


def _turns(bench: Workbench, session_id: UUID) -> int:
    return bench.store.statistics(conversation_key("alice", session_id)).turns
