"""`make dev`, and `parley` as it is typed: piped, or on a terminal."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parley_cli.main import app
from parley_local.stack import LocalStack
from parley_testing.api.terminal import Terminal
from parley_testing.waiting import HANG_SECONDS

PROGRAM = str(Path(sys.executable).with_name("parley"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    # A reply of many words takes long enough for Ctrl-C in the middle of it.
    env = {"OFFLINE_MODEL_WORDS_PER_SECOND": "20"}
    with LocalStack(
        tmp_path_factory.mktemp("cli") / "data", env=env, ready_within=HANG_SECONDS
    ) as stack:
        yield stack


@pytest.fixture
def environ(stack: LocalStack) -> dict[str, str]:
    """What the command finds in its environment: the stack, and nothing of the developer's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    own.pop("DATABASE_URL", None)
    return {**own, "DATA_DIR": str(stack.data_dir)}


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


@pytest.fixture
def parley(environ: dict[str, str]) -> Callable[..., Done]:
    """Run the command with its output piped; in this process, which is quicker than another.

    What goes through all of it, such as a traceback, goes through the test too.
    """

    def run(*arguments: str, stdin: str | bytes = "") -> Done:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("PARLEY_URL", "PARLEY_TOKEN", "DATABASE_URL"):
                patch.delenv(name, raising=False)
            runner = CliRunner(env=environ)
            result = runner.invoke(app, list(arguments), input=stdin, catch_exceptions=False)
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def terminal(environ: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Run the command on a terminal of its own, or its output `to` a file; ended with the test."""
    opened: list[Terminal] = []

    def run(*arguments: str, to: Path | None = None) -> Terminal:
        # Colours whatever the developer's terminal has.
        settings = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
        own = {k: v for k, v in environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
        command = [PROGRAM, *arguments]
        if to is not None:
            command = ["sh", "-c", 'exec "$0" "$@" > "$OUTPUT"', *command]
            settings["OUTPUT"] = str(to)
        opened.append(Terminal(command, {**own, **settings}))
        return opened[-1]

    yield run
    for each in opened:
        each.close()


@pytest.fixture
def silent_url(environ: dict[str, str]) -> Iterator[str]:
    """An address that takes requests and never answers; the command has a token for it."""
    environ["PARLEY_TOKEN"] = "t"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def shell(environ: dict[str, str]) -> Callable[[str], Done]:
    """Run a line of shell in which `parley` is the command, in processes of their own."""

    def run(line: str) -> Done:
        done = subprocess.run(
            ["sh", "-c", f'parley() {{ "{PROGRAM}" "$@"; }}; {line}'],
            env=environ,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run
