"""`make dev` for tests: the whole of it in a process of its own, on a free port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from parley.errors import ParleyError
from parley_local.data_directory import read_address
from parley_local.issuer import issue_token


class StackFailed(ParleyError):
    """`make dev` ended, or did not get ready; the message holds what it wrote."""


class LocalStack:
    """Starts `make dev` on a data directory; `with` stops it and everything that it started.

    Attributes:
        url: Where it answers, once started.
        data_dir: Where its data is; a second stack on it, afterwards, finds all of it.
        log: The file that its output goes to.
    """

    url: str

    def __init__(
        self,
        data_dir: Path,
        *,
        env: Mapping[str, str] | None = None,
        template: Path | None = None,
        project: Path | None = None,
        ready_within: float = 60,
    ) -> None:
        """Make a stack; nothing is started.

        Args:
            data_dir: Where its data is; made where needed.
            env: Set over this process's environment, of which no OPENAI_ variable is taken.
            template: Another template than the project's.
            project: The folder of the project that is served; that of this process if None.
            ready_within: Seconds that it may take to answer.
        """
        self.data_dir = data_dir
        self.log = data_dir.with_name(data_dir.name + ".log")
        # A key in the developer's shell must not turn a test into a paid call.
        own = {name: value for name, value in os.environ.items() if "OPENAI" not in name}
        self._env = {**own, **(env or {})}
        self._template = template
        self._project = project
        self._ready_within = ready_within
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of `make dev`."""
        if self._process is None:
            raise RuntimeError("The stack is not started.")
        return self._process.pid

    def start(self) -> None:
        """Start it and return when it answers.

        Raises:
            StackFailed: It ended or is not ready in time; nothing is left running.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "parley_local.dev", "--port", "0"]
        command += ["--data-dir", str(self.data_dir)]
        if self._template is not None:
            command += ["--template", str(self._template)]
        if self._project is not None:
            command += ["--project", str(self._project)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env
            )
        deadline = time.monotonic() + self._ready_within
        while True:
            address = read_address(self.data_dir)
            # A file of another process is one that was killed here before.
            if address is not None and address.pid == self._process.pid:
                self.url = address.url
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StackFailed(self.log.read_text(errors="replace"))
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float = 30) -> int:
        """Send it a signal and return its exit status. Safe to call twice.

        Args:
            number: The signal.
            within: Seconds until it is killed.
        """
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def wait(self, within: float) -> int:
        """Wait for an end that comes by itself and return the exit status.

        Raises:
            subprocess.TimeoutExpired: It goes on after so many seconds.
        """
        if self._process is None:
            raise RuntimeError("The stack is not started.")
        return self._process.wait(within)

    def token(self, user: str, *, admin: bool = False) -> str:
        """Return a token of the local issuer that makes its bearer this user."""
        return issue_token(self.data_dir, user, admin=admin)

    def headers(self, user: str, *, admin: bool = False) -> dict[str, str]:
        """Return the request headers of this user."""
        return {"Authorization": f"Bearer {self.token(user, admin=admin)}"}
