"""A packaged function under Lambda's Runtime Interface Emulator and its real runtime client."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from parley_testing.api.handlers import Answer
from parley_testing.held_port import held_port
from parley_testing.waiting import HANG_SECONDS, wait_until_ready

_INVOCATIONS = "/2015-03-31/functions/function/invocations"
_INIT = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)\)")
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Reply:
    """What the emulator answered: 200 and what the function returned, if all went well."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        """What the function returned, or the error that it raised."""
        return json.loads(self.text)

    @property
    def answer(self) -> Answer:
        """The response of a function behind the API."""
        assert self.status == 200, self
        assert "statusCode" in self.json, self
        return Answer(self.json)


@dataclass(frozen=True)
class Unpacked:
    """A function as it lies on Lambda: its own folder, its layers' and the runtime's."""

    task: Path
    opt: Path
    runtime: Path


class Emulator:
    """One execution environment of one function. It serves one invocation at a time.

    The function is not started before its first invocation; after a crash or a time-out the
    emulator starts it anew with the next.
    """

    def __init__(
        self,
        function: Unpacked,
        variables: Mapping[str, str],
        log: Path,
        *,
        handler: str = "app.handler",
        timeout: int = 30,
        memory: int = 512,
    ) -> None:
        """Take all that is needed; nothing is started.

        Args:
            function: The package.
            variables: The function's environment variables.
            log: The file for what the emulator and the function print.
            handler: `module.function`.
            timeout: In seconds, for one invocation.
            memory: In MB, as the function is told; nothing holds it to that.
        """
        self._function = function
        self._log = log
        self._handler = handler
        self._variables = {
            "PATH": os.defpath,
            "LANG": "en_US.UTF-8",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            **variables,
            "AWS_LAMBDA_FUNCTION_NAME": function.task.name,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
            "LAMBDA_TASK_ROOT": str(function.task),
            "PYTHONPATH": f"{function.opt / 'python'}:{function.runtime}",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client()
        self._ports = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What was printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def init_milliseconds(self) -> float:
        """How long the last cold start took."""
        return float(_INIT.findall(self.log)[-1])

    @property
    def runtime_pid(self) -> int:
        """The process that runs the function; only while there is one."""
        assert self._process is not None
        (child,) = psutil.Process(self._process.pid).children()
        return int(child.pid)

    def invoke(self, event: Any, *, seconds: float = HANG_SECONDS) -> Reply:
        """Send an event and wait for the answer."""
        response = self._client.post(_INVOCATIONS, json=event, timeout=seconds)
        return Reply(response.status_code, response.text)

    def stop(self) -> None:
        """End the emulator and the function; both are gone when this returns."""
        self._client.close()
        self._ports.close()
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # The function is in a process group of its own, and stays if the emulator itself crashed.
        left = [other for other in psutil.process_iter() if _session_of(other) == process.pid]
        for other in left:
            with suppress(psutil.NoSuchProcess):
                other.kill()
        psutil.wait_procs(left, timeout=_STOP_SECONDS)

    def _start(self) -> None:
        # Held until it is stopped, as it listens for the function with the first invocation only.
        port, api = (self._ports.enter_context(held_port()) for _ in range(2))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    _emulator(), "--log-level", "info",
                    "--runtime-interface-emulator-address", f"127.0.0.1:{port}",
                    "--runtime-api-address", f"127.0.0.1:{api}",
                    # The interpreter behind the virtual environment, without any site-packages.
                    Path(sys.executable).resolve(), "-S", "-m", "awslambdaric", self._handler,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._function.task,
                env=self._variables,
                start_new_session=True,
            )  # fmt: skip
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}")
        wait_until_ready(self._process, lambda: _listens(port), self._log)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _session_of(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return None


def architecture() -> str:
    """Return this machine's processor in SAM's words."""
    return {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")


def _emulator() -> Path:
    """Return the emulator that SAM carries for its containers."""
    spec = find_spec("samcli.local.rapid")
    if spec is None or not spec.submodule_search_locations or sys.platform != "linux":
        raise AssertionError("The end-to-end tests need Linux and aws-sam-cli, for its emulator.")
    return Path(spec.submodule_search_locations[0]) / f"aws-lambda-rie-{architecture()}"
