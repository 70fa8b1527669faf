"""How a forked process becomes a program: what Python and the system do of one that is started."""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import io
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from parley_testing.warm.program import Program

CLONE = {"x86_64": 56, "aarch64": 220}
"""The number of the system call `clone`, by processor."""

_CLONE_PARENT = 0x8000
OWN_FILES = 500
"""From this number on are the files that no program knows of."""


class Becomes(BaseException):
    """The process is to be another program from here on, as by `execv`."""

    def __init__(self, line: list[str], environment: dict[str, str]) -> None:
        self.line, self.environment = line, environment


@contextmanager
def staying(known: Mapping[str, str]) -> Iterator[None]:
    """Raise `Becomes` in the block where Python would replace the process by a Python.

    Args:
        known: The variables that this process was forked with.
    """
    given = os.execvp

    def execvp(file: str, line: list[str]) -> NoReturn:
        whole, environment = [file, *line[1:]], dict(os.environ)
        if Program.read(
            whole, folder=os.getcwd(), environment=environment, leads=False, descriptors=[],
            known=known,
        ) is None:  # fmt: skip
            given(file, line)
        raise Becomes(whole, environment)

    vars(os)["execvp"] = execvp
    try:
        yield
    finally:
        vars(os)["execvp"] = given


def clone() -> int:
    """Fork a child of this process's parent; return its number, or 0 in it."""
    call = ctypes.PyDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    flags = ctypes.c_ulong(_CLONE_PARENT | signal.SIGCHLD)
    pid = int(call(ctypes.c_long(CLONE[platform.machine()]), flags, None, None, None, None))
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(ctypes.get_errno(), "No process can be forked")
    return pid


def run(work: Callable[[], int]) -> NoReturn:
    """Run a program and end, as Python itself ends."""
    status = 1
    try:
        status = work()
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        for file in (sys.stdout, sys.stderr):
            with suppress(Exception):
                file.flush()
        if status == -signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        os._exit(status)


_OURS = frozenset({__file__, str(Path(__file__).with_name("server.py"))})


def status_of(work: Callable[[], object]) -> int:
    """Run something to its end, and return the status that this is for a program."""
    try:
        work()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return (ended.code or 0) & 0xFF
        print(ended.code, file=sys.stderr)
        return 1
    except Becomes:
        raise
    except BaseException as error:
        found = error.__traceback__
        while found is not None and found.tb_frame.f_code.co_filename in _OURS:
            found = found.tb_next
        sys.excepthook(type(error), error.with_traceback(found), found)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def moved(descriptor: int) -> int:
    """Return a file under a number that no program expects."""
    found = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, OWN_FILES)
    os.close(descriptor)
    return found


def take_files(files: list[int], numbers: list[int]) -> None:
    """Have these files, under these numbers, and no others that a program could know of."""
    high = [moved(each) for each in files]
    os.closerange(0, OWN_FILES)
    for file, number in zip(high, numbers, strict=True):
        os.dup2(file, number)  # inheritable, as what a process was started with
        os.close(file)


def leave_only(descriptor: int) -> None:
    """Have this file, and where errors are written."""
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 2 * OWN_FILES)
    null = os.open(os.devnull, os.O_RDWR)
    for each in (0, 1):
        os.dup2(null, each)


def open_standard_files(unbuffered: bool) -> None:
    """Open what a process has from its start, as Python does."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        before = getattr(sys, f"__{name}__")
        try:
            raw = io.FileIO(number, mode, closefd=False)
        except OSError:
            opened = None
        else:
            raw.name = f"<{name}>"
            opened = io.TextIOWrapper(
                io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw),
                before.encoding,
                before.errors,
                line_buffering=name == "stderr" or raw.isatty(),
                write_through=unbuffered and mode == "w",
            )
            vars(opened)["mode"] = mode
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)


def show_line(line: list[str]) -> None:
    """Write the command line where the system shows that of a process."""
    with open("/proc/self/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])
    written = b"\0".join(each.encode() for each in line) + b"\0"
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, written, min(len(written), end - begin - 1))
