"""The gateway's side of one execution environment."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parley.errors import ParleyError
from parley_local import frames
from parley_local.lambda_identity import function_arn, lambda_variables
from parley_local.process_group import STOP_SECONDS, how_it_ended, kill_group, stop_group
from parley_local.template import Function

START_SECONDS = 300.0
"""How long a function may take to be imported, and to be ready: on a machine that is busy with much
else all of them start at once. What takes longer hangs. Lambda gives ten seconds."""


@dataclass(frozen=True)
class Answer:
    """What an invocation came to: the handler's result, or the error as Lambda words it."""

    result: Any = None
    error: dict[str, Any] | None = None


class EnvironmentLost(ParleyError):
    """The process ended, or had to be ended; carries Lambda's error for it."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("errorMessage", ""))
        self.error = error


async def start_child(
    function: Function, variables: Mapping[str, str], module: str, *arguments: str
) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """Start a Python module in the function's folder, with a socket to it.

    Args:
        function: On whose behalf.
        variables: The environment of the process.
        module: What to run.
        arguments: What to tell it; the number of its end of the socket comes last.

    Returns:
        The process, which leads a group of its own, and our end of the socket.

    Raises:
        EnvironmentLost: No process can be started, as when the function's folder is missing.
    """
    ours, theirs = socket.socketpair()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working folder is the function's; it gets on the path on purpose only
            "-m",
            module,
            *arguments,
            str(theirs.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            # Logs go where the gateway's go; its standard output is for the user's answer.
            stdout=2,
            cwd=function.folder,
            env=variables,
            pass_fds=[theirs.fileno()],
            # A group of its own: Ctrl-C in the terminal reaches the gateway only.
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        fault = f"{function.name} cannot be started: {error}"
        raise EnvironmentLost(
            {"errorMessage": fault, "errorType": "Runtime.InvalidEntrypoint"}
        ) from error
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


class ExecutionEnvironment:
    """One process that holds one function: `spawn` it, wait until it is `ready`, then `invoke`.

    Not for concurrent use, but `kill` and `close` may come at any time.
    """

    def __init__(
        self,
        function: Function,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.function = function
        self._process = process
        self._reader = reader
        self._writer = writer

    @property
    def pid(self) -> int:
        """The process's id, which is its process group's id as well."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    @classmethod
    async def spawn(cls, function: Function, variables: Mapping[str, str]) -> ExecutionEnvironment:
        """Start a process that begins to import the function.

        Args:
            function: What it is to hold.
            variables: The environment of the process; Lambda's own variables are added.

        Raises:
            EnvironmentLost: No process can be started, as when the function's folder is missing.
        """
        process, ours = await start_child(
            function,
            {**variables, **lambda_variables(function)},
            "parley_local.environment",
            str(function.folder),
            function.handler,
        )
        try:
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            await kill_group(process)
            raise
        return cls(function, process, reader, writer)

    async def ready(self, within: float) -> None:
        """Wait until the function is imported; the process is gone when this raises.

        Args:
            within: Seconds that the import may take.

        Raises:
            EnvironmentLost: The import failed or took too long, or the process ended.
        """
        try:
            hello = await self._receive("init", within)
        except asyncio.CancelledError:
            await self.kill()
            raise
        if "error" in hello:
            await self.kill()
            raise EnvironmentLost(hello["error"])

    async def invoke(self, event: Any, request_id: str) -> Answer:
        """Run the handler on one event.

        Raises:
            EnvironmentLost: The function's time-out passed and the process was killed, or it
                ended by itself.
        """
        deadline = time.time() + self.function.timeout
        message = {
            "event": event,
            "request_id": request_id,
            "function_arn": function_arn(self.function.name),
            "deadline": deadline,
        }
        try:
            self._writer.write(frames.pack(message))
            await self._writer.drain()
            reply = await self._receive(request_id, self.function.timeout)
        except ConnectionError as error:
            raise EnvironmentLost(await self._ended(request_id)) from error
        except asyncio.CancelledError:
            # The answer would arrive in the next invocation's place.
            await self.kill()
            raise
        return Answer(result=reply.get("result"), error=reply.get("error"))

    async def _receive(self, request_id: str, within: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(within):
                reply: dict[str, Any] = await frames.read(self._reader)
                return reply
        except TimeoutError as error:
            await self.kill()
            raise EnvironmentLost(
                {
                    "errorMessage": f"RequestId: {request_id} Error: "
                    f"Task timed out after {within:.2f} seconds",
                    "errorType": "Sandbox.Timedout",
                }
            ) from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EnvironmentLost(await self._ended(request_id)) from error

    async def _ended(self, request_id: str) -> dict[str, Any]:
        """Wait for a process that has hung up, and say how it ended."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            code = -signal.SIGKILL
        await self.kill()
        return {
            "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: "
            f"{how_it_ended(code)}",
            "errorType": "Runtime.ExitError",
        }

    async def kill(self) -> None:
        """End the process and all that it started, at once."""
        self._writer.close()
        await kill_group(self._process)

    async def close(self) -> None:
        """Ask the process to end; after two seconds make it."""
        self._writer.close()
        await stop_group(self._process)
