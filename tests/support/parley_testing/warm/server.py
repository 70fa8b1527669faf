"""A process that has imported what tests' processes import, and forks into them.

What it forks is the child of the process that asks, as if that had started it: with a number, a
group and signals like those of a started one, and its parent waits for its end.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any, NoReturn

from parley_testing.warm.initialised import copied
from parley_testing.warm.modules import Imported
from parley_testing.warm.process import (
    Becomes,
    clone,
    leave_only,
    moved,
    open_standard_files,
    run,
    show_line,
    status_of,
    staying,
    take_files,
)
from parley_testing.warm.program import PARLEY, Program

# They come to a whole group, and a server ends with who asks it.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STARTS_OTHERS = frozenset(
    {"parley_cli.start", "parley_local.dev", "parley_local.start", "parley_local.web_keeper"}
)
_LENGTH = struct.Struct("!I")
_MOST_FILES = 64

IMPORTS = (
    "parley.starting",
    # What checks, builds and runs agents.
    "agents", "agents.mcp", "parley_project.agents", "parley_project.routes",
    "parley.runner.execute", "parley.runner.prepare", "parley.agents.provider",
    "parley.agents.registry", "parley.composition", "parley.http.messages",
    "sqlalchemy.dialects.postgresql.psycopg", "alembic.command", "boto3",
    # The gateway and what it starts.
    "parley_local.dev", "parley_local.environment", "parley_local.web_keeper", "uvicorn.main",
    "uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.protocols.http.auto",
    # The command.
    "parley_cli.start", "parley_cli.main", "parley_cli.chat", "parley_cli.project",
    "rich.markdown", "rich.live", "rich.status",
    # The tests of a project.
    "pytest", "parley.testing",
)  # fmt: skip

# Powertools asks whether it is "provisioned-concurrency".
_ALIKE = {"AWS_LAMBDA_INITIALIZATION_TYPE": frozenset({None, "on-demand", "snap-start"})}


def send(connection: socket.socket, message: object, descriptors: list[int]) -> None:
    """Send a message, and files with it."""
    written = json.dumps(message).encode()
    socket.send_fds(connection, [_LENGTH.pack(len(written))], descriptors)
    connection.sendall(written)


def receive(connection: socket.socket) -> tuple[Any, list[int]]:
    """Return the next message and its files.

    Raises:
        EOFError: Nobody is there any more.
    """
    begun, descriptors, _, _ = socket.recv_fds(connection, _LENGTH.size, _MOST_FILES)
    if len(begun) < _LENGTH.size:
        raise EOFError
    (left,), parts = _LENGTH.unpack(begun), []
    while left:
        parts.append(connection.recv(left))
        if not parts[-1]:
            raise EOFError
        left -= len(parts[-1])
    return json.loads(b"".join(parts)), descriptors


class Server:
    """Forks for whoever has the other end of a connection, until that is closed."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._imported = Imported()
        self._path = list(sys.path)
        self._environment = dict(os.environ)
        self._unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def prepare(self, path: list[str], place: str) -> None:
        """Import all, once.

        Args:
            path: The path of a process that was started without one of its own.
            place: A folder for what is made once; none if it is empty.
        """
        self._path = path
        with self._imported.watching():
            importlib.import_module("parley.starting").begin()
            for name in IMPORTS:
                importlib.import_module(name)
            if place:
                server = importlib.import_module("parley_local.postgres").EmbeddedPostgres
                copied(server, Path(place))
        self._imported.hide()
        gc.collect()
        gc.freeze()

    def serve(self) -> NoReturn:
        """Fork into each program that is asked for; returns in no process."""
        while True:
            try:
                asked, files = receive(self._connection)
            except (EOFError, OSError):
                os._exit(0)
            program = Program(**asked)
            answer: dict[str, Any] = {"why": self._refused(program)}
            if answer["why"] is None:
                answer["pid"] = pid = clone()
                if pid == 0:
                    run(lambda: self._become(program, files))  # noqa: B023 - at once
            for each in files:
                os.close(each)
            send(self._connection, answer, [])

    def _refused(self, program: Program) -> str | None:
        """Say why a program has to be started from nothing, if it has to."""
        for name, value in self._imported.read.items():
            given = program.environment.get(name)
            if given != value and not {given, value} <= _ALIKE.get(name, frozenset()):
                return f"{name} was read"
        shadowed = self._imported.shadowed([each or program.folder for each in program.path])
        return shadowed and f"{shadowed} is another's"

    def _become(self, program: Program, files: list[int]) -> int:
        if program.leads:
            os.setsid()
        if program.module in _STARTS_OTHERS or program.code is not None:
            self._serve_also(files)
        else:
            self._connection.close()
        take_files(files, program.descriptors)
        os.chdir(program.folder)
        # What has come meanwhile comes now.
        signal.pthread_sigmask(signal.SIG_SETMASK, self._unblocked)
        show_line(program.line)
        gc.enable()
        try:
            return self._run(program)
        except Becomes as other:
            again = Program.read(
                other.line,
                folder=os.getcwd(),
                environment=other.environment,
                leads=False,
                descriptors=program.descriptors,
                known=self._environment,
            )
            assert again is not None
            if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            return self._run(again)

    def _serve_also(self, files: list[int]) -> None:
        """Have a copy of this server fork for this process, before it becomes anything."""
        from parley_testing.warm import starting

        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            for each in (self._connection, ours):
                each.close()
            for file in files:
                os.close(file)
            leave_only(theirs.fileno())
            self._connection = theirs
            self.serve()
        theirs.close()
        self._connection.close()
        # Out of the way of the files that the program has.
        kept = socket.socket(fileno=moved(ours.detach()))
        starting.fork_from(kept, self._environment)

    def _run(self, program: Program) -> int:
        """Run the program as Python's own `main` does, and return its exit status."""
        os.environ.clear()
        os.environ.update(program.environment)
        sys.path[:] = [*program.path, *self._path]
        sys.orig_argv[:] = program.line
        sys.dont_write_bytecode = not program.bytecode
        importlib.invalidate_caches()
        open_standard_files(program.unbuffered)
        if program.code is None:
            assert program.module is not None
            sys.argv[:] = [program.module, *program.arguments]
            if PARLEY in program.line[:2]:
                sys.argv[0] = PARLEY
                return status_of(importlib.import_module(program.module).main)
            return status_of(lambda: runpy._run_module_as_main(program.module))  # type: ignore[attr-defined]
        sys.argv[:] = ["-c", *program.arguments]
        code = compile(program.code, "<string>", "exec")
        with staying(self._environment):
            return status_of(lambda: exec(code, {"__name__": "__main__"}))


def main(descriptor: int, path: list[str], place: str) -> NoReturn:
    """Import, and fork until nobody asks any more.

    Args:
        descriptor: The connection to who asks.
        path: The path of a process that was started without one of its own.
        place: A folder for what is made once.
    """
    connection = socket.socket(fileno=descriptor)
    connection.set_inheritable(False)
    server = Server(connection)
    server.prepare(path, place)
    server.serve()
