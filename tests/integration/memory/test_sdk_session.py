"""Parley's memory as a session of the Agents SDK, on both stores."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import agents
import pytest
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

from parley.errors import StoreUnavailable
from parley.memory.sdk_session import ParleySession
from parley.memory.store import AgentSessionStore, TurnMemory
from parley_testing.stores.turn_keys import numbered
from parley_testing.waiting import HANG_SECONDS

UNTRACED = agents.RunConfig(tracing_disabled=True)


@pytest.fixture
def session(store: AgentSessionStore) -> ParleySession:
    return ParleySession("notes", store)


def message(text: str) -> Any:
    return {"role": "user", "content": text}


async def contents(session: ParleySession, limit: int | None = None) -> list[Any]:
    items: list[Any] = await session.get_items(limit)
    return [item["content"] for item in items]


def test_it_is_a_session_of_the_sdk(session: ParleySession) -> None:
    assert isinstance(session, agents.Session)


def test_importing_it_does_not_import_the_sdk() -> None:
    code = "import parley.memory.sdk_session, sys; sys.exit('agents' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


async def test_making_one_creates_nothing(store: AgentSessionStore, session: ParleySession) -> None:
    assert await session.get_items() == []
    assert await session.pop_item() is None
    await session.add_items([])
    assert store.forget("sdk_notes").turns == 0


async def test_items_come_back_oldest_first(session: ParleySession) -> None:
    await session.add_items([message("a"), message("b")])
    await session.add_items([message("ç 🦜")])

    assert await session.get_items() == [message("a"), message("b"), message("ç 🦜")]


@pytest.mark.parametrize(
    ("limit", "found"),
    [(None, "abcdef"), (0, ""), (-1, ""), (1, "f"), (3, "def"), (4, "cdef"), (99, "abcdef")],
)
async def test_a_limit_means_the_newest_items(
    session: ParleySession, limit: int | None, found: str
) -> None:
    for batch in ("ab", "c", "def"):
        await session.add_items([message(letter) for letter in batch])

    assert "".join(await contents(session, limit)) == found


async def test_a_limit_counts_items_that_can_be_read(
    store: AgentSessionStore, session: ParleySession, damage: Any
) -> None:
    for letter in "abcde":
        await session.add_items([message(letter)])
    store.append("sdk_notes", TurnMemory([]))
    damage.payload("sdk_notes", 4, b"damaged")
    damage.payload("sdk_notes", 5, b"damaged")

    assert await contents(session, 2) == ["b", "c"]
    assert await contents(session) == ["a", "b", "c"]


async def test_the_settings_limit_holds_where_none_is_given(store: AgentSessionStore) -> None:
    session = ParleySession("notes", store, agents.SessionSettings(limit=2))
    await session.add_items([message(letter) for letter in "abc"])

    assert await contents(session) == ["b", "c"]
    assert await contents(session, 1) == ["c"]


async def test_items_are_popped_newest_first(session: ParleySession) -> None:
    await session.add_items([message("a"), message("b")])

    assert await session.pop_item() == message("b")
    assert await session.pop_item() == message("a")
    assert await session.pop_item() is None


async def test_clearing_removes_this_session_only(store: AgentSessionStore) -> None:
    session, other = ParleySession("notes", store), ParleySession("notes2", store)
    await session.add_items([message("a")])
    await other.add_items([message("b")])

    await session.clear_session()

    assert await session.get_items() == []
    assert await contents(other) == ["b"]


async def test_it_never_meets_the_conversation_of_a_turn(store: AgentSessionStore) -> None:
    store.finish("user_ada_conv_1", numbered(1), 1, TurnMemory([message("theirs")]))
    session = ParleySession("user_ada_conv_1", store)

    await session.add_items([message("mine")])
    await session.clear_session()

    assert await session.get_items() == []
    assert store.statistics("user_ada_conv_1").turns == 1


async def test_text_is_made_storable(session: ParleySession) -> None:
    await session.add_items([message("a\0b\ud800c")])

    assert await contents(session) == ["ab\N{REPLACEMENT CHARACTER}c"]


@pytest.mark.parametrize("bad", ["text", {"role": object()}])
async def test_a_batch_with_a_bad_item_is_refused_whole(session: ParleySession, bad: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        await session.add_items([message("a"), bad])

    assert await session.get_items() == []


async def test_adders_at_once_keep_their_batches_together(store: AgentSessionStore) -> None:
    sessions = [ParleySession("notes", store) for _ in range(2)]

    async def add(n: int, session: ParleySession) -> None:
        for batch in range(8):
            await session.add_items([message(f"{n}.{batch}.{half}") for half in "ab"])

    await asyncio.gather(*(add(n, session) for n, session in enumerate(sessions)))

    found = await contents(sessions[0])
    assert len(found) == 32
    for first, second in zip(found[::2], found[1::2], strict=True):
        assert (first[-1], second[-1], first[:-1]) == ("a", "b", second[:-1])
    for n in "01":
        own = [int(text.split(".")[1]) for text in found[::2] if text[0] == n]
        assert own == list(range(8))


class Slow:
    """A store whose appends wait to be let go."""

    def __init__(self, store: AgentSessionStore) -> None:
        self._store = store
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def append(self, conversation: str, memory: TurnMemory) -> int:
        self.begun.set()
        assert self.may_end.wait(HANG_SECONDS)
        return self._store.append(conversation, memory)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_an_add_that_has_begun_is_finished_though_cancelled(store: AgentSessionStore) -> None:
    slow: Any = Slow(store)
    session = ParleySession("notes", slow)
    adding = asyncio.create_task(session.add_items([message("a")]))
    await asyncio.to_thread(slow.begun.wait, HANG_SECONDS)

    adding.cancel()
    await asyncio.sleep(0)
    adding.cancel()
    await asyncio.sleep(0)
    assert not adding.done()
    slow.may_end.set()

    with pytest.raises(asyncio.CancelledError):
        await adding
    assert await contents(session) == ["a"]


async def test_an_add_is_not_changed_by_what_its_caller_does_next(store: AgentSessionStore) -> None:
    slow: Any = Slow(store)
    session, item = ParleySession("notes", slow), {"role": "user", "content": ["a"]}
    adding = asyncio.create_task(session.add_items([item]))  # type: ignore[list-item]
    await asyncio.to_thread(slow.begun.wait, HANG_SECONDS)

    item["content"].append("b")  # type: ignore[attr-defined]
    slow.may_end.set()
    await adding

    assert await contents(session) == [["a"]]


async def test_an_outage_reaches_the_caller(dynamodb_store: Any, wire: Any) -> None:
    session = ParleySession("notes", dynamodb_store)
    wire.disconnect()

    with pytest.raises(StoreUnavailable):
        await session.get_items()
    with pytest.raises(StoreUnavailable):
        await session.add_items([message("a")])


async def test_a_runner_remembers_between_runs(session: ParleySession) -> None:
    @agents.function_tool
    def add_task(title: str) -> str:
        return f"added {title}"

    model = ScriptedModel(
        [
            ModelStep(output=[function_call("add_task", {"title": "milk"}, call_id="call_1")]),
            ModelStep(output=[assistant_message("Milk is on the list.")]),
            ModelStep(output=[assistant_message("You have milk.")]),
        ]
    )
    agent = agents.Agent(name="todo", model=model, tools=[add_task])

    first = await agents.Runner.run(agent, "add milk", session=session, run_config=UNTRACED)
    second = await agents.Runner.run(agent, "what do I have", session=session, run_config=UNTRACED)

    assert (first.final_output, second.final_output) == ("Milk is on the list.", "You have milk.")
    remembered: list[Any] = await session.get_items()
    assert [item.get("type") or item["role"] for item in remembered] == [
        "user",
        "function_call",
        "function_call_output",
        "message",
        "user",
        "message",
    ]
    assert remembered[1]["call_id"] == remembered[2]["call_id"] == "call_1"
    assert remembered[2]["output"] == "added milk"
    assert model.last_call is not None
    assert [item.get("type") or item["role"] for item in model.last_call.input] == [
        "user",
        "function_call",
        "function_call_output",
        "message",
        "user",
    ]


async def test_a_streamed_run_is_remembered(session: ParleySession) -> None:
    model = ScriptedModel([ModelStep(output=[assistant_message("hi")])])
    run = agents.Runner.run_streamed(
        agents.Agent(name="assistant", model=model), "hello", session=session, run_config=UNTRACED
    )
    async for _ in run.stream_events():
        pass

    items: list[Any] = await session.get_items()
    assert items[0] == {"role": "user", "content": "hello"}
    assert items[1]["content"][0]["text"] == "hi"
