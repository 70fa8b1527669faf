"""What a streamed turn needs, each a process of its own on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from bench.migrated import migrated

from parley_testing.api.handlers import FUNCTIONS
from parley_testing.postgres.databases import connect

BENCH = Path(__file__).parent
PATIENCE_SECONDS = 60.0


class Child:
    """A process of this bench's that tells what it does in lines on standard output."""

    def __init__(self, stack: ExitStack, *command: str, **options: Any) -> None:
        self.lines: list[Any] = []
        self.process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                **options,
            )
        )
        stack.callback(self.process.terminate)
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline().strip()
        assert self.first, f"{command} did not start"
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))


@dataclass
class Setup:
    """All that a turn needs.

    Attributes:
        url: The stream app's.
        sql: A way to Postgres, past Parley.
        model: Tells when each answer's first word went out.
        aws: Tells what is written into DynamoDB.
        memory: The SQLite file, if that is the store.
    """

    url: str
    sql: psycopg.Connection
    model: Child
    aws: Child
    memory: Path | None


@contextmanager
def setup(store: str) -> Iterator[Setup]:
    """Start everything, and end it."""
    with ExitStack() as stack:
        made = stack.enter_context(migrated())
        credentials = {
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        aws = Child(stack, str(BENCH / "counted_aws.py"), env=os.environ | credentials)
        model = Child(stack, str(BENCH / "paced_model.py"))
        told = json.loads(aws.first)
        memory = made.folder / "memory.db" if store == "sqlite" else None
        settings = {
            **credentials,
            "AWS_ENDPOINT_URL": told["url"],
            "WAKE_QUEUE_URL": told["queue"],
            "DATABASE_URL": made.owner_url,
            "DATABASE_RUNTIME_URL": made.runtime_url,
            "AGENT_SESSION_STORE": store,
            "AGENT_SESSION_TABLE": "memory",
            "AGENT_SESSION_DB_PATH": str(memory or ""),
            "OPENAI_API_KEY": "bench",
            "OPENAI_BASE_URL": model.first,
            "OPENAI_MODEL": "scripted",
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
            "MODEL_ANSWER_MAX_CHARS": "20000000",  # one of the cases says a long word each time
        }
        url = _serve(stack, settings, made.folder / "app.log")
        sql = stack.enter_context(connect(made.owner_url))
        yield Setup(url, sql, model, aws, memory)


def _serve(stack: ExitStack, settings: dict[str, str], log: Path) -> str:
    """Run the stream function's app, and give its URL once it is ready."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        port = found.getsockname()[1]
    output = stack.enter_context(log.open("w"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = stack.enter_context(
        subprocess.Popen(
            ["sh", str(FUNCTIONS / "stream" / "run.sh")],
            env=os.environ | settings | {"PATH": path, "AWS_LWA_PORT": str(port)},
            stdout=output,
            stderr=output,
        )
    )
    stack.callback(process.terminate)
    end = time.monotonic() + PATIENCE_SECONDS
    url = f"http://127.0.0.1:{port}"
    while process.poll() is None and time.monotonic() < end:
        try:
            if httpx.get(f"{url}/ready").is_success:
                return url
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"the app did not start: {log.read_text()[-2000:]}")
