"""Tools of a real MCP server, called in turns: waited for, followed, and carried on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents import Agent, function_tool

from parley.turns.caps import Caps
from parley.turns.context import TurnContext
from parley.turns.decide import Decider
from parley_testing.mcp_servers.process import McpProcess, calls_in
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench, request

AgentOf = Callable[..., Agent[TurnContext]]
NewBench = Callable[..., Workbench]


async def test_a_call_is_recorded_told_and_not_repeated(
    carry: Any, agent_of: AgentOf, server: McpProcess
) -> None:
    script = in_order(call("note", text="milk") + call("weather", "c2", city="Oslo"), say("Done."))

    carried = await carry(agent_of(server.url), script)

    assert carried.reply == "Done."
    assert {"note", "wait", "picture"} <= set(carried.bench.model.asked[0].tools)
    outputs = carried.outputs()
    assert outputs["call_1"] == [{"type": "input_text", "text": "Noted: milk"}]
    assert "21.5" in str(outputs["c2"])
    assert sorted(server.calls) == ["note milk", "weather Oslo"]
    if carried.followed:
        assert {told["name"] for told in carried.told("tool.returned")} == {"note", "weather"}


async def test_what_a_tool_refuses_is_told_and_shown_as_an_error(
    carry: Any, agent_of: AgentOf, server: McpProcess
) -> None:
    carried = await carry(
        agent_of(server.url), in_order(call("fail", text="milk"), say("It did not work."))
    )

    assert "no milk here" in str(carried.outputs()["call_1"])
    assert server.calls == ["fail milk"]
    (step,) = [
        step
        for step in carried.bench.transcript.steps("alice", carried.view.turn.id)
        if step.kind == "tool"
    ]
    assert (step.name, step.error) == ("fail", "McpToolError")
    assert step.milliseconds is not None


async def test_pictures_are_told_and_large_texts_cut(
    carry: Any, agent_of: AgentOf, server: McpProcess
) -> None:
    carried = await carry(
        agent_of(server.url),
        in_order(call("picture") + call("large", "c2", size=5000), say("Seen.")),
        caps=Caps(output_bytes=1000),
    )

    ((picture,), (text,)) = carried.outputs().values()
    assert picture["image_url"].startswith("data:image/png;base64,")
    assert "1000 of 5000 bytes" in text["text"]


async def test_arguments_that_a_tool_does_not_take_are_told(
    carry: Any, agent_of: AgentOf, server: McpProcess
) -> None:
    carried = await carry(agent_of(server.url), in_order(call("note", nothing=1), say("Oh.")))

    assert "text" in str(carried.outputs()["call_1"])
    assert carried.reply == "Oh."
    assert server.calls == []


async def test_a_server_that_asks_the_client_is_refused(
    carry: Any, agent_of: AgentOf, server: McpProcess
) -> None:
    carried = await carry(agent_of(server.url), in_order(call("sample"), say("Done.")))

    assert "refused" in str(carried.outputs()["call_1"])


async def test_a_server_over_pipes_is_started_once(
    new_bench: NewBench, stdio_agent: Agent[TurnContext], folder: Path
) -> None:
    script = in_order(
        call("note", text="milk"), say("One."), call("variable", name="SEEN"), say("Two.")
    )
    bench = new_bench(script, agent=stdio_agent)
    session_id = bench.new_session()

    await bench.send(session_id)
    pid = (folder / "pid").read_text()
    await bench.send(session_id)

    assert calls_in(folder) == ["note milk"]
    assert "yes" in str(bench.model.asked[-1].input[-1])
    assert (folder / "pid").read_text() == pid


async def test_a_tool_that_needs_approval_is_called_once_it_is_approved(
    new_bench: NewBench, agent_of: AgentOf, server: McpProcess
) -> None:
    agent = agent_of(server.url, require_approval={"note": "always"})
    bench = new_bench(in_order(call("note", text="milk"), say("Done.")), agent=agent)
    session_id = bench.new_session()

    waiting = await bench.sender.send(request(session_id), seconds=60)
    (asked,) = waiting.view.approvals
    assert server.calls == []
    await Decider(bench.database).decide(asked.id, "approved", by="alice", may=())
    assert await bench.session_worker.run_next(session_id, seconds=60)

    assert server.calls == ["note milk"]


async def test_a_filter_is_asked_in_each_turn(
    new_bench: NewBench, agent_of: AgentOf, server: McpProcess
) -> None:
    async def only_of_user(context: Any, tool: Any) -> bool:
        user: str = context.run_context.context.user_id
        return user == "bob" or tool.name == "read"

    agent = agent_of(server.url, tool_filter=only_of_user)
    bench = new_bench(in_order(say("One."), say("Two.")), agent=agent)

    await bench.send(bench.new_session("alice"), user="alice")
    await bench.send(bench.new_session("bob"), user="bob")

    assert bench.model.asked[0].tools == ["read"]
    assert "note" in bench.model.asked[1].tools


async def test_an_agents_own_tool_goes_before_one_of_its_name(
    new_bench: NewBench, agent_of: AgentOf, server: McpProcess
) -> None:
    @function_tool
    def note(text: str) -> str:
        """Note something down."""
        return "mine"

    agent = agent_of(server.url, {"tools": [note]})
    bench = new_bench(in_order(call("note", text="milk"), say("Done.")), agent=agent)

    await bench.send(bench.new_session())

    assert bench.model.asked[0].tools.count("note") == 1
    assert server.calls == []
    assert "mine" in str(bench.model.asked[1].input[-1])
