"""The process of a function that is an HTTP server: started, waited for, stopped."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from parley_local.execution import EnvironmentLost, start_child
from parley_local.lambda_identity import lambda_variables
from parley_local.process_group import kill_group, stop_group
from parley_local.server import listen
from parley_local.template import Function

_LOOPBACK = "127.0.0.1"
_BETWEEN_CHECKS = 0.02
_NOT_READY_FROM = 500
"""The adapter takes any status below for ready."""


class WebProcess:
    """A server on a port of its own: `spawn` it, then wait until it is `ready` for requests.

    `identity` are the variables that Lambda itself sets for it.
    """

    def __init__(
        self,
        function: Function,
        process: asyncio.subprocess.Process,
        leash: socket.socket,
        port: int,
        identity: Mapping[str, str],
    ) -> None:
        self.function = function
        self.port = port
        self.identity = identity
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
        """Start the function's Handler on a free port.

        Args:
            function: Whose server it is.
            variables: The environment; what Lambda and the adapter set is added.

        Raises:
            EnvironmentLost: No process can be started, as when the function's folder is missing.
        """
        with listen(_LOOPBACK, 0) as free:
            port = int(free.getsockname()[1])
        # The server's scripts say `python`, and mean the one that has Parley's packages.
        ours_first = (str(Path(sys.executable).parent), variables.get("PATH", os.defpath))
        identity = lambda_variables(function)
        environment = {
            **variables,
            **identity,
            "PATH": os.pathsep.join(ours_first),
            "_HANDLER": function.handler,
            "AWS_LWA_PORT": str(port),
        }
        process, ours = await start_child(
            function,
            environment,
            "parley_local.web_keeper",
            str(function.folder / function.handler),
        )
        return cls(function, process, ours, port, identity)

    async def ready(self, transport: httpx.AsyncBaseTransport, within: float) -> None:
        """Wait until the server answers its readiness check; it is gone when this raises.

        Args:
            transport: Carries the checks.
            within: Seconds that it may take.

        Raises:
            EnvironmentLost: The server ended, or took too long.
        """
        try:
            async with asyncio.timeout(within):
                while not await self._is_ready(transport):
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

    async def _is_ready(self, transport: httpx.AsyncBaseTransport) -> bool:
        path = self.function.variables.get("AWS_LWA_READINESS_CHECK_PATH", "/")
        request = httpx.Request("GET", f"http://{_LOOPBACK}:{self.port}{path}")
        try:
            response = await transport.handle_async_request(request)
        except httpx.TransportError:
            return False
        await response.aclose()
        return response.status_code < _NOT_READY_FROM

    async def kill(self) -> None:
        """End the server and all that it started, at once."""
        await kill_group(self._process)
        self._leash.close()

    async def close(self) -> None:
        """Ask the server to end; after two seconds make it."""
        await stop_group(self._process)
        self._leash.close()
