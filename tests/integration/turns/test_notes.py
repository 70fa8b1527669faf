"""What an administrator says in a session is the last thing said for its agent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parley.errors import StoreUnavailable
from parley.turns.notes import Noter
from parley_testing.models.scripted import in_order, say
from parley_testing.workbench import Workbench

NOTE = "Your parcel is on its way. Anna"


def down() -> None:
    raise StoreUnavailable("agent-session store", "down")


@pytest.mark.parametrize("memory", ["takes it", "is down"])
async def test_the_agent_goes_on_from_a_note(
    new_bench: Callable[..., Workbench], memory: str
) -> None:
    bench = new_bench(in_order(say("A person will look."), say("Good bye."), say("Yes.")))
    session_id = bench.new_session()
    await bench.send(session_id, "help")
    if memory == "is down":
        bench.watched.before["write_back"] = down
    Noter(bench.database, lambda: bench.store).leave("alice", session_id, "active", NOTE)
    bench.watched.before.clear()

    await bench.send(session_id, "thanks")
    await bench.send(session_id, "still there?")

    said = ["help", "A person will look.", NOTE, "thanks"]
    assert [item["content"] for item in bench.model.asked[1].input] == said
    later = [*said, "Good bye.", "still there?"]
    assert [item["content"] for item in bench.model.asked[2].input] == later


async def test_a_turn_that_runs_while_a_note_is_left_comes_before_it(
    new_bench: Callable[..., Workbench],
) -> None:
    bench = new_bench(in_order(say("A person will look."), say("Good bye.")))
    session_id = bench.new_session()
    turn = bench.begin(session_id, "help")
    Noter(bench.database, lambda: bench.store).leave("alice", session_id, "active", NOTE)

    await bench.execute(turn)
    await bench.send(session_id, "thanks")

    shown = [item["content"] for item in bench.model.asked[-1].input]
    assert shown == ["help", "A person will look.", NOTE, "thanks"]
