"""`survives` tells tools that do something twice from those that do not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Model, ModelResponse, function_tool
from pydantic import BaseModel
from sqlalchemy import text

from parley.errors import NotFound
from parley.runner.tools import effect_tool
from parley.testing import Ledger, NotSurvived, Script, Turn, Workbench, calls, fails, says
from parley.testing.turn import Mode
from parley.turns.context import Effect, TurnContext

MODEL: Script = [calls("book", size=4), says("Booked.")]


def booking(parley: Workbench, tool: Any, **fields: Any) -> Turn:
    agent = Agent[TurnContext](name="bookings", tools=[tool])
    return parley.turn(agent, "A table for four", model=MODEL, **fields)


def insert(effect: Effect, size: int) -> None:
    effect.db.execute(
        text("INSERT INTO bookings (guest, size) VALUES (:guest, :size)"),
        {"guest": effect.user_id, "size": size},
    )


@effect_tool
def book(effect: Effect, size: int) -> str:
    """Book a table."""
    insert(effect, size)
    return "booked"


def plain(parley: Workbench, mails: Ledger) -> Any:
    @function_tool(name_override="book")
    def sends(size: int) -> str:
        """Book a table."""
        mails.add(f"a table for {size}")
        return "booked"

    return sends


def mailing(mails: Ledger, *, with_key: bool) -> Any:
    @effect_tool
    def book(effect: Effect, size: int) -> str:
        """Book a table."""
        insert(effect, size)
        key = f"{effect.turn_id}/{effect.call_id}" if with_key else None
        mails.add(f"a table for {size}", key=key)
        return "booked"

    return book


def test_an_effect_tool_survives_and_leaves_nothing_behind(parley: Workbench) -> None:
    report = parley.survives(booking(parley, book))

    assert len(report.points) > 10
    assert "inside the transaction of book" in report.points
    assert parley.database.rows("SELECT * FROM bookings") == []


class Unasked(Model):
    """A model that no test may ask, since it costs."""

    model = "dear"

    async def get_response(self, *asked: Any, **named: Any) -> ModelResponse:
        raise AssertionError

    def stream_response(self, *asked: Any, **named: Any) -> AsyncIterator[Any]:
        raise AssertionError


@pytest.mark.parametrize("mode", ["wait", "stream"])
def test_the_script_answers_in_the_place_of_a_model_that_the_agent_brings(
    parley: Workbench, mode: Mode
) -> None:
    agent = Agent[TurnContext](name="bookings", tools=[book], model=Unasked())

    result = parley.run(parley.turn(agent, "A table for four", model=MODEL, mode=mode))

    assert result.reply == "Booked.", result.error_detail
    assert [asked.model for asked in result.asked] == ["dear", "dear"]


@pytest.mark.usefixtures("killed_at_some")
@pytest.mark.parametrize("mode", ["wait", "stream", "background"])
def test_it_survives_in_every_mode_and_no_copy_builds_a_schema_anew(
    parley: Workbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: Mode
) -> None:
    own, built, rebuild = os.getpid(), tmp_path / "built", BaseModel.model_rebuild.__func__  # type: ignore[attr-defined]

    def noted(model: type[BaseModel], /, **given: Any) -> bool | None:
        if os.getpid() != own:
            with built.open("a") as file:
                file.write(f"{model.__name__}\n")
        done: bool | None = rebuild(model, **given)
        return done

    monkeypatch.setattr(BaseModel, "model_rebuild", classmethod(noted))

    parley.survives(booking(parley, book, mode=mode))

    assert not built.exists(), built.read_text()


def test_a_plain_tool_that_sends_mail_is_found_to_send_it_twice(parley: Workbench) -> None:
    mails = parley.ledger("mail")

    with pytest.raises(NotSurvived) as caught:
        parley.survives(booking(parley, plain(parley, mails)))

    told = str(caught.value)
    assert "The tool book ran 2 times." in told
    assert "before the tool book" not in told  # where it was only about to run
    assert "a table for 4" in told
    assert "after mail" in told
    assert "effect_tool" in told
    assert "idempotency key" in told
    assert mails.entries == []


@pytest.mark.usefixtures("killed_at_some")
def test_a_mail_out_of_an_effect_tool_needs_a_key(parley: Workbench) -> None:
    mails = parley.ledger("mail")

    with pytest.raises(NotSurvived, match="idempotency key"):
        parley.survives(booking(parley, mailing(mails, with_key=False)))

    parley.survives(booking(parley, mailing(mails, with_key=True)))


@pytest.mark.usefixtures("killed_at_some")
def test_a_plain_tool_that_does_no_harm_may_be_said_to(parley: Workbench) -> None:
    turn = booking(parley, plain(parley, Ledger("nobody looks", parley.ledger("x")._recording)))

    with pytest.raises(NotSurvived):
        parley.survives(turn)
    parley.survives(turn, may_repeat=["book"])


@pytest.mark.parametrize("mode", ["wait", "stream", "background"])
def test_a_turn_is_run_and_told_of(parley: Workbench, mode: str) -> None:
    result = parley.run(booking(parley, book, mode=mode))

    assert (result.status, result.reply) == ("completed", "Booked.")
    assert result.transcript == [("user", "A table for four"), ("assistant", "Booked.")]
    (call,) = result.tool_calls
    assert (call.name, call.arguments, call.output) == ("book", {"size": 4}, "booked")
    assert [asked.place for asked in result.asked] == ["0", "1"]
    assert result.asked[0].tools == ["book"]
    assert [row["size"] for row in parley.database.rows("SELECT size FROM bookings")] == [4]


@pytest.mark.usefixtures("killed_at_some")
def test_a_later_turn_of_the_session_survives(parley: Workbench) -> None:
    first = parley.run(booking(parley, book))

    parley.survives(booking(parley, book, session_id=first.session_id))

    assert len(parley.database.rows("SELECT * FROM bookings")) == 1


@pytest.mark.usefixtures("killed_at_some")
async def test_it_is_used_in_tests_with_a_loop_too(parley: Workbench) -> None:
    assert parley.run(booking(parley, book)).status == "completed"

    assert parley.survives(booking(parley, book)).findings == []


@pytest.mark.usefixtures("killed_at_some")
def test_a_turn_that_fails_without_a_kill_is_told_of(parley: Workbench) -> None:
    turn = parley.turn(Agent(name="bookings"), "Hello", model=[fails(ValueError("broken"))])

    with pytest.raises(NotSurvived, match="Without a kill it is failed"):
        parley.survives(turn)
    assert parley.survives(turn, status="failed").result.status == "failed"


def test_a_tool_that_may_repeat_must_be_called(parley: Workbench) -> None:
    with pytest.raises(ValueError, match="does not call bok"):
        parley.survives(booking(parley, book), may_repeat=["bok"])


def test_an_agent_that_cannot_be_built_is_the_test_s_error(parley: Workbench) -> None:
    def build() -> Agent[Any]:
        raise LookupError("no such thing")

    with pytest.raises(NotFound, match="nobody"):
        parley.run(parley.turn("nobody", "Hello", model=[]))
    with pytest.raises(LookupError):
        parley.survives(parley.turn(build, "Hello", model=[]))


@pytest.mark.usefixtures("killed_at_some")
def test_points_that_a_run_does_not_come_by_are_told(parley: Workbench, tmp_path: Path) -> None:
    post = parley.ledger("post")

    @function_tool(name_override="book")
    def sends(size: int) -> str:
        """Send a mail on the first run of all only."""
        if not (tmp_path / "ran").exists():
            (tmp_path / "ran").touch()
            post.add("once")
        return "booked"

    with pytest.raises(NotSurvived) as caught:
        parley.survives(booking(parley, sends), may_repeat=["book"])

    report = caught.value.report
    assert report.missed == ["before post", "after post"]
    assert "before post" not in report.points
    assert "once" in str(report)
    assert "is missing" in str(report)
