"""The test's side of `parley_testing.scenarios.process`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from parley.timing import LEASE_SECONDS
from parley_testing.own_path import own_path
from parley_testing.scenarios.parts import Place
from parley_testing.waiting import HANG_SECONDS


class Child:
    """A process that was forked.

    Attributes:
        pid: Its number.
        points: The file with the points that it has passed.
        port: Where it answers on loopback, if that is its job.
    """

    def __init__(self, server: ForkServer, pid: int, folder: Path, port: int | None = None) -> None:
        self.points = folder / "points"
        self.port = port
        self.pid = pid
        self._server, self._result = server, folder / "result"
        self._over: dict[str, Any] = {}

    def wait(self) -> dict[str, Any]:
        """Wait until it stops or is over, and say how: `stopped`, `killed` or `exited`."""
        if self._over:
            return self._over
        # The server does not wait itself: meanwhile others may want something of it. Each look
        # costs both of them, so they come less and less often.
        pause = 0.002
        while not (ended := self._server.ask({"do": "look", "pid": self.pid})):
            time.sleep(pause)
            pause = min(pause * 1.3, 0.03)
        if "stopped" not in ended:
            self._over = ended
        return ended

    def kill(self) -> None:
        """Kill it, wherever it is; it is still to be waited for."""
        if not self._over:  # its number may be another's since
            os.kill(self.pid, signal.SIGKILL)

    def go_on(self) -> None:
        """Let it go on if it was stopped."""
        self._server.ask({"do": "continue", "pid": self.pid})

    def result(self) -> dict[str, Any]:
        """Return what it found out, once it has exited: a reply, or the name of an error."""
        found: dict[str, Any] = json.loads(self._result.read_text())
        return found


class ForkServer:
    """Forks processes that have all imports behind them; those that are left end with it.

    Safe for use by threads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asking = threading.Lock()
        self._numbers = count(1)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "parley_testing.scenarios.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={
                "PATH": "",
                **own_path(),  # the very code that the test has
                "OPENAI_AGENTS_DISABLE_TRACING": "1",
                "POWERTOOLS_LOG_LEVEL": "CRITICAL",
            },
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(HANG_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def fork(
        self,
        place: Place,
        scenario: str,
        asked: Path,
        *,
        patience: float = HANG_SECONDS,
        lease: float = LEASE_SECONDS,
        **job: Any,
    ) -> Child:
        """Start a process.

        Args:
            place: Where the stores are.
            scenario: The name of one.
            asked: The file that keeps what the model is asked.
            patience: Seconds that a statement, or a transaction left idle, may take; 0 for any.
            lease: Seconds until another may take its turns over.
            job: The rest; see `fault_process`.
        """
        folder = Path(tempfile.mkdtemp(prefix=f"{next(self._numbers)}-", dir=self._folder))
        files = {"points": str(folder / "points"), "result": str(folder / "result")}
        job |= {"place": asdict(place), "scenario": scenario, "asked": str(asked)}
        job |= {"patience": patience, "lease": lease, **files}
        made = self.ask({"do": "fork", "job": job})
        return Child(self, made["pid"], folder, made.get("port"))

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send an order and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(f"{json.dumps(order)}\n")
            line = self._process.stdout.readline()
        assert line, "the fork server has died"
        answer: dict[str, Any] = json.loads(line)
        return answer
