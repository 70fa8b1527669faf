"""Functions behind Lambda Web Adapter: requests handed on, responses passed on as they come."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from parley_local.execution import EnvironmentLost
from parley_local.template_file import read_template
from parley_local.web_function import WebFunction, error_statuses
from parley_testing.waiting import HANG_SECONDS, alive, longer_and_longer, wait_for

Serve = Callable[..., httpx.Client]

APP = """
    import asyncio, os, pathlib
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def until(path):
        while not pathlib.Path(path).exists():
            await asyncio.sleep(0.01)

    async def ready(request):
        return Response(status_code=204)

    async def slow(request):
        gate = request.query_params["gate"]
        async def parts():
            try:
                yield b"first"
                await until(gate)
                if "die" in request.query_params:
                    os._exit(3)
                yield b"last"
            finally:
                pathlib.Path(gate + ".left").touch()
        return StreamingResponse(parts(), media_type="text/event-stream")

    async def late(request):
        pathlib.Path(request.query_params["gate"] + ".come").touch()
        try:
            await until(request.query_params["gate"])
        finally:
            pathlib.Path(request.query_params["gate"] + ".left").touch()
        return Response()

    async def flood(request):
        note = pathlib.Path(request.query_params["note"])
        async def parts():
            for number in range(1000):
                note.write_text(str(number))
                yield b"x" * 1_000_000
        return StreamingResponse(parts())

    async def echo(request):
        raw = request.headers.raw
        return JSONResponse(
            {
                "pid": os.getpid(),
                "server": request.scope["server"][0],
                "method": request.method,
                "path": request.scope["raw_path"].decode(),
                "query": request.scope["query_string"].decode(),
                "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in raw],
                "body": (await request.body()).decode(),
                "function": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
                "given": os.environ.get("GIVEN"),
            },
            status_code=201,
            headers={"X-Own": "1", "Connection": "X-Hop", "X-Hop": "1"},
        )

    app = Starlette(routes=[
        Route("/ready", ready),
        Route("/slow", slow),
        Route("/late", late),
        Route("/flood", flood),
        Route("/echo/{rest:path}", echo, methods=["GET", "POST"]),
    ])
"""
ROUTES = ("get /slow", "get /late", "get /flood", "any /echo/{rest+}")
GUARD = """
    def handler(event, context):
        if event["authorizationToken"] != "Bearer good":
            raise Exception("Unauthorized")
        statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
        return {
            "principalId": "p",
            "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            "context": {"user_id": "Zoë"},
        }
"""


@pytest.fixture
def streaming(project: Any) -> Any:
    return project.web_function("Stream", APP, *ROUTES)


def contexts(answer: dict[str, Any]) -> dict[str, list[Any]]:
    """What a function sees of headers that speak of a context, parsed as UTF-8 JSON."""
    found: dict[str, list[Any]] = {}
    for name, value in answer["headers"]:
        if "context" in name:
            found.setdefault(name, []).append(json.loads(value.encode("latin-1")))
    return found


def test_the_first_part_arrives_while_the_function_still_works(
    streaming: Any, serve: Serve, tmp_path: Path
) -> None:
    # A limit of no time at all: a route with one of its own is not held to API Gateway's.
    client = serve(integration_timeout=0)
    gate = tmp_path / "gate"

    with client.stream("GET", "/slow", params={"gate": str(gate)}) as response:
        parts = response.iter_raw()
        assert next(parts) == b"first"
        assert response.headers["content-type"].startswith("text/event-stream")
        assert not (tmp_path / "gate.left").exists()
        gate.touch()
        assert b"".join(parts) == b"last"


def test_the_log_tells_of_a_stream_when_it_ends(
    streaming: Any, serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "parley_local.gateway")
    client = serve()
    gate = tmp_path / "gate"

    with client.stream("GET", "/slow", params={"gate": str(gate)}) as response:
        parts = response.iter_raw()
        next(parts)
        assert "/slow" not in caplog.text
        gate.touch()
        assert b"".join(parts) == b"last"

    wait_for(lambda: "GET /slow 200" in caplog.text)
    assert "9 bytes streamed" in caplog.text


def test_a_request_is_handed_on_as_it_is(streaming: Any, serve: Serve) -> None:
    client = serve(variables={"GIVEN": "yes"})

    response = client.post("/echo/a%2Fb%20c?x=%20y&x=2", content="Grüße", headers={"X-A": "1"})

    answer = response.json()
    assert response.status_code == 201
    assert (answer["method"], answer["path"]) == ("POST", "/echo/a%2Fb%20c")
    assert (answer["query"], answer["body"]) == ("x=%20y&x=2", "Grüße")
    assert ["x-a", "1"] in answer["headers"]
    assert ["x-forwarded-for", "127.0.0.1"] in answer["headers"]
    assert (answer["function"], answer["given"]) == ("Stream", "yes")


def test_headers_for_one_hop_stay_there_and_the_gateways_are_added(
    streaming: Any, serve: Serve
) -> None:
    response = serve().get("/echo/x")

    assert response.headers["x-own"] == "1"
    assert "x-hop" not in response.headers
    assert len(response.headers.get_list("date")) == 1
    assert "x-amzn-remapped-date" in response.headers
    (context,) = contexts(response.json())["x-amzn-request-context"]
    assert context["requestId"] == response.headers["x-amzn-requestid"]


def test_the_function_is_told_who_asks_and_a_client_cannot_say_it(
    streaming: Any, serve: Serve
) -> None:
    streaming.authorizer(GUARD)
    client = serve()
    forged = json.dumps({"authorizer": {"user_id": "mallory"}})
    names = ("X-Amzn-Request-Context", "x-amzn-lambda-context", "x-amzn-other-context-too")

    response = client.get(
        "/echo/x", headers={"Authorization": "Bearer good", **dict.fromkeys(names, forged)}
    )

    seen = contexts(response.json())
    (request,), (function,) = seen["x-amzn-request-context"], seen["x-amzn-lambda-context"]
    assert set(seen) == {"x-amzn-request-context", "x-amzn-lambda-context"}
    assert request["authorizer"]["user_id"] == "Zoë"
    assert (request["stage"], request["resourcePath"]) == ("v1", "/echo/{rest+}")
    assert function["request_id"] == request["requestId"]
    # The function's own time-out, from when the request came, or somewhat later.
    assert (function["deadline"] - request["requestTimeEpoch"]) / 1000 > HANG_SECONDS - 1


def test_the_server_believes_its_callers_so_only_the_gateway_can_call_it(
    streaming: Any, serve: Serve
) -> None:
    client = serve()
    place = Path(client.get("/echo/x").json()["server"])

    (group,) = client.gateway.web_functions["Stream"].pids  # type: ignore[attr-defined]
    processes = [psutil.Process(group), *psutil.Process(group).children(recursive=True)]
    ports = [c for process in processes for c in process.net_connections("inet")]
    assert [c.laddr for c in ports if c.status == psutil.CONN_LISTEN] == []
    assert place.is_socket()
    # Other users of the machine cannot enter where it is.
    assert (place.parent.stat().st_mode & 0o777, place.parent.stat().st_uid) == (0o700, os.getuid())


def test_the_authorizer_is_asked_first(streaming: Any, serve: Serve, tmp_path: Path) -> None:
    streaming.authorizer(GUARD)
    client = serve()

    response = client.get("/late", params={"gate": str(tmp_path)}, headers={"Authorization": "x"})

    assert response.status_code == 401
    assert client.gateway.web_functions["Stream"].pids == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(("path", "begun"), [("/slow", True), ("/late", False)])
def test_a_client_that_goes_away_is_noticed_by_the_function(
    streaming: Any,
    serve: Serve,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    path: str,
    begun: bool,
) -> None:
    caplog.set_level(logging.INFO, "parley_local.gateway")
    client = serve()
    client.get("/echo/x")
    gate = tmp_path / "gate"

    if begun:
        with client.stream("GET", path, params={"gate": str(gate)}) as response:
            next(response.iter_raw())
    else:
        url = client.base_url
        with socket.create_connection((url.host, url.port)) as connection:
            connection.sendall(
                f"GET {path}?gate={gate} HTTP/1.1\r\nHost: {url.host}\r\n\r\n".encode()
            )
            wait_for((tmp_path / "gate.come").exists)

    # It never was let on by the gate: only the end of its connection can have ended it.
    if begun:
        wait_for((tmp_path / "gate.left").exists)
    wait_for(lambda: "the client went away" in caplog.text)


def test_a_reader_that_does_not_read_holds_the_function_back(
    streaming: Any, serve: Serve, tmp_path: Path
) -> None:
    client = serve()
    note = tmp_path / "note"
    counts = [-1, -2]

    with client.stream("GET", "/flood", params={"note": str(note)}) as response:
        parts = response.iter_raw()
        next(parts)
        while counts[-1] != counts[-2]:
            time.sleep(0.5)
            counts.append(int(note.read_text() or -len(counts)))
        # What is on its way fits into sockets' buffers: far from all of the gigabyte.
        assert counts[-1] < 200
        held = counts[-1]
        for _ in parts:
            if int(note.read_text() or 0) > held:
                break


def test_a_stream_whose_function_dies_breaks_off_and_the_next_request_finds_a_new_one(
    streaming: Any, serve: Serve, tmp_path: Path
) -> None:
    client = serve()
    before = client.get("/echo/x").json()["pid"]
    gate = tmp_path / "gate"

    with client.stream("GET", "/slow", params={"gate": str(gate), "die": "1"}) as response:
        parts = response.iter_raw()
        assert next(parts) == b"first"
        gate.touch()
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)

    wait_for(lambda: not alive(before))  # its connections close before it is gone
    assert client.get("/echo/x").json()["pid"] != before


def test_a_server_that_was_killed_is_started_anew(streaming: Any, serve: Serve) -> None:
    client = serve()
    before = client.get("/echo/x").json()["pid"]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: not alive(before))

    assert client.get("/echo/x").json()["pid"] != before


def test_requests_at_the_same_time_share_the_process(
    streaming: Any, serve: Serve, tmp_path: Path
) -> None:
    client = serve()
    gate = tmp_path / "gate"

    with client.stream("GET", "/slow", params={"gate": str(gate)}) as response:
        parts = response.iter_raw()
        next(parts)
        assert client.get("/echo/x").status_code == 201
        gate.touch()
        assert b"".join(parts) == b"last"
    assert len(client.gateway.web_functions["Stream"].pids) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(("limits", "status"), [((500, 300), 504), ((300_000, 1), 502)])
def test_a_response_that_does_not_begin_in_time_is_the_gateways(
    streaming: Any, serve: Serve, tmp_path: Path, limits: tuple[int, int], status: int
) -> None:
    own = streaming.document["Resources"]["Stream"]["Properties"]
    own["Events"]["Route1"]["Properties"]["TimeoutInMillis"], own["Timeout"] = limits
    client = serve()
    client.get("/echo/x")

    assert client.get("/late", params={"gate": str(tmp_path / "gate")}).status_code == status


def test_a_response_over_its_time_is_cut(streaming: Any, serve: Serve, tmp_path: Path) -> None:
    route = streaming.document["Resources"]["Stream"]["Properties"]["Events"]["Route0"]
    for seconds in longer_and_longer(1):
        route["Properties"]["TimeoutInMillis"] = round(seconds * 1000)
        client = serve()
        client.get("/echo/x")
        gate = tmp_path / f"gate-{seconds}"

        with client.stream("GET", "/slow", params={"gate": str(gate)}) as response:
            if response.status_code == 504:  # it was over before the response began
                continue
            parts = response.iter_raw()
            try:
                assert next(parts) == b"first"
            except httpx.RemoteProtocolError:  # or between its head and what comes first
                continue
            with pytest.raises(httpx.RemoteProtocolError):
                list(parts)

        wait_for(gate.with_name(f"{gate.name}.left").exists)
        return
    raise AssertionError("no response began in time")


def test_a_status_that_the_adapter_takes_for_a_failure_is_answered_by_the_gateway(
    streaming: Any, serve: Serve
) -> None:
    own = streaming.document["Resources"]["Stream"]["Properties"]
    own["Environment"]["Variables"]["AWS_LWA_ERROR_STATUS_CODES"] = "500, 502-504,201"
    client = serve()

    # The app answers 201.
    response = client.get("/echo/x")

    assert response.status_code == 502
    assert "x-own" not in response.headers
    assert error_statuses("500, 502-504,201") == {201, 500, 502, 503, 504}
    assert error_statuses("") == frozenset()


def test_a_request_over_lambdas_limit_is_not_handed_on(streaming: Any, serve: Serve) -> None:
    assert serve().post("/echo/x", content=b"x" * 7_000_000).status_code == 413


def run_with(
    project: Any, use: Callable[[WebFunction], Any], variables: dict[str, str] | None = None
) -> None:
    async def run() -> None:
        (function,) = read_template(project.write()).functions.values()
        web = WebFunction(function, variables or {}, init_timeout=HANG_SECONDS)
        try:
            await use(web)
        finally:
            await web.aclose()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("script", "fault"),
    [("#!/bin/sh\nexit 7\n", "ended with 7"), ("no script", "ended with 126")],
)
def test_a_server_that_does_not_start_says_so_and_leaves_no_process(
    streaming: Any, script: str, fault: str
) -> None:
    (streaming.root / "functions/Stream/run.sh").write_text(script)

    async def use(web: WebFunction) -> None:
        with pytest.raises(EnvironmentLost, match=fault):
            await web.prewarm()
        assert web.pids == []

    run_with(streaming, use)


STUBBORN = """
    import os, signal, subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with open(os.environ["NOTE"], "w") as note:
        note.write(f"{os.getpid()} {child.pid} {os.environ['UVICORN_UDS']}")
    async def app(scope, receive, send):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
"""


def noted(note: Path) -> tuple[list[int], Path]:
    """The processes of a stubborn server, and its socket."""
    *pids, place = note.read_text().split()
    return [int(pid) for pid in pids], Path(place)


def test_closing_leaves_no_server_and_nothing_that_one_started(
    project: Any, tmp_path: Path
) -> None:
    project.web_function("Stubborn", STUBBORN)
    note = tmp_path / "pids"

    async def use(web: WebFunction) -> None:
        await web.prewarm()
        assert all(alive(pid) for pid in noted(note)[0])
        assert noted(note)[1].exists()

    run_with(project, use, {"NOTE": str(note), "PATH": os.environ["PATH"]})

    pids, place = noted(note)
    wait_for(lambda: not any(alive(pid) for pid in pids))
    assert not place.parent.exists()


DYING_GATEWAY = """
    import asyncio, os, sys
    from pathlib import Path
    from parley_local.template_file import read_template
    from parley_local.web_function import WebFunction

    async def main():
        (function,) = read_template(Path(sys.argv[1])).functions.values()
        await WebFunction(function, dict(os.environ)).prewarm()
        os._exit(7)

    asyncio.run(main())
"""


def test_a_server_ends_when_its_gateway_dies_without_a_word(project: Any, tmp_path: Path) -> None:
    project.web_function("Stubborn", STUBBORN)
    note = tmp_path / "pids"

    gateway = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DYING_GATEWAY), str(project.write())],
        env={**os.environ, "NOTE": str(note)},
        timeout=HANG_SECONDS,
        check=False,
    )

    assert gateway.returncode == 7
    pids, place = noted(note)
    wait_for(lambda: not any(alive(pid) for pid in pids))
    assert not place.parent.exists()
