"""Rules on what a turn leaves and what the next is shown (turn-protocol, sections 1, 3 and 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from parley.errors import TurnFailed
from parley.ids import Voucher, conversation_key
from parley.memory import window
from parley.memory.store import TurnMemory
from parley.repository import end, turns
from parley.repository.turns import Ending, Usage
from parley.runner import agent_run, execute, model_answer, recording_model
from parley.turns import finalize
from parley.turns.journal import Journal
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench, request

NewBench = Callable[..., Workbench]


def shown(bench: Workbench, place: int = 0) -> list[Any]:
    return [item.get("content", item.get("type")) for item in bench.model.asked[place].input]


async def test_only_what_postgres_vouches_for_is_remembered(
    kept: bool, new_bench: NewBench, monkeypatch: Any
) -> None:
    """Without it a cancel that wins after `done` shows the next turn what was cancelled."""
    if not kept:

        def everything(store: Any, key: str, _: Any, read: Any, **fields: Any) -> window.Window:
            found = [Voucher(each.number, each.attempt, each.turn.id) for each in read]
            return window.Window(store, key, found, read, **fields)

        monkeypatch.setattr(execute, "Window", everything)
    bench = new_bench(in_order(say("two")))
    turn = bench.begin(bench.new_session(), "first")
    items = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "secret"}]
    key = conversation_key(turn.user_id, turn.session_id)
    bench.store.finish(key, turn.key, turn.attempt, TurnMemory(items, "secret"))
    bench.turns.stop(turn, Ending("cancelled", "x", "x", remembered=False), Usage(), None)

    await bench.send(turn.session_id, "second")

    assert ("secret" in shown(bench)) is not kept


async def test_an_item_counts_only_with_the_attempt_that_ended_its_turn(
    kept: bool, new_bench: NewBench, expire: Callable[[UUID], None], monkeypatch: Any
) -> None:
    """Without it a zombie that recreates a deleted item is believed."""
    if not kept:

        def any_attempt(stored: Any, vouched: Any) -> dict[int, Any]:
            turns = {each.turn for each in vouched}
            return {each.number: each for each in stored if each.turn in turns}

        monkeypatch.setattr(window, "_believed", any_attempt)
    bench = new_bench(in_order(say("one"), say("two")))
    turn = bench.begin(bench.new_session(), "first", key="k")
    expire(turn.id)
    await bench.send(turn.session_id, "first", key="k")
    key = conversation_key(turn.user_id, turn.session_id)
    bench.store.forget(key)
    bench.store.finish(
        key,
        turn.key,
        turn.attempt,
        TurnMemory([{"role": "assistant", "content": "from the dead"}], "x"),
    )

    await bench.send(turn.session_id, "second")

    assert shown(bench, 1) == (["first", "one", "second"] if kept else ["from the dead", "second"])


async def test_call_ids_are_minted(
    kept: bool,
    new_bench: NewBench,
    sql: psycopg.Connection,
    failure: Any,
    monkeypatch: Any,
) -> None:
    """Without it a server that repeats its call ids gets no turn to its end."""
    if not kept:
        record = model_answer.recorded
        # Within one answer they still get new ids.
        monkeypatch.setattr(
            recording_model, "recorded", lambda response, _: record(response, set())
        )
    bench = new_bench(
        in_order(
            call("add_task", "call_0", title="milk"),
            call("add_task", "call_0", title="bread"),
            say("Added."),
        )
    )

    code = await failure(bench.send(bench.new_session(), "add milk and bread"))

    assert code == ("" if kept else "model_failed")
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == ((2,) if kept else (1,))


async def test_a_failed_turn_tells_what_its_tools_have_done(
    kept: bool, new_bench: NewBench, monkeypatch: Any
) -> None:
    """Without it the agent is asked to do all of it again, and does."""
    if not kept:
        monkeypatch.setattr(
            finalize,
            "Ending",
            lambda status, code, detail, *_: Ending(status, code, detail, remembered=False),
        )
    model_answer = call("add_task", title="milk"), ValueError("broken"), say("ok")
    bench = new_bench(in_order(*model_answer))
    session_id = bench.new_session()
    with pytest.raises(TurnFailed):
        await bench.send(session_id, "add milk")

    await bench.send(session_id, "and?")

    assert any("add_task" in str(content) for content in shown(bench, 2)) is kept


async def test_letting_go_on_purpose_is_not_a_crash(
    kept: bool, new_bench: NewBench, failure: Any, monkeypatch: Any
) -> None:
    """Without it an outage of a store uses up the attempts."""
    if not kept:
        crash = end.RELEASE.text.replace("'-infinity'", "now() - interval '1 second'")
        monkeypatch.setattr(turns, "RELEASE", text(crash))
    bench = new_bench(in_order(say("at last")), crashes=2)
    turn = bench.begin(bench.new_session(), key="k")
    for _ in range(2):
        bench.turns.release(turn)
        begun = bench.turns.begin(request(turn.session_id, key="k"))
        assert begun.turn is not None
        turn = begun.turn
    bench.turns.release(turn)

    code = await failure(bench.send(turn.session_id, key="k"))

    assert code == ("" if kept else "turn_crashed")


async def test_what_only_one_run_could_use_is_dropped_at_done(
    kept: bool, new_bench: NewBench, monkeypatch: Any
) -> None:
    """Without it later turns send reasoning and ids that another server, or time, refuses."""
    if not kept:
        monkeypatch.setattr(agent_run, "lasting", lambda items: [dict(item) for item in items])
        monkeypatch.setattr(model_answer, "settled", list)  # which would drop ids once more
    bench = new_bench(in_order(say("one"), say("two")))
    session_id = bench.new_session()
    await bench.send(session_id, "first")

    await bench.send(session_id, "second")

    refers = [item for item in bench.model.asked[1].input if "id" in item]
    assert bool(refers) is not kept


async def test_a_recorded_answer_is_not_asked_for_again(
    kept: bool,
    new_bench: NewBench,
    die: Any,
    let_die: Any,
    failure: Any,
    sql: psycopg.Connection,
    monkeypatch: Any,
) -> None:
    """Without the record a turn whose tools have been called cannot be resumed."""
    if not kept:
        monkeypatch.setattr(Journal, "record_response", _unrecorded)

    first = new_bench(in_order(call("add_task", "call_a", title="milk"), die))
    turn = first.begin(first.new_session(), "add milk", key="k")
    await let_die(first, turn)
    second = new_bench(in_order(say("Added.")))

    code = await failure(second.send(turn.session_id, "add milk", key="k"))

    assert code == ("" if kept else "memory_unreadable")
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (1,)


async def _unrecorded(self: Any, position: str, record: dict[str, Any]) -> None:
    self.records[position] = record
