"""A packaged web server under its start command, sent what the Lambda Web Adapter would send it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode
from uuid import uuid4

import httpx

from parley_client.sse import Frame, Parser
from parley_testing.held_port import held_port
from parley_testing.packaged.emulator import Unpacked
from parley_testing.waiting import HANG_SECONDS, wait_until_ready

_STOP_SECONDS = 10.0


class Stream:
    """A response while it comes.

    Attributes:
        status: Its status.
        headers: Its headers.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self._response = response

    def __iter__(self) -> Iterator[Frame]:
        """Yield its events, each when it is there."""
        parser = Parser()
        for piece in self._response.iter_raw():
            yield from parser.feed(piece)

    @property
    def json(self) -> Any:
        """The body of a response that is no stream."""
        return json.loads(self._response.read())


class Adapter:
    """One execution environment of a function behind the adapter.

    The adapter itself is a layer that only AWS serves; what it does here is written down in its
    source: it starts the handler, waits until that is ready, and hands on each event as a request,
    with two headers of its own in the place of any that a client has sent.
    """

    def __init__(
        self,
        function: Unpacked,
        variables: Mapping[str, str],
        log: Path,
        shims: Path,
        *,
        handler: str = "run.sh",
        timeout: int = 900,
    ) -> None:
        """Take all that is needed; nothing is started.

        Args:
            function: The package.
            variables: The function's environment variables.
            log: The file for what the server prints.
            shims: A folder to put the runtime's Python into.
            handler: The start command, in the package.
            timeout: In seconds, for one request.
        """
        self._command = function.task / handler
        self._log = log
        self._timeout = timeout
        self._ready = variables["AWS_LWA_READINESS_CHECK_PATH"]
        self._variables = {
            "PATH": f"{_with_python(shims)}:{os.defpath}",
            "LANG": "en_US.UTF-8",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            **variables,
            "AWS_LAMBDA_FUNCTION_NAME": function.task.name,
            "LAMBDA_TASK_ROOT": str(function.task),
            "LAMBDA_RUNTIME_DIR": str(function.runtime),
            "PYTHONPATH": str(function.opt / "python"),  # /opt/python is not ours here
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client()

    def __enter__(self) -> Self:
        try:
            with held_port() as port:
                self._start(port)
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self, port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_SECONDS)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._command.parent,
                env={**self._variables, "AWS_LWA_PORT": str(port)},
                start_new_session=True,
            )
        wait_until_ready(self._process, self._is_ready, self._log)

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What was printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The server's process: what the start command has become."""
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def forward(self, event: Mapping[str, Any]) -> Iterator[Stream]:
        """Hand on an event of API Gateway's and give the response as it comes."""
        query = event["multiValueQueryStringParameters"]
        context = {
            "request_id": str(uuid4()),
            "deadline": int((time.time() + self._timeout) * 1000),
            "invoked_function_arn": "arn:aws:lambda:eu-west-1:123456789012:function:stream",
            "xray_trace_id": None,
            "client_context": None,
            "identity": None,
        }
        headers = {
            name.lower(): value
            for name, values in (event["multiValueHeaders"] or {}).items()
            for value in values
        }
        # Whatever stands in them goes onto the wire as UTF-8.
        headers["x-amzn-request-context"] = _json(event["requestContext"])
        headers["x-amzn-lambda-context"] = _json(context)
        request = self._client.build_request(
            event["httpMethod"],
            event["path"] + (f"?{urlencode(query, doseq=True)}" if query else ""),
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            content=event["body"],
        )
        response = self._client.send(request, stream=True)
        try:
            yield Stream(response)
        finally:
            response.close()

    def stop(self) -> None:
        """End the server, as Lambda ends one that it does not need any more."""
        self._client.close()
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _is_ready(self) -> bool:
        try:
            return self._client.get(self._ready).status_code < 500
        except httpx.TransportError:
            return False


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _with_python(folder: Path) -> Path:
    """Make a folder of what start commands call: this Python, without any site-packages."""
    folder.mkdir()
    interpreter = Path(sys.executable).resolve()
    for name in ("python", "python3"):
        (folder / name).write_text(f'#!/bin/sh\nexec {interpreter} -S "$@"\n')
        (folder / name).chmod(0o755)
    return folder
