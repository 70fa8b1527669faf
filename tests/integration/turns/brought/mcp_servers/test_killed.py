"""A server that dies in the middle of a call or between two, and a process that was frozen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from agents import Agent
from mcp import ClientSession

from parley.runner.mcp_servers import connection
from parley.turns.context import TurnContext
from parley_testing.mcp_servers.process import McpProcess, calls_in
from parley_testing.models.scripted import call, in_order, say
from parley_testing.waiting import until
from parley_testing.workbench import Workbench

AgentOf = Callable[..., Agent[TurnContext]]
NewBench = Callable[..., Workbench]


def output_of(bench: Workbench) -> str:
    return str([item["output"] for item in bench.model.asked[-1].input if "output" in item][-1])


@pytest.mark.parametrize("logged", [False, True], ids=["waited for", "followed"])
async def test_a_server_killed_in_the_middle_of_a_call_is_an_error_that_is_told(
    new_bench: NewBench, agent_of: AgentOf, server: McpProcess, logged: bool
) -> None:
    bench = new_bench(
        in_order(call("wait", text="long"), say("It broke off.")), agent=agent_of(server.url)
    )
    turn = bench.begin(bench.new_session())

    running = asyncio.create_task(bench.execute(turn, logged=logged))
    await until(lambda: "wait long" in server.calls)
    server.kill()
    view = await running

    assert view.reply.content == "It broke off."
    assert "it may have done what it was asked" in output_of(bench)
    assert server.calls == ["wait long"]


async def test_a_server_that_was_started_again_meanwhile_is_connected_again(
    new_bench: NewBench, agent_of: AgentOf, server: McpProcess
) -> None:
    script = in_order(
        call("note", text="one"), say("1"), call("note", "call_2", text="two"), say("2")
    )
    bench = new_bench(script, agent=agent_of(server.url))
    session_id = bench.new_session()
    await bench.send(session_id)
    server.kill()
    server.start()

    await bench.send(session_id)

    assert "Noted: two" in output_of(bench)
    assert server.calls == ["note one", "note two"]


@pytest.fixture
def pipe_ended(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the client has read to the end of a pipe, in the loop of the connections."""
    ended = threading.Event()
    read = ClientSession._receive_loop

    async def noted(self: ClientSession) -> None:
        await read(self)
        ended.set()

    monkeypatch.setattr(ClientSession, "_receive_loop", noted)
    return ended


async def test_a_process_over_pipes_that_died_is_started_again(
    new_bench: NewBench,
    stdio_agent: Agent[TurnContext],
    folder: Path,
    pipe_ended: threading.Event,
) -> None:
    script = in_order(
        call("note", text="one"), say("1"), call("note", "call_2", text="two"), say("2")
    )
    bench = new_bench(script, agent=stdio_agent)
    session_id = bench.new_session()
    await bench.send(session_id)
    psutil.Process(int((folder / "pid").read_text())).kill()
    # A call that is written before it is known may have arrived, and so is not made again.
    await until(pipe_ended.is_set)

    await bench.send(session_id)

    assert "Noted: two" in output_of(bench)
    assert calls_in(folder) == ["note one", "note two"]


async def test_a_process_over_pipes_killed_in_the_middle_of_a_call_is_told_of(
    new_bench: NewBench, stdio_agent: Agent[TurnContext], folder: Path
) -> None:
    bench = new_bench(in_order(call("wait", text="long"), say("It died.")), agent=stdio_agent)
    turn = bench.begin(bench.new_session())

    running = asyncio.create_task(bench.execute(turn))
    await until(lambda: calls_in(folder) == ["wait long"])
    psutil.Process(int((folder / "pid").read_text())).kill()
    view = await running

    assert view.reply.content == "It died."
    assert "broke off" in output_of(bench)
    assert calls_in(folder) == ["wait long"]


async def test_a_connection_of_before_a_freeze_is_not_used(
    new_bench: NewBench, agent_of: AgentOf, server: McpProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    own = connection.Connection.open

    async def counted(self: connection.Connection, seconds: float) -> None:
        opened.append(self)
        await own(self, seconds)

    monkeypatch.setattr(connection.Connection, "open", counted)
    script = in_order(
        *(answer for n in range(3) for answer in (call("note", f"c{n}", text="x"), say("ok")))
    )
    bench = new_bench(script, agent=agent_of(server.url))
    session_id = bench.new_session()
    await bench.send(session_id)
    await bench.send(session_id)
    before = len(opened)

    monkeypatch.setattr(connection, "_IDLE_SECONDS", 0)
    await bench.send(session_id)

    assert (before, len(opened)) == (1, 2)
    assert server.calls == ["note x"] * 3


async def test_a_call_is_let_go_of_when_its_turn_is_cancelled(
    new_bench: NewBench, agent_of: AgentOf, server: McpProcess
) -> None:
    bench = new_bench(in_order(call("wait", text="long")), agent=agent_of(server.url))
    turn = bench.begin(bench.new_session())
    of_other_tests = _connections(server)
    running = asyncio.create_task(bench.execute(turn))
    await until(lambda: "wait long" in server.calls)
    assert _connections(server) - of_other_tests

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await until(lambda: not _connections(server) - of_other_tests)


def _connections(server: McpProcess) -> set[int]:
    """The ports of the connections that this process has to the server."""
    port = int(server.url.split(":")[2].split("/")[0])
    return {
        each.laddr.port
        for each in psutil.Process().net_connections("tcp")
        if each.raddr and each.raddr.port == port and each.status == psutil.CONN_ESTABLISHED
    }
