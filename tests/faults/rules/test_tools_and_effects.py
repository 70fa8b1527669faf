"""Rules of tools and their effects (turn-protocol, section 6)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import psycopg
import pytest
from agents import Agent, default_tool_error_function, function_tool
from sqlalchemy import text

from parley import failpoints
from parley.errors import Fenced, StoreUnavailable, TurnFailed
from parley.repository import tool_calls
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley.repository.tool_calls import Called, ToolCall, ToolCallRepository, record_in
from parley.repository.turns import Ending, Usage
from parley.runner import tools
from parley.runner.tools import effect_tool
from parley.threads import OwnThreads
from parley.turns import effects
from parley.turns.context import TurnContext
from parley.turns.effects import Effects
from parley.turns.journal import Journal
from parley.turns.lease import Lease
from parley_testing.models.scripted import Items, call, in_order, say
from parley_testing.postgres.databases import name_of
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.waiting import HANG_SECONDS, longer_and_longer
from parley_testing.workbench import Workbench, request

NewBench = Callable[..., Workbench]
MILK = call("add_task", "c1", title="milk")
_FENCE = " AND attempt = :attempt AND status = 'running' FOR SHARE"


def added(sql: psycopg.Connection) -> int:
    (count,) = sql.execute("SELECT count(*) FROM tasks").fetchone() or (0,)
    return int(count)


def told(bench: Workbench) -> str:
    """What the model was last told of its calls."""
    return " ".join(item["output"] for item in bench.model.asked[-1].input if "output" in item)


def at(point: str, act: Callable[[], object]) -> Any:
    """Have something done when a turn passes a point."""

    def observe(passed: str) -> None:
        if passed == point:
            act()

    return failpoints.observed(observe)


async def test_an_effect_and_its_record_are_one_transaction(
    kept: bool,
    rule: Any,
    new_bench: NewBench,
    sql: psycopg.Connection,
    die: Any,
    let_die: Any,
) -> None:
    """Recorded afterwards, an effect whose process dies in between happens twice."""
    rule.instead(effects, "record_in", lambda *_: None)
    bench = new_bench(in_order(MILK, say("Added.")))
    turn = bench.begin(bench.new_session(), key="k")
    with at("after the commit of add_task", die):
        await let_die(bench, turn)

    await bench.send(turn.session_id, key="k")

    assert added(sql) == (1 if kept else 2)


def fence_first(rule: Any, lock: str) -> None:
    """Move the fence from the end of a tool's transaction to its start."""
    in_transaction = Effects.in_transaction

    async def fenced(self: Effects, called: Any, body: Any, **named: Any) -> Any:
        turn = self._lease.turn

        def checked(effect: Any) -> Any:
            query = f"SELECT FROM turns WHERE id = :id AND attempt = :attempt {lock}"
            values = {"id": turn.id, "attempt": turn.attempt}
            if effect.db.execute(text(query), values).first() is None:
                raise Fenced(turn.number, turn.attempt)
            return body(effect)

        return await in_transaction(self, called, checked, **named)

    rule.without(tool_calls, "_RECORD_FIRST", _FENCE)
    rule.instead(Effects, "in_transaction", fenced)


async def test_the_fence_stands_after_the_effect(
    kept: bool, rule: Any, new_bench: NewBench, sql: psycopg.Connection
) -> None:
    """Before it, a cancel slips in between: the turn is over, and has its effect after that."""
    fence_first(rule, lock="")
    bench = new_bench(in_order(MILK, say("Added.")))
    turn = bench.begin(bench.new_session())
    ending = Ending("cancelled", "cancelled", "You stopped it.", remembered=False)

    with (
        at(
            "inside the transaction of add_task",
            lambda: bench.turns.stop(turn, ending, Usage(), None),
        ),
        suppress(Fenced),
    ):
        await bench.execute(turn)

    assert added(sql) == (0 if kept else 1)


async def test_the_fence_is_not_held_while_the_tool_works(
    kept: bool, rule: Any, new_bench: NewBench, sql: psycopg.Connection
) -> None:
    """Held from the start, a process that freezes in its tool blocks the takeover."""
    fence_first(rule, lock="FOR SHARE")
    blocked: list[bool] = []

    def take_over() -> None:
        try:
            sql.execute("SELECT FROM turns FOR NO KEY UPDATE NOWAIT")
        except psycopg.errors.LockNotAvailable:
            blocked.append(True)
        else:
            blocked.append(False)

    bench = new_bench(in_order(MILK, say("Added.")))

    with at("inside the transaction of add_task", take_over):
        await bench.send(bench.new_session())

    assert blocked == [not kept]


def test_a_transaction_that_is_left_idle_is_ended(
    kept: bool, url: str, bench: Workbench, sql: psycopg.Connection
) -> None:
    """Without the time-out, one that freezes before its COMMIT blocks the takeover for ever."""
    turn = bench.begin(bench.new_session())
    zombie = Database(lambda: url, statement_timeout=0.3 if kept else 0)
    sql.execute("SELECT set_config('lock_timeout', %s, false)", ("0" if kept else "1s",))
    free = True
    with suppress(StoreUnavailable), zombie.transaction(OfUser(turn.user_id)) as connection:
        record_in(connection, turn, ToolCall("c1", "add", "{}", "added", effect=True))
        try:
            sql.execute("SELECT FROM turns FOR NO KEY UPDATE")
        except psycopg.errors.LockNotAvailable:
            free = False
    zombie.close()

    assert free is kept


async def _unrecorded(self: Journal, called: Called, output: Any, *, raised: bool = False) -> None:
    self.outputs[called.call_id] = ToolCall(*called, output, effect=False, raised=raised)


async def test_an_effect_that_is_under_way_when_time_is_up_is_waited_for(
    kept: bool, new_bench: NewBench, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the turn fails, and the agent is not told of what happened after that."""
    under_way, stopping = threading.Event(), threading.Event()
    made = Effects.made

    async def told_at_once(self: Effects) -> list[ToolCall]:
        recorded = self._tool_calls.of_turn(self._lease.turn)
        stopping.set()
        async with self._one_body:  # so that the test ends after it
            return list(recorded.values())

    async def waited_for(self: Effects) -> list[ToolCall]:
        stopping.set()
        return await made(self)

    def commit_when_time_is_up() -> None:
        under_way.set()
        stopping.wait(HANG_SECONDS)

    monkeypatch.setattr(Effects, "made", waited_for if kept else told_at_once)
    monkeypatch.setattr(effects, "BODY_SECONDS", HANG_SECONDS)
    for seconds in longer_and_longer(0.5):
        bench = new_bench(in_order(MILK), turn_seconds=seconds)
        session_id = bench.new_session()
        stopping.clear()
        with (
            at("before the commit of add_task", commit_when_time_is_up),
            pytest.raises(TurnFailed, match="turn_too_long"),
        ):
            await bench.send(session_id)
        if under_way.is_set():
            break
    after = new_bench(in_order(say("ok")))
    await after.send(session_id, "and?")

    assert added(sql) == 1
    assert ("milk" in str(after.model.asked[-1].input)) is kept


async def test_what_a_tool_failed_with_is_recorded_too(
    kept: bool, rule: Any, new_bench: NewBench
) -> None:
    """Without it the tool succeeds on replay, and contradicts the answer that was given."""
    rule.instead(Journal, "record_output", _unrecorded)
    outcomes = iter([RuntimeError("boom"), None])

    @function_tool
    def book() -> str:
        """Book a table, somewhere else than in Postgres."""
        if error := next(outcomes):
            raise error
        return "booked"

    script = in_order(call("book"), StoreUnavailable("store", "down"), say("It was not."))
    bench = new_bench(script, agent=Agent[TurnContext](name="one", tools=[book]))
    asked = request(bench.new_session(), key="k")
    with pytest.raises(StoreUnavailable):
        await bench.sender.send(asked, seconds=60)
    first = told(bench)

    await bench.sender.send(asked, seconds=60)

    assert (told(bench) == first) is kept


async def test_a_fence_is_not_told_to_the_model(
    kept: bool, rule: Any, new_bench: NewBench, expire: Any
) -> None:
    """As the text that the SDK makes of errors, it lets who was replaced go on talking."""
    rule.instead(tools, "explain", default_tool_error_function)
    rule.instead(Lease, "check", lambda self: None)
    rule.instead(Journal, "record_output", _unrecorded)

    @effect_tool
    def note(effect: Any) -> str:
        """Note."""
        return "noted"

    def replaced() -> Items:
        expire(turn.id)
        assert bench.turns.begin(request(turn.session_id)).outcome == "resume"
        return call("note")

    agent = Agent[TurnContext](name="one", tools=[note])
    bench = new_bench(in_order(replaced, say("still here")), agent=agent)
    turn = bench.begin(bench.new_session())

    with pytest.raises(Fenced):
        await bench.execute(turn)

    assert len(bench.model.asked) == (1 if kept else 2)


@pytest.fixture
def wired(url: str) -> Any:
    """A way to Postgres on which the first COMMIT's answer is lost."""
    with PostgresWire(url) as wire:
        database = Database(lambda: wire.url, statement_timeout=10)
        wire.lose_answer("^COMMIT$")
        yield database
        database.close()


async def test_a_commit_whose_answer_was_lost_is_looked_up(
    kept: bool, rule: Any, bench: Workbench, wired: Database
) -> None:
    """Without it the model is told that what has happened has failed."""
    rule.instead(ToolCallRepository, "of_turn", lambda *_: {})
    sender = Workbench(wired, bench.store, in_order(MILK, say("ok")))

    await sender.send(bench.new_session())

    assert ("error" in told(sender)) is not kept


async def test_a_call_has_one_row(
    kept: bool,
    bench: Workbench,
    wired: Database,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is the net below the look-up: without either the effect happens twice."""
    monkeypatch.setattr(ToolCallRepository, "of_turn", lambda *_: {})
    if not kept:
        sql.execute("ALTER TABLE tool_calls DROP CONSTRAINT pk_tool_calls")
    sender = Workbench(wired, bench.store, in_order(MILK, say("ok")))

    await sender.send(bench.new_session())

    assert added(sql) == (1 if kept else 2)


async def test_tools_called_at_once_run_one_after_another(
    kept: bool, rule: Any, new_bench: NewBench, sql: psycopg.Connection
) -> None:
    """At once, two tools that touch the same rows deadlock."""
    made = Effects.__init__

    def without_lock(self: Effects, *arguments: Any) -> None:
        made(self, *arguments)
        self._one_body = nullcontext()  # type: ignore[assignment]

    bodies = OwnThreads("bodies", at_once=2)
    rule.instead(Effects, "__init__", without_lock)
    rule.instead(effects, "_BODIES", bodies)
    sql.execute(f"ALTER DATABASE {name_of(sql)} SET deadlock_timeout = '20ms'")
    both = threading.Barrier(2)
    runs: list[str] = []

    @effect_tool
    def move(effect: Any, first: str, second: str) -> str:
        """Move a task."""
        runs.append(first)
        done = text("UPDATE tasks SET notes = 'moved' WHERE title = :title")
        effect.db.execute(done, {"title": first})
        with suppress(threading.BrokenBarrierError):  # as it is if the other is not begun
            if len(runs) <= 2:  # who is rolled back is alone when it is done again
                both.wait(0.5 if kept else HANG_SECONDS)
        effect.db.execute(done, {"title": second})
        return "moved"

    bench = new_bench(
        in_order(
            call("move", "c1", first="a", second="b") + call("move", "c2", first="b", second="a"),
            say("ok"),
        ),
        agent=Agent[TurnContext](name="one", tools=[move]),
    )
    for title in "ab":
        sql.execute(
            "INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), 'alice', %s)",
            (title,),
        )

    await bench.send(bench.new_session())
    bodies.leave()

    assert (len(runs) == 2) == kept, "one was rolled back, and done again, perhaps more than once"
