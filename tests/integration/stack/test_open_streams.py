"""`make dev` ends in the middle of streams."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from parley_local.stack import LocalStack
from parley_testing.models.server import Gate, ModelServer, Streamed
from parley_testing.run.at_length import times
from parley_testing.waiting import HANG_SECONDS

# Each has a process of its own.
READERS = times(enough=2, full=4)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            signal.SIGINT,
            marks=pytest.mark.at_length("gateway/test_dev.py sends both to one that streams"),
        ),
        signal.SIGTERM,
    ],
)
def test_ending_with_open_streams_prints_no_traceback(
    tmp_path: Path, number: signal.Signals
) -> None:
    gate = Gate()
    reading = Barrier(READERS + 1)
    with ModelServer(lambda asked: Streamed("Hel", gate, "lo")) as model:
        env = {
            "OPENAI_API_KEY": "test",
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_MODEL": "scripted",
        }
        with LocalStack(tmp_path / "data", env=env, ready_within=HANG_SECONDS) as stack:
            client = httpx.Client(
                base_url=stack.url,
                headers=stack.headers("alice"),
                timeout=HANG_SECONDS,
                trust_env=False,
            )

            def read(reader: int) -> bool:
                """Read a stream, and return whether it was cut off."""
                body = {"text": f"hello {reader}"}
                try:
                    with client.stream("POST", "/messages/stream", json=body) as response:
                        for line in response.iter_lines():
                            if line == "event: message.delta":
                                reading.wait(HANG_SECONDS)
                except httpx.RemoteProtocolError:
                    return True
                return False

            with ThreadPoolExecutor(READERS) as threads:
                readers = [threads.submit(read, reader) for reader in range(READERS)]
                reading.wait(HANG_SECONDS)
                status = stack.stop(number, HANG_SECONDS)
                cut = [each.result() for each in readers]
        gate.open()
        client.close()

    said = stack.log.read_text()
    assert (status, cut) == (0, [True] * READERS), said
    assert "Traceback" not in said
