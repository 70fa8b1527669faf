"""What is logged of requests that one process serves at the same time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from io import StringIO
from typing import Any

from parley_testing.models.scripted import Streamed, in_order
from parley_testing.models.steps import Gate
from parley_testing.streams.streaming import Streams, data

NewStreams = Callable[..., Awaitable[Streams]]


async def test_ids_of_requests_at_the_same_time_are_not_mixed_up(
    new_streams: NewStreams, log_lines: StringIO
) -> None:
    gates = [Gate(), Gate()]
    streams = await new_streams(in_order(Streamed("a", gates[0]), Streamed("b", gates[1])))
    sessions = [streams.bench.new_session() for _ in gates]

    async with streams.send(sessions[0]) as first:
        turns = [data((await first.until("message.delta"))[0])["turn_id"]]
        async with streams.send(sessions[1]) as second:
            turns.append(data((await second.until("message.delta"))[0])["turn_id"])
            gates[0].open()
            await first.rest()
            gates[1].open()
            await second.rest()
    await streams.stop()

    said: list[dict[str, Any]] = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    ended = [line for line in said if line["message"] == "turn ended"]
    answered = [line for line in said if line["message"] == "request answered"]
    assert [(line["session_id"], line["turn_id"]) for line in ended] == [
        (str(session), turn) for session, turn in zip(sessions, turns, strict=True)
    ]
    assert [line["request_id"] for line in ended] == [line["request_id"] for line in answered]
    assert len({line["request_id"] for line in ended}) == 2
    assert {(line["route"], line["status"]) for line in answered} == {
        ("POST /sessions/{session_id}/messages/stream", 200)
    }
