"""Servers that mean harm, or are broken: the model is told, in time, and nobody else is harmed."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable

import pytest
from agents import Agent

from parley.errors import TurnFailed
from parley.turns.caps import ServerLimits
from parley.turns.context import TurnContext
from parley_testing.mcp_servers.stand_in import Mcp, McpStandIn
from parley_testing.models.scripted import call, in_order, say
from parley_testing.run.at_length import some
from parley_testing.waiting import HANG_SECONDS, until
from parley_testing.workbench import Workbench

AgentOf = Callable[..., Agent[TurnContext]]
NewBench = Callable[..., Workbench]

IMPATIENT = ServerLimits(seconds=1)
PATIENT = ServerLimits(seconds=HANG_SECONDS)


def never(mcp: Mcp) -> None:
    mcp.over.wait()
    mcp.close_connection = True


def byte_by_byte(mcp: Mcp) -> None:
    mcp.stream()
    while not mcp.over.wait(0.01):
        mcp.wfile.write(b":")
        mcp.wfile.flush()


def progress_for_ever(mcp: Mcp) -> None:
    mcp.stream()
    told = {"progressToken": 1, "progress": 1}
    while not mcp.over.wait(0.001):
        mcp.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": told})


def asking_for_ever(mcp: Mcp) -> None:
    mcp.stream()
    number = 0
    while not mcp.over.wait(0.001):
        number += 1
        mcp.event({"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": {}})


def huge(mcp: Mcp) -> None:
    mcp.result({"content": [{"type": "text", "text": "x" * 11_000_000}]})


def huge_stream(mcp: Mcp) -> None:
    mcp.stream()
    result = {"content": [{"type": "text", "text": "x" * 11_000_000}]}
    mcp.event({"jsonrpc": "2.0", "id": mcp.asked["id"], "result": result})


def compressed(mcp: Mcp) -> None:
    body = gzip.compress(b" " * 50_000_000)
    mcp.send_response(200)
    mcp.send_header("Content-Type", "application/json")
    mcp.send_header("Content-Encoding", "gzip")
    mcp.send_header("Content-Length", str(len(body)))
    mcp.end_headers()
    mcp.wfile.write(body)


def cut_short(mcp: Mcp) -> None:
    mcp.send_response(200)
    mcp.send_header("Content-Type", "application/json")
    mcp.send_header("Content-Length", "100")
    mcp.end_headers()
    mcp.wfile.write(b'{"jsonrpc"')
    mcp.close_connection = True


def ended_stream(mcp: Mcp) -> None:
    mcp.stream()


def endless_streams(mcp: Mcp) -> None:
    mcp.stream()
    mcp.wfile.write(b"id: 1\nretry: 0\ndata:\n\n")


def no_answer(mcp: Mcp) -> None:
    mcp.close_connection = True


def redirected(mcp: Mcp) -> None:
    mcp.send_response(307)
    mcp.send_header("Location", "http://127.0.0.1:9/mcp")
    mcp.send_header("Content-Length", "0")
    mcp.end_headers()


def plain(status: int, body: bytes, kind: str = "application/json") -> Callable[[Mcp], None]:
    return lambda mcp: mcp.answer(body, status, kind)


def refused(mcp: Mcp) -> None:
    mcp.said({"error": {"code": -32602, "message": "no such place"}})


def closed_code(mcp: Mcp) -> None:
    mcp.said({"error": {"code": -32000, "message": "odd"}})


LATE = "did not answer in time"
BROKEN = "broke off"
LARGE = "too large"
HARM = {
    "never": (never, LATE),
    "byte by byte": (byte_by_byte, LATE),
    "progress for ever": (progress_for_ever, LATE),
    "asking for ever": (asking_for_ever, LATE),
    "huge": (huge, LARGE),
    "huge stream": (huge_stream, LARGE),
    "compressed": (compressed, LARGE),
    "cut short": (cut_short, BROKEN),
    "ended stream": (ended_stream, LATE),
    "endless streams": (endless_streams, LATE),
    "no answer": (no_answer, BROKEN),
    "redirected": (redirected, "HTTP status 307"),
    "401": (plain(401, b""), "HTTP status 401"),
    "404": (plain(404, b""), "does not know the session"),
    "429": (plain(429, b""), "HTTP status 429"),
    "500": (plain(500, b"oops"), "HTTP status 500"),
    "no JSON": (plain(200, b"<html>"), "cannot be used"),
    "another type": (plain(200, b"hi", "text/plain"), "cannot be used"),
    "refused": (refused, "no such place"),
    "a code of ours": (closed_code, BROKEN),
    "no result": (lambda mcp: mcp.said({"result": {"content": 7}}), None),
    "another id": (lambda mcp: mcp.said({"id": 99, "result": {"content": []}}), "cannot be used"),
}


@pytest.mark.parametrize(("act", "words"), HARM.values(), ids=HARM)
async def test_a_call_ends_and_the_next_is_made(
    new_bench: NewBench,
    agent_of: AgentOf,
    hostile: McpStandIn,
    act: Callable[[Mcp], None],
    words: str | None,
) -> None:
    agent = agent_of(hostile.url)
    limits = IMPATIENT if words == LATE else PATIENT
    bench = new_bench(in_order(call("look"), say("Hm.")), agent=agent, servers=limits)
    after = new_bench(in_order(call("look"), say("Ah.")), agent=agent, servers=PATIENT)
    await _know(agent, new_bench)
    hostile.acts["tools/call"] = act

    await bench.send(bench.new_session())
    told = str(bench.model.asked[1].input[-1]["output"])
    del hostile.acts["tools/call"]
    await after.send(after.new_session())

    assert words is None or words in told
    assert "seen" in str(after.model.asked[1].input[-1]["output"])
    assert hostile.seen.count("tools/call") == (3 if act is HARM["404"][0] else 2)


FROM_THE_START = ["never", "huge", "cut short", "401", "no JSON", "redirected"]


async def _know(agent: Agent[TurnContext], new_bench: NewBench) -> None:
    """Have the agent's server connected, with no hurry."""
    bench = new_bench(in_order(say("Hello.")), agent=agent, servers=PATIENT)
    await bench.send(bench.new_session())


@pytest.mark.parametrize(
    ("method", "name"),
    some(
        [
            *(("initialize", name) for name in FROM_THE_START),
            *(("tools/list", name) for name in FROM_THE_START[1:]),
            ("tools/list", FROM_THE_START[0]),
        ],
        one_in=2,
    ),
)
async def test_what_is_wrong_from_the_start_fails_the_turn(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn, method: str, name: str
) -> None:
    agent = agent_of(hostile.url)
    act, words = HARM[name]
    limits = IMPATIENT if words == LATE else PATIENT
    bench = new_bench(in_order(), agent=agent, servers=limits)
    hostile.acts[method] = act

    with pytest.raises(TurnFailed, match="mcp_failed") as failed:
        await bench.send(bench.new_session())
    hostile.acts.clear()
    await _know(agent, new_bench)

    assert words is not None
    assert words in failed.value.detail


async def test_a_call_that_hangs_holds_up_no_other(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    """The second turn is over while the first still waits for the same server."""
    agent = agent_of(hostile.url)
    first = new_bench(in_order(call("look", place="far"), say("1")), agent=agent, servers=PATIENT)
    second = new_bench(in_order(call("look"), say("2")), agent=agent, servers=PATIENT)

    def far(mcp: Mcp) -> None:
        if "place" in mcp.asked["params"]["arguments"]:
            mcp.over.wait()
        mcp.result({"content": [{"type": "text", "text": "seen"}]})

    hostile.acts["tools/call"] = far
    waiting = asyncio.create_task(first.send(first.new_session()))
    await until(lambda: "tools/call" in hostile.seen)

    await second.send(second.new_session())

    assert not waiting.done()
    hostile.over.set()
    await waiting
    assert "seen" in str(first.model.asked[-1].input[-1]["output"])


async def test_calls_at_once_are_made_at_once(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    """Each waits until all four have come; one after the other would wait for ever."""

    def together(mcp: Mcp) -> None:
        while hostile.seen.count("tools/call") < 4 and not mcp.over.is_set():
            time.sleep(0.01)
        text = json.dumps(mcp.asked["params"]["arguments"])
        mcp.result({"content": [{"type": "text", "text": text}]})

    hostile.acts["tools/call"] = together
    calls = [call("look", f"c{number}", n=number)[0] for number in range(4)]
    bench = new_bench(in_order(calls, say("ok")), agent=agent_of(hostile.url), servers=PATIENT)

    await bench.send(bench.new_session())

    outputs = {i["call_id"]: i["output"] for i in bench.model.asked[1].input if "output" in i}
    assert [json.loads(outputs[f"c{n}"][0]["text"]) for n in range(4)] == [
        {"n": n} for n in range(4)
    ]


async def test_a_tool_that_fails_the_run_says_that_its_server_did(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    hostile.acts["tools/call"] = plain(500, b"")
    agent = agent_of(hostile.url, failure_error_function=None)
    bench = new_bench(in_order(call("look")), agent=agent)

    with pytest.raises(TurnFailed, match="mcp_failed") as failed:
        await bench.send(bench.new_session())

    assert failed.value.detail == "The MCP server tested answered with HTTP status 500."


async def test_retries_are_made_where_the_agent_asks_for_them(
    new_bench: NewBench, agent_of: AgentOf, hostile: McpStandIn
) -> None:
    def twice(mcp: Mcp) -> None:
        if hostile.seen.count("tools/call") < 3:
            mcp.answer(b"", 500)
        else:
            mcp.result({"content": [{"type": "text", "text": "seen"}]})

    hostile.acts["tools/call"] = twice
    agent = agent_of(hostile.url, max_retry_attempts=2, retry_backoff_seconds_base=0.01)
    bench = new_bench(in_order(call("look"), say("ok")), agent=agent)

    await bench.send(bench.new_session())

    assert "seen" in str(bench.model.asked[1].input[-1]["output"])
