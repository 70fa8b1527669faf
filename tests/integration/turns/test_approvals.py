"""A turn that asks for approval waits, and goes on as it was decided, on both stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agents import Agent, function_tool
from sqlalchemy import text

from parley import Effect, approval, effect_tool
from parley.errors import InvalidField, TurnFailed, TurnWaiting
from parley.memory.store import AgentSessionStore
from parley.repository.approvals import Approval
from parley.repository.transcript import TurnView
from parley.turns.decide import Decider
from parley.turns.send import QueuedTurn, Sent
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench, request

REFUND = call("refund", "call_r", cents=900)


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


@effect_tool
def note(effect: Effect, title: str) -> str:
    """Note a task."""
    _task(effect, title)
    return f"noted {title}"


def _task(effect: Effect, title: str) -> None:
    effect.db.execute(
        text("INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), :user, :title)"),
        {"user": effect.user_id, "title": title},
    )


def refunding(**asked: Any) -> Agent[Any]:
    """An agent whose refunds have to be approved, and whose notes do not."""

    @effect_tool(needs_approval=approval(**asked))
    def refund(effect: Effect, cents: int) -> str:
        """Refund an amount."""
        _task(effect, f"refund {cents}")
        return f"refunded {cents}"

    return Agent("refunder", tools=[refund, note])


def effects(sql: psycopg.Connection) -> list[str]:
    return [title for (title,) in sql.execute("SELECT title FROM tasks ORDER BY title").fetchall()]


async def sent(bench: Workbench, session_id: UUID, text: str = "hello", **fields: Any) -> TurnView:
    """Send a message, and return the turn as it is answered."""
    answered = await bench.sender.send(request(session_id, text, **fields), seconds=60)
    return answered.view


async def decide(
    bench: Workbench, asked: Approval, status: Any = "approved", **how: Any
) -> Approval:
    decider = Decider(bench.database, bench.waker)
    return await decider.decide(asked.id, status, **{"by": "alice", "may": (), **how})


async def gone_on(bench: Workbench, session_id: UUID) -> None:
    assert await bench.session_worker.run_next(session_id, seconds=60)


@pytest.mark.parametrize("arguments", [{"cents": 900}, {}, {"cents": "many"}], ids=str)
async def test_a_call_of_which_nobody_can_tell_whether_it_needs_approval_does(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection, arguments: dict[str, Any]
) -> None:
    def too_much(context: Any, given: dict[str, Any], call_id: str) -> bool:
        raise KeyError("cents")

    bench = new_bench(
        in_order(call("refund", **arguments), say("ok")), agent=refunding(when=too_much)
    )
    session_id = bench.new_session()

    (asked,) = (await sent(bench, session_id)).approvals
    assert effects(sql) == []
    await decide(bench, asked)
    await gone_on(bench, session_id)

    # What the arguments lack, the tool itself tells the model.
    assert effects(sql) == (["refund 900"] if arguments == {"cents": 900} else [])


async def test_a_call_that_needs_approval_waits_and_is_made_when_it_is_approved(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(REFUND, say("Refunded.")), agent=refunding())
    session_id = bench.new_session()

    view = await sent(bench, session_id)

    assert (view.turn.status, view.turn.waiting_for) == ("waiting", "decisions")
    (asked,) = view.approvals
    assert (asked.tool, asked.arguments, asked.status) == ("refund", '{"cents": 900}', "open")
    assert effects(sql) == []
    assert bench.transcript.turn("alice", session_id, view.turn.id) == view

    decided = await decide(bench, asked)
    assert (decided.status, decided.decided_by) == ("approved", "alice")
    await gone_on(bench, session_id)

    over = bench.transcript.turn("alice", session_id, view.turn.id)
    assert over.reply is not None
    assert (over.turn.status, over.reply.content) == ("completed", "Refunded.")
    assert over.turn.crashes == 0
    assert effects(sql) == ["refund 900"]
    kinds = [item.get("type") for item in bench.model.asked[-1].input]
    assert kinds == [None, "function_call", "function_call_output"]


async def test_the_next_turn_is_shown_it_as_if_nobody_had_been_asked(
    new_bench: Callable[..., Workbench],
) -> None:
    bench = new_bench(in_order(REFUND, say("Refunded."), say("Bye.")), agent=refunding())
    session_id = bench.new_session()
    view = await sent(bench, session_id)
    await decide(bench, view.approvals[0])
    await gone_on(bench, session_id)

    await bench.send(session_id, "thanks")

    shown = bench.model.asked[-1].input
    assert [item.get("type", item.get("role")) for item in shown] == [
        "user", "function_call", "function_call_output", "assistant", "user",
    ]  # fmt: skip


async def test_what_is_rejected_is_not_made_and_the_agent_told_why(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(REFUND, say("Not refunded.")), agent=refunding())
    session_id = bench.new_session()
    view = await sent(bench, session_id)

    await decide(bench, view.approvals[0], "rejected", reason="too much")
    await gone_on(bench, session_id)

    assert effects(sql) == []
    output = bench.model.asked[-1].input[-1]["output"]
    assert output == "This call was not made: it was rejected. The reason given: too much"
    over = bench.transcript.turn("alice", session_id, view.turn.id)
    assert over.turn.status == "completed"


async def test_siblings_that_had_run_are_not_run_again(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    both = call("note", "call_n", title="milk") + REFUND
    bench = new_bench(in_order(both, say("Done.")), agent=refunding())
    session_id = bench.new_session()

    view = await sent(bench, session_id)
    assert effects(sql) == ["milk"]
    await decide(bench, view.approvals[0])
    await gone_on(bench, session_id)

    assert effects(sql) == ["milk", "refund 900"]
    assert len(bench.model.asked) == 2


async def test_a_turn_may_wait_several_times(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    again = call("refund", "call_s", cents=100) + call("refund", "call_t", cents=50)
    bench = new_bench(in_order(REFUND, again, say("Done.")), agent=refunding())
    session_id = bench.new_session()
    first = await sent(bench, session_id)
    await decide(bench, first.approvals[0])
    await gone_on(bench, session_id)

    second = bench.transcript.turn("alice", session_id, first.turn.id)
    assert second.turn.status == "waiting"
    asked = [each for each in second.approvals if each.is_open]
    assert [each.call_id for each in asked] == ["call_s", "call_t"]
    await decide(bench, asked[0], "rejected")
    assert not await bench.session_worker.run_next(session_id, seconds=60)
    await decide(bench, asked[1])
    await gone_on(bench, session_id)

    assert effects(sql) == ["refund 50", "refund 900"]
    assert bench.transcript.turn("alice", session_id, first.turn.id).turn.status == "completed"
    assert len(bench.model.asked) == 3


async def test_who_approves_may_change_the_arguments_where_the_tool_lets_them(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(REFUND, say("Done.")), agent=refunding(editable=True))
    session_id = bench.new_session()
    view = await sent(bench, session_id)

    await decide(bench, view.approvals[0], edited='{"cents": 5}')
    await gone_on(bench, session_id)

    assert effects(sql) == ["refund 5"]
    assert [item.get("arguments") for item in bench.model.asked[-1].input] == [
        None, '{"cents": 5}', None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("edited", "field"),
    [
        ('{"cents": "many"}', "arguments.cents"),
        ("{}", "arguments.cents"),
        ('{"cents": 5, "tip": 1}', "arguments.tip"),
    ],
)
async def test_arguments_that_the_tool_would_refuse_use_no_approval_up(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection, edited: str, field: str
) -> None:
    bench = new_bench(in_order(REFUND, say("Done.")), agent=refunding(editable=True))
    session_id = bench.new_session()
    (asked,) = (await sent(bench, session_id)).approvals

    with pytest.raises(InvalidField) as refused:
        await decide(bench, asked, edited=edited)

    assert refused.value.field == field
    assert sql.execute("SELECT status FROM approvals").fetchone() == ("open",)
    await decide(bench, asked, edited='{"cents": 5}')
    await gone_on(bench, session_id)
    assert effects(sql) == ["refund 5"]


async def test_the_schema_of_a_tool_is_kept_only_where_its_arguments_may_be_edited(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(REFUND), agent=refunding())

    await sent(bench, bench.new_session())

    assert sql.execute("SELECT arguments_schema FROM approvals").fetchone() == (None,)


async def test_a_turn_that_would_ask_for_more_than_can_be_read_fails_before_anybody_is_asked(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.runner.approvals.ASKED_BYTES", 60)
    together = [
        made for cents in (100, 200, 300) for made in call("refund", f"call_{cents}", cents=cents)
    ]
    bench = new_bench(in_order(together), agent=refunding())

    with pytest.raises(TurnFailed) as failed:
        await sent(bench, bench.new_session())

    assert (failed.value.code, "60 bytes" in failed.value.detail) == ("approval_too_large", True)
    assert sql.execute("SELECT count(*) FROM approvals").fetchone() == (0,)
    assert effects(sql) == []


async def test_a_schema_that_is_very_large_is_left_to_the_tool(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.runner.approvals.SCHEMA_MAX_BYTES", 10)
    bench = new_bench(in_order(REFUND), agent=refunding(editable=True))

    (asked,) = (await sent(bench, bench.new_session())).approvals

    assert (await decide(bench, asked, edited="{}")).edited_arguments == "{}"


async def test_an_agent_used_as_a_tool_may_ask_and_so_may_one_handed_over_to(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    inner = refunding()
    outer = Agent(
        "outer",
        tools=[inner.as_tool("clerk", "Asks the clerk.")],
        handoffs=[Agent("other", tools=inner.tools, handoff_description="Takes over.")],
    )
    bench = new_bench(
        in_order(
            call("clerk", "call_c", input="refund it"),
            REFUND,
            say("The clerk did."),
            call("transfer_to_other", "call_h"),
            call("refund", "call_o", cents=7),
            say("All done."),
        ),
        agent=outer,
    )
    session_id = bench.new_session()
    first = await sent(bench, session_id)
    assert [(each.agent, each.call_id) for each in first.approvals] == [("refunder", "call_r")]
    await decide(bench, first.approvals[0])
    await gone_on(bench, session_id)

    second = bench.transcript.turn("alice", session_id, first.turn.id)
    asked = [each for each in second.approvals if each.is_open]
    assert [(each.agent, each.call_id) for each in asked] == [("other", "call_o")]
    assert effects(sql) == ["refund 900"]
    await decide(bench, asked[0])
    await gone_on(bench, session_id)

    over = bench.transcript.turn("alice", session_id, first.turn.id)
    assert over.reply is not None
    assert over.reply.content == "All done."
    assert effects(sql) == ["refund 7", "refund 900"]
    assert len(bench.model.asked) == 6


async def test_a_session_whose_turn_waits_is_busy(new_bench: Callable[..., Workbench]) -> None:
    bench = new_bench(in_order(REFUND, say("Done."), say("Next.")), agent=refunding())
    session_id = bench.new_session()
    view = await sent(bench, session_id, key="k")

    with pytest.raises(TurnWaiting) as refused:
        await bench.send(session_id, "another")
    assert refused.value.turn_id == view.turn.id

    again = await bench.sender.send(request(session_id, key="k"), seconds=60)
    assert isinstance(again, QueuedTurn)
    assert (again.view, again.replayed) == (view, True)

    behind = await bench.sender.queue(request(session_id, "behind"), enqueue=True)
    assert behind.view.turn.status == "queued"
    assert not await bench.session_worker.run_next(session_id, seconds=60)
    await decide(bench, view.approvals[0])
    await gone_on(bench, session_id)
    await gone_on(bench, session_id)
    after = bench.transcript.turn("alice", session_id, behind.view.turn.id)
    assert (after.turn.number, after.turn.status) == (2, "completed")


async def test_what_was_decided_is_carried_on_by_the_next_request_too(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(REFUND, say("Done."), say("Next.")), agent=refunding())
    session_id = bench.new_session()
    view = await sent(bench, session_id)
    await decide(bench, view.approvals[0])

    answered = await bench.send(session_id, "another")

    assert isinstance(answered, Sent)
    assert answered.view.turn.number == 2
    assert effects(sql) == ["refund 900"]


async def test_a_turn_that_waits_can_be_cancelled_and_is_decided_on_no_more(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    both = call("note", "call_n", title="milk") + REFUND
    bench = new_bench(in_order(both), agent=refunding())
    session_id = bench.new_session()
    view = await sent(bench, session_id)

    cancelled = await bench.canceller.cancel("alice", session_id, view.turn.id)

    assert (cancelled.outcome, cancelled.view.turn.status) == ("cancelled", "cancelled")
    assert "note" in (cancelled.view.turn.error_detail or "")
    assert sql.execute("SELECT status FROM approvals").fetchall() == [("cancelled",)]
    assert effects(sql) == ["milk"]


async def test_a_deployment_that_takes_the_tool_away_fails_the_turn_before_anything_runs(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(REFUND), agent=refunding())
    session_id = bench.new_session()
    view = await sent(bench, session_id)
    await decide(bench, view.approvals[0])

    after = new_bench(in_order(), agent=Agent("refunder", tools=[note]))
    await gone_on(after, session_id)

    over = after.transcript.turn("alice", session_id, view.turn.id)
    assert (over.turn.status, over.turn.error_code) == ("failed", "agent_changed")
    assert effects(sql) == []


async def test_what_was_rejected_is_not_made_though_a_deployment_needs_no_approval_any_more(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(REFUND), agent=refunding())
    session_id = bench.new_session()
    view = await sent(bench, session_id)
    await decide(bench, view.approvals[0], "rejected")

    after = new_bench(in_order(say("Not done.")), agent=refunding(when=lambda *_: False))
    await gone_on(after, session_id)

    over = after.transcript.turn("alice", session_id, view.turn.id)
    assert over.turn.status == "completed"
    assert effects(sql) == []


async def test_a_call_that_is_not_what_was_approved_is_not_made(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(REFUND), agent=refunding())
    session_id = bench.new_session()
    view = await sent(bench, session_id)
    await decide(bench, view.approvals[0])
    sql.execute("UPDATE approvals SET digest = 'of another call'")

    await gone_on(bench, session_id)

    over = bench.transcript.turn("alice", session_id, view.turn.id)
    assert (over.turn.status, over.turn.error_code) == ("failed", "approval_not_carried_on")
    assert effects(sql) == []


async def test_a_tool_of_the_sdk_s_asks_as_well(new_bench: Callable[..., Workbench]) -> None:
    made: list[str] = []

    @function_tool(needs_approval=True)
    def refund(cents: int) -> str:
        """Refund."""
        made.append(f"refund {cents}")
        return "refunded"

    bench = new_bench(in_order(REFUND, say("Done.")), agent=Agent("refunder", tools=[refund]))
    session_id = bench.new_session()
    view = await sent(bench, session_id)
    assert (view.approvals[0].decider, made) == ("user", [])
    await decide(bench, view.approvals[0])
    await gone_on(bench, session_id)

    assert made == ["refund 900"]
