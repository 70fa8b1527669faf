"""`stream` under its real start command, which the adapter and the local gateway run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from parley_testing.api.handlers import FUNCTIONS
from parley_testing.held_port import held_port
from parley_testing.waiting import HANG_SECONDS, wait_until_ready

_SHARED = FUNCTIONS.parent / "layers/shared/python"


@contextmanager
def stream_server(
    log: Path, variables: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """Start it, and stop it after the block.

    Args:
        log: Where it writes to.
        variables: What its environment has besides this process's.

    Yields:
        Its process, and a client of it once it is ready.
    """
    with held_port() as port:
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["./run.sh"],
                cwd=FUNCTIONS / "stream",
                stdout=output,
                stderr=output,
                env={
                    **os.environ,
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "PYTHONPATH": f"{_SHARED}:{os.environ['PYTHONPATH']}",
                    "AWS_LWA_PORT": str(port),
                    # Nobody forks a process that has this (`warm.program`): it is started.
                    "PYTHONFAULTHANDLER": "1",
                    **variables,
                },
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_SECONDS) as client:
                wait_until_ready(process, lambda: _is_ready(client), log)
                yield process, client
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def headers_of(user_id: str) -> dict[str, str]:
    """Return the headers that the adapter sends of a user's request with a body of JSON."""
    authorizer = {"user_id": user_id, "scopes": "", "exp": str(int(time.time()) + 3600)}
    context = {"requestId": "req-1", "authorizer": authorizer}
    return {"x-amzn-request-context": json.dumps(context), "content-type": "application/json"}


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False
