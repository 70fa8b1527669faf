"""The process of a function that is an HTTP server: started, waited for, stopped.

It believes whoever reaches it to be the adapter, so it is reached on a Unix socket in a directory
that is this user's only, and on no port.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx

from parley_local.execution import EnvironmentLost, start_child
from parley_local.lambda_identity import lambda_variables
from parley_local.process_group import kill_group, stop_group
from parley_local.template import Function

_BETWEEN_CHECKS = 0.02
_SOCKET = "s"
_NOT_READY_FROM = 500
"""The adapter takes any status below for ready."""


class WebProcess:
    """A server on a socket of its own: `spawn` it, then wait until it is `ready` for requests.

    Attributes:
        function: Whose server it is.
        identity: The variables that Lambda itself sets for it.
        transport: Carries requests to it.
    """

    def __init__(
        self,
        function: Function,
        process: asyncio.subprocess.Process,
        leash: socket.socket,
        directory: Path,
        identity: Mapping[str, str],
    ) -> None:
        self.function = function
        self.identity = identity
        # A kept connection might be one that the server is about to close.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self.transport = httpx.AsyncHTTPTransport(uds=str(directory / _SOCKET), limits=limits)
        self._directory = directory
        self._process = process
        self._leash = leash

    @property
    def pid(self) -> int:
        """The id of the process that keeps the server, which is their group's id as well."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._process.returncode is None

    @classmethod
    async def spawn(cls, function: Function, variables: Mapping[str, str]) -> WebProcess:
        """Start the function's Handler on a socket in a directory of its own.

        The server has to be uvicorn, which takes UVICORN_UDS over any --host and --port.

        Args:
            function: Whose server it is.
            variables: The environment; what Lambda and the adapter set is added.

        Raises:
            EnvironmentLost: No process can be started, as when the function's folder is missing.
        """
        # Made readable for this user only; in /tmp, since the path of a socket must be short.
        directory = Path(tempfile.mkdtemp(prefix="parley-web-", dir="/tmp"))
        # The server's scripts say `python`, and mean the one that has Parley's packages.
        ours_first = (str(Path(sys.executable).parent), variables.get("PATH", os.defpath))
        identity = lambda_variables(function)
        environment = {
            **variables,
            **identity,
            "PATH": os.pathsep.join(ours_first),
            "_HANDLER": function.handler,
            "AWS_LWA_PORT": "8080",  # the adapter's own default; nobody listens there
            "UVICORN_UDS": str(directory / _SOCKET),
        }
        try:
            process, ours = await start_child(
                function,
                environment,
                "parley_local.web_keeper",
                str(function.folder / function.handler),
                str(directory),
            )
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return cls(function, process, ours, directory, identity)

    async def ready(self, within: float) -> None:
        """Wait until the server answers its readiness check; it is gone when this raises.

        Args:
            within: Seconds that it may take.

        Raises:
            EnvironmentLost: The server ended, or took too long.
        """
        try:
            async with asyncio.timeout(within):
                while not await self._is_ready():
                    if not self.alive:
                        fault = f"{self.function.handler} ended with {self._process.returncode}."
                        break
                    await asyncio.sleep(_BETWEEN_CHECKS)
                else:
                    return
        except TimeoutError:
            fault = f"{self.function.handler} was not ready after {within:.2f} seconds."
        except BaseException:
            await self.kill()
            raise
        await self.kill()
        raise EnvironmentLost({"errorMessage": fault, "errorType": "Runtime.ExitError"})

    async def _is_ready(self) -> bool:
        path = self.function.variables.get("AWS_LWA_READINESS_CHECK_PATH", "/")
        request = httpx.Request("GET", f"http://localhost{path}")
        try:
            response = await self.transport.handle_async_request(request)
        except httpx.TransportError:
            return False
        await response.aclose()
        return response.status_code < _NOT_READY_FROM

    async def kill(self) -> None:
        """End the server and all that it started, at once."""
        await kill_group(self._process)
        self._forget()

    async def close(self) -> None:
        """Ask the server to end; after two seconds make it."""
        await stop_group(self._process)
        self._forget()

    def _forget(self) -> None:
        self._leash.close()
        shutil.rmtree(self._directory, ignore_errors=True)
