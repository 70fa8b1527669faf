"""A stack as it stands on AWS: the packaged functions, each in its own execution environment."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, Self

from parley_local.cloudformation import load
from parley_testing.account.moto import Account
from parley_testing.api.handlers import Answer, rest_event
from parley_testing.models.server import ModelServer
from parley_testing.packaged.adapter import Adapter
from parley_testing.packaged.emulator import Emulator
from parley_testing.packaged.packages import Packages
from parley_testing.postgres.databases import owner_url
from parley_testing.waiting import HANG_SECONDS


class Deployment:
    """Starts each function when it is first asked for, with what the template gives it.

    Attributes:
        variables: What only a deployed stack knows, put over the template's variables.
        timeout: In seconds, for all functions; None for so long that only what hangs is ended.
    """

    def __init__(
        self,
        packages: Packages,
        variables: Mapping[str, str],
        logs: Path,
        *,
        timeout: int | None = None,
    ) -> None:
        self.variables = dict(variables)
        self.timeout = timeout
        self._packages = packages
        self._logs = logs
        self._started: dict[str, Emulator] = {}
        self._adapter: Adapter | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __getitem__(self, name: str) -> Emulator:
        """Return a function's environment, warm from the second time on."""
        if name not in self._started:
            self._started[name] = self._stack.enter_context(self._emulator(name))
        return self._started[name]

    @property
    def stream(self) -> Adapter:
        """The function behind the adapter, which is no handler; warm from the second time on."""
        if self._adapter is None:
            function = self._packages.functions["Stream"]
            self._adapter = self._stack.enter_context(
                Adapter(
                    self._packages.unpacked["Stream"],
                    {**function.variables, **self.variables},
                    self._logs / "Stream.log",
                    self._logs / "bin",
                    handler=function.handler,
                    timeout=self.timeout or int(max(function.timeout, HANG_SECONDS)),
                )
            )
        return self._adapter

    def send(
        self, method: str, path: str, body: Any = None, *, session: str = "", **parts: Any
    ) -> Answer:
        """Send a request to the function behind its route; see `rest_event` for the parts.

        Args:
            method: GET, POST, …
            path: As in the template; `{session_id}` is filled in.
            body: What is sent as JSON.
            session: The session's id.
            parts: The rest of the request.
        """
        event = rest_event(method, path.replace("{session_id}", session), body, **parts)
        event["resource"] = path
        event["pathParameters"] = {"session_id": session} if session else None
        sends = method == "POST" and path.endswith("/messages")
        return self["Messages" if sends else "Sessions"].invoke(event).answer

    def _emulator(self, name: str) -> Emulator:
        function = self._packages.functions[name]
        return Emulator(
            self._packages.unpacked[name],
            {**function.variables, **self.variables},
            self._logs / f"{name}.log",
            handler=function.handler,
            timeout=self.timeout or int(max(function.timeout, HANG_SECONDS)),
            memory=function.memory,
        )


class Deploy(Protocol):
    """Makes deployments; see the fixture of that name."""

    def __call__(self, *, timeout: int | None = None, **variables: str) -> Deployment: ...


def new_memory_table(account: Account, packages: Packages) -> str:
    """Make an empty table, as the template describes it."""
    template: dict[str, Any] = load(packages.built.template)
    return account.table(template["Resources"]["MemoryTable"]["Properties"])


def stack_variables(
    account: Account, database_url: str, memory_table: str, wakeups: str, model: ModelServer
) -> dict[str, str]:
    """Return what a stack tells its functions of what they work on."""
    return {
        "AWS_ENDPOINT_URL": account.url,
        "DATABASE_SECRET_ARN": account.secret(owner_url(database_url)),
        "DATABASE_RUNTIME_SECRET_ARN": account.secret(database_url),
        "OPENAI_SECRET_ARN": account.parameter("sk-of-the-test"),
        "OPENAI_BASE_URL": model.base_url,
        "AGENT_SESSION_TABLE": memory_table,
        "WAKE_QUEUE_URL": wakeups,
    }
