"""What libraries build at first use is built before a process is copied many times."""

from __future__ import annotations

from pathlib import Path

from agents import Agent, function_tool
from sqlalchemy import text

from parley.ids import new_id
from parley.runner.tools import effect_tool
from parley.testing.parts import Sending, parts_of
from parley.testing.postgres import Databases
from parley.testing.recording import Recording
from parley.testing.script import Script, calls, says
from parley.testing.turn import Mode, Turn
from parley.turns.context import Effect, TurnContext


@effect_tool
def _change(effect: Effect) -> str:
    effect.db.execute(text("SELECT 1"))
    return "changed"


@function_tool
def _look(number: int) -> str:
    return str(number)


def warm_up(databases: Databases, folder: Path, mode: Mode) -> None:
    """Carry out a turn of Parley's own, once for a pytest session and mode.

    Most of a process's first turn is spent on imports and on Pydantic's schemas; a copy of a
    process that has carried out one is spared them. Nothing of the test's takes part in it.

    Args:
        databases: Gives a database for it.
        folder: Where its memory goes, for a moment.
        mode: How its message is sent.
    """
    # Whoever carries a turn on streams what the model says, however it was sent.
    modes: tuple[Mode, Mode] = ("stream", mode)
    for each in modes:
        if each not in databases.warm:
            _carry_out_one(databases, folder, each)
            databases.warm.add(each)


def _carry_out_one(databases: Databases, folder: Path, mode: Mode) -> None:
    model: Script = [[calls("_change"), calls("_look", number=1)], says("Warm.")]
    agent = Agent[TurnContext](name="warm-up", tools=[_change, _look])
    url = databases.copy()
    try:
        turn = Turn(agent, "Warm up", model, mode=mode)
        with parts_of(url, folder / f"warm-{mode}.db", turn, Recording(folder / "warm")) as parts:
            sending = Sending(parts.new_session(), new_id(), new_id())
            parts.carry_out(sending)
            parts.result(sending)
    finally:
        databases.drop(url)
