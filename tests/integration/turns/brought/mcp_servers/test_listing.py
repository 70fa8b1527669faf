"""Which tools a server has: asked for once, believed for a while, and never trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from agents import Agent
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp

from parley.errors import TurnFailed
from parley.turns.caps import ServerLimits
from parley.turns.context import TurnContext
from parley_testing.mcp_servers.process import McpProcess
from parley_testing.mcp_servers.stand_in import TOOL, Mcp, McpStandIn
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench

AgentOf = Callable[..., Agent[TurnContext]]
NewBench = Callable[..., Workbench]


def tools(*names: str, **fields: Any) -> Callable[[Any], None]:
    """Has a server list tools of these names."""
    return lambda mcp: mcp.result({"tools": [{**TOOL, "name": name, **fields} for name in names]})


REFERRING = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}


def says(bench: Workbench) -> None:
    bench.model.script = lambda _: say("ok")


async def test_it_is_asked_once_in_a_process(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    bench = new_bench(agent=agent_of(hostile.url))
    says(bench)

    for _ in range(3):
        await bench.send(bench.new_session())

    assert hostile.seen.count("tools/list") == 1
    assert hostile.seen.count("initialize") == 1


async def test_it_is_asked_again_when_it_was_believed_for_long_enough(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    bench = new_bench(agent=agent_of(hostile.url), servers=ServerLimits(listing_seconds=0))
    says(bench)
    await bench.send(bench.new_session())
    hostile.acts["tools/list"] = tools("new")

    await bench.send(bench.new_session())

    assert [asked.tools for asked in bench.model.asked] == [["look"], ["new"]]


async def test_it_is_asked_again_when_the_server_says_that_they_have_changed(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    def changed(mcp: Any) -> None:
        mcp.stream()
        mcp.event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        result = {"content": [{"type": "text", "text": "seen"}]}
        mcp.event({"jsonrpc": "2.0", "id": mcp.asked["id"], "result": result})

    bench = new_bench(in_order(call("look"), say("1")), agent=agent_of(hostile.url))
    hostile.acts["tools/call"] = changed
    hostile.acts["tools/list"] = tools("look")

    await bench.send(bench.new_session())

    assert hostile.seen.count("tools/list") == 2


async def test_what_it_had_is_offered_while_it_cannot_say(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    bench = new_bench(agent=agent_of(hostile.url), servers=ServerLimits(listing_seconds=0))
    says(bench)
    await bench.send(bench.new_session())
    hostile.acts["tools/list"] = lambda mcp: mcp.answer(b"", 500)

    await bench.send(bench.new_session())

    assert [asked.tools for asked in bench.model.asked] == [["look"], ["look"]]


async def test_a_server_that_never_could_say_fails_the_turn_and_not_the_next(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    bench = new_bench(agent=agent_of(hostile.url))
    says(bench)
    session_id = bench.new_session()
    hostile.acts["tools/list"] = lambda mcp: mcp.answer(b"", 500)

    with pytest.raises(TurnFailed, match="mcp_failed") as failed:
        await bench.send(session_id)
    del hostile.acts["tools/list"]
    await bench.send(session_id)

    assert failed.value.detail == "The MCP server tested answered with HTTP status 500."
    assert bench.model.asked[-1].tools == ["look"]


async def test_a_server_that_is_down_fails_the_turn_with_its_name_and_no_address(
    new_bench: NewBench, server: McpProcess
) -> None:
    given = MCPServerStreamableHttp({"url": f"{server.url}?key=secret"})
    bench = new_bench(agent=Agent(name="one", mcp_servers=[given]))
    server.kill()

    with pytest.raises(TurnFailed, match="mcp_failed") as failed:
        await bench.send(bench.new_session())

    assert "cannot be reached" in failed.value.detail
    assert "secret" not in failed.value.detail


async def test_a_program_that_is_not_there_fails_the_turn(new_bench: NewBench) -> None:
    given = MCPServerStdio({"command": "no-such-program"}, name="files")
    bench = new_bench(agent=Agent(name="one", mcp_servers=[given]))

    with pytest.raises(TurnFailed, match="mcp_failed") as failed:
        await bench.send(bench.new_session())

    said = "The MCP server files could not be started: No such file or directory."
    assert failed.value.detail == said


@pytest.mark.parametrize(
    ("act", "offered"),
    [
        (tools("look", "look"), ["look"]),
        (tools("look", "päth/../x", "", "y" * 65, "a b"), ["look"]),
        (tools("look", "transfer_to_other"), ["look"]),
        (tools("look", inputSchema={"type": "string"}), []),
        (tools("look", inputSchema={}), ["look"]),
        (
            tools(
                "look", inputSchema={"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}
            ),
            ["look"],
        ),
        (tools("look", description="\x00 odd \ud83d".encode("utf-8", "ignore").decode()), ["look"]),
    ],
    ids=["twice", "bad names", "of a handoff", "no object", "no schema", "$ref", "odd text"],
)
@pytest.mark.parametrize("strict", [False, True], ids=["as it is", "made strict"])
async def test_tools_that_no_model_takes_are_left_out(
    new_bench: NewBench,
    agent_of: AgentOf,
    hostile: McpStandIn,
    act: Callable[[Any], None],
    offered: list[str],
    strict: bool,
) -> None:
    hostile.acts["tools/list"] = act
    other = Agent[TurnContext](name="other")
    fields = {"handoffs": [other], "mcp_config": {"convert_schemas_to_strict": strict}}
    bench = new_bench(agent=agent_of(hostile.url, fields))
    says(bench)

    await bench.send(bench.new_session())

    assert bench.model.asked[0].tools == offered


async def test_what_is_left_out_is_logged_once(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn, log_lines: StringIO
) -> None:
    hostile.acts["tools/list"] = tools("look", "a b")
    bench = new_bench(agent=agent_of(hostile.url))
    says(bench)

    for _ in range(2):
        await bench.send(bench.new_session())

    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    (line,) = [line for line in lines if "is not offered" in line["message"]]
    assert (line["server"], line["tool"]) == ("tested", "a b")


async def test_names_are_made_where_the_agent_asks_for_it(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    called: list[str] = []

    def keep(mcp: Mcp) -> None:
        called.append(mcp.asked["params"]["name"])
        mcp.result({"content": []})

    hostile.acts["tools/list"] = tools("a b")
    hostile.acts["tools/call"] = keep
    fields = {"mcp_config": {"include_server_in_tool_names": True}}
    bench = new_bench(
        in_order(call("mcp_tested__a_b"), say("ok")), agent=agent_of(hostile.url, fields)
    )

    await bench.send(bench.new_session())

    assert bench.model.asked[0].tools == ["mcp_tested__a_b"]
    assert called == ["a b"]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (tools(*(f"t{number}" for number in range(1000))), "has 1000 tools, and a model takes 128"),
        (tools("look", description="x" * 600_000), "describes its tools in 6"),
    ],
    ids=["1,000 tools", "long"],
)
async def test_too_much_fails_the_turn_and_a_filter_chooses(
    new_bench: NewBench,
    agent_of: AgentOf,
    hostile: McpStandIn,
    act: Callable[[Any], None],
    words: str,
) -> None:
    hostile.acts["tools/list"] = act
    bench = new_bench(agent=agent_of(hostile.url))
    says(bench)

    with pytest.raises(TurnFailed, match="mcp_failed") as failed:
        await bench.send(bench.new_session())
    bench.agent = agent_of(hostile.url, tool_filter={"allowed_tool_names": ["t7"]})
    await bench.send(bench.new_session())

    assert words in failed.value.detail


async def test_a_list_that_never_ends_is_stopped(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    pages = iter(range(10_000))
    hostile.acts["tools/list"] = lambda mcp: mcp.result(
        {"tools": [], "nextCursor": f"{next(pages)}"}
    )
    bench = new_bench(agent=agent_of(hostile.url))

    with pytest.raises(TurnFailed, match="mcp_failed"):
        await bench.send(bench.new_session())

    assert hostile.seen.count("tools/list") == 100


async def test_two_servers_with_one_name_fail_the_turn(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    agent = agent_of(hostile.url)
    agent.mcp_servers += agent_of(hostile.url).mcp_servers
    bench = new_bench(agent=agent)

    with pytest.raises(TurnFailed, match="mcp_failed") as failed:
        await bench.send(bench.new_session())

    assert "include_server_in_tool_names" in failed.value.detail
