"""What a PostgreSQL leaves behind when the one who started it was killed."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import psutil

SOCKET_DIR_PREFIX = "parley-pg-"
"""How the names of our temporary socket directories begin."""

_SECONDS = 10.0


def stop_left_behind(directory: Path) -> None:
    """Stop a server whose owner was killed, and clear away what it left.

    The process id in `postmaster.pid` is believed only of a postgres that works in the directory:
    after a reboot it may be anybody's.
    """
    pid_file = directory / "postmaster.pid"
    if not pid_file.exists():
        return
    lines = pid_file.read_text().splitlines()
    processes = [process for process in _postgres_in(directory) if process.pid == int(lines[0])]
    for number in (signal.SIGINT, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        _, processes = psutil.wait_procs(processes, timeout=_SECONDS)
    # Its children end with it, but not in the same moment, and they hold its shared memory.
    psutil.wait_procs(_postgres_in(directory), timeout=_SECONDS)
    pid_file.unlink(missing_ok=True)
    socket_dir = Path(lines[4].strip()) if len(lines) > 4 else directory
    if socket_dir.name.startswith(SOCKET_DIR_PREFIX):
        shutil.rmtree(socket_dir, ignore_errors=True)


def _postgres_in(directory: Path) -> Sequence[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == "postgres" and Path(process.cwd()) == directory:
                found.append(process)
    return found
