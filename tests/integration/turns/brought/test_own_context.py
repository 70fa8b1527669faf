"""An agent's own context lives for the turn, in whichever attempt."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any

import pytest
from agents import Agent, RunContextWrapper, function_tool, handoff
from pydantic import BaseModel

from parley.errors import TurnFailed
from parley.runner.tools import effect_tool
from parley.turns.context import Effect, TurnContext
from parley.turns.own_context import OwnContext
from parley_testing.models.scripted import call, in_order, say


class Airline(BaseModel):
    """The context of the SDK's customer service example."""

    user_id: str
    seat: str | None = None
    flight: str | None = None
    asked: list[str] = []


@dataclass
class AirlineData:
    """The same as a dataclass, with something that only this process has."""

    user_id: str
    seat: str | None = None
    flight: str | None = None
    asked: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=Lock)


@effect_tool
def update_seat(effect: Effect, seat: str) -> str:
    """Update the seat."""
    effect.context.seat = seat
    return f"{effect.context.user_id} sits in {seat}"


@function_tool
async def ask(context: RunContextWrapper[Any], question: str) -> str:
    """Ask."""
    context.context.asked.append(question)
    return "asked"


async def on_handoff(context: RunContextWrapper[Any]) -> None:
    context.context.flight = f"FLT-{random.randint(1, 10**12)}"


def airline(seen: list[Any]) -> Agent[Any]:
    def instructions(context: RunContextWrapper[Any], agent: Agent[Any]) -> str:
        own = context.context
        seen.append((own.seat, own.flight, list(own.asked)))
        return f"Flight {own.flight}."

    seats = Agent[Any](name="seats", instructions=instructions, tools=[update_seat, ask])
    return Agent(name="triage", handoffs=[handoff(seats, on_handoff=on_handoff)])


@pytest.mark.parametrize("kind", [Airline, AirlineData], ids=["model", "dataclass"])
async def test_what_is_changed_in_a_context_holds_for_the_turn(carry: Any, kind: Any) -> None:
    seen: list[Any] = []
    made: list[Any] = []

    def context(turn: TurnContext) -> Any:
        made.append(kind(user_id=turn.user_id))
        return made[-1]

    script = in_order(
        call("transfer_to_seats", "c0"),
        call("update_seat", "c1", seat="12A") + call("ask", "c2", question="why?"),
        call("ask", "c3", question="when?"),
        say("Done."),
    )

    carried = await carry(airline(seen), script, context=context)

    assert carried.reply == "Done."
    assert carried.outputs()["c1"] == "alice sits in 12A"
    assert len(made) == carried.view.turn.attempt
    flights = {flight for _, flight, _ in seen[:1]}
    # The last time, in the last attempt, it is as the first had left it: random numbers too.
    assert seen[-1] == ("12A", *flights, ["why?", "when?"])
    assert (made[-1].seat, made[-1].asked) == ("12A", ["why?", "when?"])


async def test_each_turn_has_a_context_of_its_own(new_bench: Any) -> None:
    seen: list[Any] = []
    bench = new_bench(agent=airline(seen), context=lambda turn: Airline(user_id=turn.user_id))
    session_id = bench.new_session()
    for _ in range(2):
        bench.model.script = in_order(
            call("transfer_to_seats", "c0"), call("update_seat", "c1", seat="12A"), say("Done.")
        )
        await bench.send(session_id)

    assert [seat for seat, _, _ in seen] == [None, "12A"] * 2


async def test_without_one_the_context_is_the_turn_s(new_bench: Any) -> None:
    @effect_tool
    def whoami(effect: Effect) -> str:
        """Tell who asks."""
        return str(effect.context.user_id)

    bench = new_bench(
        in_order(call("whoami"), say("ok")), agent=Agent[Any](name="one", tools=[whoami])
    )

    await bench.send(bench.new_session())

    assert bench.model.asked[-1].input[-1]["output"] == "alice"


async def _late(turn: TurnContext) -> None: ...


@pytest.mark.parametrize(
    ("make", "code"),
    [(_late, "agent_not_supported"), (lambda turn: 1 / 0, "agent_failed")],
    ids=["async", "fails"],
)
async def test_a_context_that_cannot_be_made_fails_the_turn(
    new_bench: Any, make: Any, code: str
) -> None:
    bench = new_bench(in_order(say("ok")), agent=Agent[Any](name="one"), context=make)

    with pytest.raises(TurnFailed, match=code):
        await bench.send(bench.new_session())

    assert bench.model.asked == []


class Rich(BaseModel):
    """Fields of several types."""

    at: datetime
    days: dict[str, date] = {}
    inner: Airline | None = None


def test_fields_are_put_back_in_their_types() -> None:
    before = Rich(at=datetime(2026, 1, 1, tzinfo=UTC))
    own = OwnContext(before)
    state = own.state()
    before.days = {"a": date(2026, 1, 2)}
    before.inner = Airline(user_id="alice")
    after = Rich(at=datetime(2026, 1, 1, tzinfo=UTC))

    changed = own.changed_since(state)
    OwnContext(after).put_back(changed)

    assert changed.keys() == {"days", "inner"}
    assert after == before


@pytest.mark.parametrize("value", [None, {"a": 1}, object(), "text"])
def test_nothing_is_kept_of_another_class(value: Any) -> None:
    assert OwnContext(value).state() == {}
