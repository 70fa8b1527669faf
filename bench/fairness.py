"""How long one user waits behind another's background turns, on `make dev` with a slow model.

    make bench-fairness TURNS=24

Somebody sends many messages in the background, each in a session of its own, and then somebody
else sends one. Told are the seconds from that one's sending to its end, and to the end of the last
of the others; once with all workers started, and once after `make dev` was killed and started again
(which takes a while by itself).
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import httpx

from parley_local.stack import LocalStack
from parley_testing.models.server import Asked, ModelServer, Said

BACKGROUND = {"Prefer": "respond-async"}


def main() -> None:
    """Measure, and print a line for each of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=24, help="the busy user's")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long the model takes")
    options = parser.parse_args()

    def slowly(asked: Asked) -> Said:
        time.sleep(options.seconds)
        return Said("There.")

    with ModelServer(slowly) as model, tempfile.TemporaryDirectory() as folder:
        env = {"OPENAI_API_KEY": "local", "OPENAI_BASE_URL": model.base_url}
        stack = LocalStack(Path(folder) / "data", env=env)
        with stack, httpx.Client(base_url=stack.url, timeout=60) as client:
            for warm in [queued(stack, client, "warm") for _ in range(8)]:
                seconds(stack, client, warm)  # all workers are started
            busy = [queued(stack, client, "busy") for _ in range(options.turns)]
            told("sent", stack, client, busy, queued(stack, client, "other"))
            busy = [queued(stack, client, "busy") for _ in range(options.turns)]
            other = queued(stack, client, "other")
            stack.stop(signal.SIGKILL)
        with stack, httpx.Client(base_url=stack.url, timeout=60) as client:
            told("started again", stack, client, busy, other)


def queued(stack: LocalStack, client: httpx.Client, user: str) -> tuple[str, str]:
    """Send a message in the background, in a new session; give whose it is and where it is read."""
    headers = stack.headers(user) | BACKGROUND
    answer = client.post("/messages", json={"text": "hello"}, headers=headers)
    assert answer.status_code == 202, answer.text
    return user, str(answer.headers["location"])


def told(
    what: str,
    stack: LocalStack,
    client: httpx.Client,
    busy: Sequence[tuple[str, str]],
    other: tuple[str, str],
) -> None:
    """Wait until all are over, and print how long it took, by Postgres's clock."""
    took = [seconds(stack, client, each) for each in (*busy, other)]
    print(f"{what}: the other waited {took[-1]:.1f} s, the last of the busy {max(took[:-1]):.1f} s")


def seconds(stack: LocalStack, client: httpx.Client, turn: tuple[str, str]) -> float:
    """Wait for a turn's end, and give the time from its sending to that."""
    user, location = turn
    while True:
        found = client.get(location, headers=stack.headers(user)).json()["turn"]
        if found["ended_at"] is not None:
            begun, ended = (datetime.fromisoformat(found[at]) for at in ("created_at", "ended_at"))
            return (ended - begun).total_seconds()
        time.sleep(0.5)


if __name__ == "__main__":
    main()
