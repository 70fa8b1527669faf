"""Rules on what the agent is shown of the past (turn-protocol, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx2
from openai import BadRequestError

from parley.ids import conversation_key
from parley.memory import window
from parley.memory.sqlite import SqliteStore
from parley.memory.store import TurnMemory
from parley.memory.window import Window
from parley.runner import execute
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench

NewBench = Callable[..., Workbench]


def kinds(bench: Workbench) -> list[str]:
    """What the model was last shown, by type."""
    return [item.get("type", "message") for item in bench.model.asked[-1].input]


async def test_what_the_first_read_misses_is_read_once_more(
    kept: bool, rule: Any, new_bench: NewBench
) -> None:
    """Without it a read that overlapped the end of a turn loses what its tools were told."""
    rule.instead(SqliteStore, "read", lambda *_, **__: [])
    bench = new_bench(in_order(call("list_tasks"), say("Nothing."), say("ok")))
    session_id = bench.new_session()
    await bench.send(session_id, "what do I have?")

    async def read_before_that_turn_ended() -> Any:
        return []

    await bench.executor.execute(
        bench.begin(session_id, "and?"), read_before_that_turn_ended(), seconds=60
    )

    assert ("function_call_output" in kinds(bench)) is kept


async def test_memory_that_is_lost_is_taken_from_the_transcript(
    kept: bool, rule: Any, new_bench: NewBench
) -> None:
    """Without it the agent forgets what the user can still read."""
    rule.instead(execute, "_rebuilt", lambda *_: TurnMemory([]))
    bench = new_bench(in_order(say("one"), say("two")))
    session_id = bench.new_session()
    await bench.send(session_id, "first")
    bench.store.forget(conversation_key("alice", session_id))

    await bench.send(session_id, "second")

    shown = [item["content"] for item in bench.model.asked[-1].input]
    assert shown == (["first", "one", "second"] if kept else ["second"])


async def test_the_newest_turn_is_shown_whatever_its_size(
    kept: bool, rule: Any, new_bench: NewBench
) -> None:
    """Without it an agent that has done much in one turn has forgotten it in the next."""
    newest = window._newest

    def within(vouched: Any, known: Any, most: Any) -> Any:
        shown = newest(vouched, known, most)
        return shown if sum(len(known[each.number]) for each in shown) <= most.items else []

    rule.instead(window, "_newest", within)
    bench = new_bench(in_order(call("list_tasks"), say("Nothing."), say("ok")), memory_items=2)
    session_id = bench.new_session()
    await bench.send(session_id, "what do I have?")

    await bench.send(session_id, "and?")

    assert len(kinds(bench)) == (5 if kept else 1)


async def test_the_window_is_halved_when_the_model_says_it_is_too_much(
    kept: bool, rule: Any, new_bench: NewBench, failure: Any
) -> None:
    """Without it a conversation that has grown too long is refused for good."""
    rule.instead(Window, "halve", lambda self: False)
    response = httpx2.Response(400, request=httpx2.Request("POST", "http://model.test"))
    too_long = {"code": "context_length_exceeded"}
    overflow = BadRequestError("Too long.", response=response, body=too_long)
    bench = new_bench(in_order(say("one"), say("two"), overflow, say("three")))
    session_id = bench.new_session()
    await bench.send(session_id, "first")
    await bench.send(session_id, "second")

    code = await failure(bench.send(session_id, "third"))

    assert code == ("" if kept else "context_overflow")


async def test_a_window_moves_in_steps(kept: bool, rule: Any, new_bench: NewBench) -> None:
    """If it lost a turn with each, no request would begin as the one before did."""
    rule.instead(window._Size, "part", lambda self, percent: self)
    bench = new_bench(lambda asked: say("ok"), memory_items=10)
    session_id = bench.new_session()
    for number in range(1, 14):
        await bench.send(session_id, str(number))

    first = [asked.input[0]["content"] for asked in bench.model.asked]

    moved = sum(a != b for a, b in pairwise(first))
    assert moved == (3 if kept else 7)


async def test_a_window_is_made_of_whole_turns(
    kept: bool, rule: Any, new_bench: NewBench, asked_of_models: list[str]
) -> None:
    """By items it would begin with an output whose call is not shown, which models refuse."""
    whole = vars(Window)["items"].fget
    rule.instead(Window, "items", property(lambda self: whole(self)[-2:]))
    bench = new_bench(in_order(call("list_tasks"), say("Nothing."), say("ok")), memory_items=2)
    session_id = bench.new_session()
    await bench.send(session_id, "what do I have?")

    await bench.send(session_id, "and?")

    assert (asked_of_models == []) is kept
    asked_of_models.clear()
