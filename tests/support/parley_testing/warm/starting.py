"""Forking what is started as a Python process, instead of starting it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
from _posixsubprocess import fork_exec
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from parley_testing.run.at_length import AT_LENGTH
from parley_testing.warm.process import CLONE, OWN_FILES
from parley_testing.warm.program import Program
from parley_testing.warm.server import receive, send

SUPPORT = Path(__file__).parents[2]
_SERVE = """
import sys
path = sys.path[1:]
sys.path.insert(0, sys.argv[1])
from parley_testing.warm.server import main
main(int(sys.argv[2]), path, sys.argv[3])
"""
_TELL = """#!/bin/sh
printf '%s\\0' "$#" "$PWD" "$@"
env -0
"""
_ROOM = 4_000
"""Characters of a command line that a process can show in the place of the server's."""


class Starts:
    """Takes the place of what `subprocess`, and with it asyncio, starts a process by.

    Attributes:
        forked: How many processes were forked so far.
        refused: Those that had to be started all the same, each with the reason.
    """

    def __init__(
        self, connection: socket.socket | None, known: Mapping[str, str], place: str = ""
    ) -> None:
        self._connection = connection
        self._place = place
        self._known = dict(known)
        self._owner = os.getpid()
        self._asking = threading.Lock()
        self.forked = 0
        self.refused: list[tuple[list[str], str]] = []

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Fork in the block."""
        with _starting_by(self):
            yield

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Start processes in the block as Python does."""
        with _starting_by(fork_exec):
            yield

    def close(self) -> None:
        """End the server. Who forks again has another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __call__(self, *asked: Any) -> int:
        """Return the number of the process, as `_posixsubprocess.fork_exec` does."""
        return self._fork(*asked) or int(fork_exec(*asked))

    def _fork(
        self,
        args: list[Any],
        executables: Any,
        close_fds: bool,
        kept: tuple[int, ...],
        folder: Any,
        environment: list[bytes] | None,
        stdin: int,
        _stdin: int,
        _stdout: int,
        stdout: int,
        _stderr: int,
        stderr: int,
        _errors: int,
        errors: int,
        restores_signals: bool,
        leads: bool,
        group: int,
        *others: Any,
    ) -> int | None:
        gid, gids, uid, umask, before = others[:5]
        if (
            not close_fds or not restores_signals or group != -1 or umask != -1
            or before is not None or (gid, gids, uid) != (None, None, None)
            or os.getpid() != self._owner
        ):  # fmt: skip
            return None
        line, variables = [os.fsdecode(each) for each in args], _variables(environment)
        place = os.path.abspath(os.fsdecode(folder or "."))
        if os.path.basename(line[0]) == "run.sh":
            line, place, variables = _what_it_runs(line[0], place, variables)
        program = Program.read(
            line,
            folder=place,
            environment=variables,
            leads=leads,
            descriptors=[0, 1, 2, *(each for each in kept if each != errors)],
            known=self._known,
        )
        if (
            program is None
            or not os.path.isdir(program.folder)
            or max(program.descriptors) >= OWN_FILES
        ):
            return None
        files = [
            number if number != -1 else own for own, number in enumerate((stdin, stdout, stderr))
        ]
        return self._ask(program, [*files, *program.descriptors[3:]])

    def _ask(self, program: Program, files: list[int]) -> int | None:
        with self._asking:
            if self._connection is None:
                self._connection = start_server(self._known, self._place)
            try:
                send(self._connection, program.told(), files)
                answer, _ = receive(self._connection)
            except (OSError, EOFError):  # it was killed, with the group that it is in
                return None
        if answer["why"] is not None:
            self.refused.append((program.line, answer["why"]))
            return None
        self.forked += 1
        return int(answer["pid"])


def _variables(environment: list[bytes] | None) -> dict[str, str]:
    if environment is None:
        return dict(os.environ)
    pairs = (os.fsdecode(each).partition("=") for each in environment)
    return {name: value for name, _, value in pairs}


def _what_it_runs(
    script: str, folder: str, environment: dict[str, str]
) -> tuple[list[str], str, dict[str, str]]:
    """Return how a script that starts a function's server starts Python, and with what."""
    path = environment.get("PATH", os.defpath)
    found = shutil.which("python", path=path)
    if found is None or Path(found).parent != Path(sys.executable).parent:
        return [script], folder, environment
    with TemporaryDirectory() as bin_:
        python = Path(bin_, "python")
        python.write_text(_TELL)
        python.chmod(0o755)
        told = subprocess.run(
            [script], cwd=folder, env={**environment, "PATH": f"{bin_}:{path}"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        ).stdout.split("\0")  # fmt: skip
    if len(told) < 2:
        return [script], folder, environment
    count, place, rest = int(told[0]), told[1], told[2:]
    pairs = (each.partition("=") for each in rest[count:] if each)
    line = [sys.executable, *rest[:count]]
    return line, place, {name: value for name, _, value in pairs} | {"PATH": path}


def possible() -> bool:
    """Whether this system can fork a child of another process."""
    return sys.platform == "linux" and platform.machine() in CLONE


def start_server(environment: Mapping[str, str], place: str) -> socket.socket:
    """Start the process that forks, and return the connection to it.

    Args:
        environment: Its variables.
        place: A folder for what is made once by those that it forks.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            # An option that `Program` does not know, so that this one is started.
            [
                *(sys.executable, "-s", "-c", _SERVE),
                *(str(SUPPORT), str(theirs.fileno()), place, " " * _ROOM),
            ],
            stdin=subprocess.DEVNULL,
            stdout=2,
            pass_fds=[theirs.fileno()],
            env={name: value for name, value in environment.items() if name != "PYTHONPATH"},
        )
    process.returncode = 0  # it ends when the connection does, and with this process
    return ours


def fork_from(connection: socket.socket, known: Mapping[str, str]) -> None:
    """Have the processes of this one be forked by whoever is at the other end, to its end."""
    vars(subprocess).update(_fork_exec=Starts(connection, known), _USE_POSIX_SPAWN=False)


@contextmanager
def forked_starts() -> Iterator[Starts | None]:
    """Fork what is started as Python in the block, where the system can, and in short runs."""
    if AT_LENGTH or not possible():
        yield None
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as place:
        starts = Starts(None, os.environ, place)
        with closing(starts), starts.installed():
            yield starts


@contextmanager
def _starting_by(start: Callable[..., int]) -> Iterator[None]:
    # Newer Pythons have another way as well, for what needs little.
    taken = {"_fork_exec": start, "_USE_POSIX_SPAWN": False}
    before = {name: vars(subprocess)[name] for name in taken}
    vars(subprocess).update(taken)
    try:
        yield
    finally:
        vars(subprocess).update(before)
