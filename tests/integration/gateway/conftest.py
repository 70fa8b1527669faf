"""Projects made of a small template and small functions, and a gateway that serves them."""

from __future__ import annotations

import asyncio
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from parley_local.gateway import Gateway
from parley_local.server import listen, serving, url_of
from parley_local.template_file import read_template
from parley_testing.waiting import HANG_SECONDS

HEADERS = {"Content-Type": "'application/problem+json'"}


class Project:
    """A template under construction, its functions beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.document: dict[str, Any] = {
            "Globals": {"Function": {"Handler": "app.handler", "Timeout": int(HANG_SECONDS)}},
            "Resources": {
                "Api": {
                    "Type": "AWS::Serverless::Api",
                    "Properties": {"StageName": "v1", "Auth": {}, "GatewayResponses": {}},
                }
            },
        }

    @property
    def api(self) -> dict[str, Any]:
        """The properties of the template's API."""
        properties: dict[str, Any] = self.document["Resources"]["Api"]["Properties"]
        return properties

    def function(self, name: str, code: str, *routes: str, **properties: Any) -> Project:
        """Add a function; a route is `GET /path`, or `GET /path open` without authorizer."""
        folder = self.root / "functions" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.py").write_text(textwrap.dedent(code))
        events = {}
        for number, route in enumerate(routes):
            method, path, *rest = route.split()
            auth = {"Auth": {"Authorizer": "NONE"}} if rest else {}
            events[f"Route{number}"] = {
                "Type": "Api",
                "Properties": {"Method": method, "Path": path, **auth},
            }
        self.document["Resources"][name] = {
            "Type": "AWS::Serverless::Function",
            "Properties": {"CodeUri": f"functions/{name}/", "Events": events, **properties},
        }
        return self

    def web_function(self, name: str, code: str, *routes: str, **properties: Any) -> Project:
        """Add a function that is a Starlette app behind Lambda Web Adapter; its routes stream."""
        self.function(name, code, *routes, **properties)
        script = self.root / "functions" / name / "run.sh"
        script.write_text(
            "#!/bin/sh\nexec python -m uvicorn app:app --port $AWS_LWA_PORT --log-level warning\n"
        )
        script.chmod(0o755)
        own = self.document["Resources"][name]["Properties"]
        own["Handler"] = "run.sh"
        own["Environment"] = {
            "Variables": {
                "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
                "AWS_LWA_READINESS_CHECK_PATH": "/ready",
            }
        }
        for event in own["Events"].values():
            event["Properties"] |= {
                "ResponseTransferMode": "RESPONSE_STREAM",
                "TimeoutInMillis": int(HANG_SECONDS * 1000),
            }
        return self

    def queue(self, name: str, function: str, **properties: Any) -> Project:
        """Add a queue that a function, added before, works off two messages at a time."""
        self.document["Resources"][name] = {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": [f"{name}Failures", "Arn"]},
                    "maxReceiveCount": 2,
                },
                **properties,
            },
        }
        self.document["Resources"][f"{name}Failures"] = {"Type": "AWS::SQS::Queue"}
        self.document["Resources"][function]["Properties"]["Events"]["Queue"] = {
            "Type": "SQS",
            "Properties": {
                "Queue": {"Fn::GetAtt": [name, "Arn"]},
                "BatchSize": 1,
                "ScalingConfig": {"MaximumConcurrency": 2},
            },
        }
        return self

    def authorizer(self, code: str, **settings: Any) -> Project:
        """Add a function that is every route's authorizer."""
        self.function("Guard", code)
        self.api["Auth"] = {
            "DefaultAuthorizer": "Token",
            "Authorizers": {"Token": {"FunctionArn": {"Fn::GetAtt": ["Guard", "Arn"]}, **settings}},
        }
        return self

    def gateway_response(self, kind: str, template: str, **more: Any) -> Project:
        """Add a GatewayResponse of the content type application/problem+json."""
        self.api["GatewayResponses"][kind] = {
            "ResponseParameters": {"Headers": HEADERS},
            "ResponseTemplates": {"application/json": template},
            **more,
        }
        return self

    def write(self) -> Path:
        """Write template.yaml and return its path."""
        path = self.root / "template.yaml"
        path.write_text(yaml.safe_dump(self.document))
        return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@contextmanager
def running(gateway_of: Callable[[], Gateway]) -> Iterator[tuple[str, Gateway]]:
    """Serve a gateway from a thread with an event loop of its own, until the block is left."""
    ready, stop = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def serve() -> None:
        with listen("127.0.0.1", 0) as listener:
            gateway = gateway_of()
            async with gateway, serving(gateway, listener):
                found.extend([url_of(listener), gateway, asyncio.get_running_loop()])
                ready.set()
                await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(HANG_SECONDS)
    url, gateway, loop = found
    try:
        yield url, gateway
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(HANG_SECONDS)
        assert not thread.is_alive()


@pytest.fixture
def serve(project: Project) -> Iterator[Callable[..., httpx.Client]]:
    """Return what starts a gateway on the project and gives a client for it.

    The gateway itself is the client's attribute `gateway`.
    """
    with ExitStack() as stack:

        def start(*, variables: dict[str, str] | None = None, **options: Any) -> httpx.Client:
            template = read_template(project.write())
            unhurried = {"integration_timeout": HANG_SECONDS}
            url, gateway = stack.enter_context(
                running(lambda: Gateway(template, variables or {}, **unhurried | options))
            )
            client = stack.enter_context(
                httpx.Client(base_url=url, timeout=HANG_SECONDS, trust_env=False)
            )
            client.gateway = gateway  # type: ignore[attr-defined]
            return client

        yield start
