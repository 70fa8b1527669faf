"""Execution environments: one event at a time, kept warm, replaced when lost, never left behind."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from parley_local.execution import EnvironmentLost, ExecutionEnvironment
from parley_local.pool import Pool
from parley_local.template import Function
from parley_local.template_file import read_template
from parley_testing.waiting import HANG_SECONDS, alive, wait_for

Serve = Callable[..., httpx.Client]

# The gate is a file: an event waits until the test has made it, so nothing depends on time.
WAIT = """
    import json, os, pathlib, time
    served = 0
    def handler(event, context):
        global served
        served += 1
        gate = event["queryStringParameters"]["gate"]
        pathlib.Path(gate + "." + str(os.getpid())).touch()
        while not pathlib.Path(gate).exists():
            time.sleep(0.01)
        return {"statusCode": 200, "body": json.dumps([os.getpid(), served])}
"""
FAIL = """
    import os, signal, sys
    def handler(event, context):
        match event["queryStringParameters"]["how"]:
            case "exception": raise LookupError("no such thing")
            case "exit": sys.exit(3)
            case "kill": os.kill(os.getpid(), signal.SIGKILL)
            case "string": return "hello"
            case "status": return {"body": "no status"}
            case "json": return {"statusCode": 200, "body": {1, 2}}
            case "header": return {"statusCode": 200, "headers": {"a": "b\\r\\nc: d"}}
            case "large": return {"statusCode": 200, "body": "x" * 7_000_000}
        return {"statusCode": 200, "body": str(os.getpid())}
"""


def test_a_warm_process_serves_the_next_event(project: Any, serve: Serve, tmp_path: Path) -> None:
    project.function("Wait", WAIT, "get /wait")
    client = serve()
    (tmp_path / "open").touch()

    answers = [client.get("/wait", params={"gate": str(tmp_path / "open")}).json() for _ in "123"]

    assert [served for _, served in answers] == [1, 2, 3]
    assert len({pid for pid, _ in answers}) == 1


def test_events_at_the_same_time_run_in_processes_of_their_own_up_to_the_limit(
    project: Any, serve: Serve, tmp_path: Path
) -> None:
    project.function("Wait", WAIT, "get /wait")
    client = serve(processes=2)
    gates = [tmp_path / "first", tmp_path / "second", tmp_path / "third"]

    with ThreadPoolExecutor(3) as threads:
        calls = []
        for gate in gates[:2]:
            calls.append(threads.submit(client.get, "/wait", params={"gate": str(gate)}))
            wait_for(lambda gate=gate: list(tmp_path.glob(gate.name + ".*")))  # type: ignore[misc]
        calls.append(threads.submit(client.get, "/wait", params={"gate": str(gates[2])}))
        gates[2].touch()
        time.sleep(0.3)
        assert not calls[2].done()
        assert list(tmp_path.glob("third.*")) == []
        assert len(client.gateway.pools["Wait"].pids) == 2  # type: ignore[attr-defined]
        gates[0].touch()
        third = calls[2].result(HANG_SECONDS).json()
        gates[1].touch()
        first, second = (call.result(HANG_SECONDS).json() for call in calls[:2])

    assert first[0] != second[0]
    assert third == [first[0], 2]


@pytest.mark.parametrize(
    "how", ["exception", "exit", "kill", "string", "status", "json", "header", "large"]
)
def test_a_function_that_fails_is_502_and_works_the_next_time(
    project: Any, serve: Serve, how: str
) -> None:
    project.function("Fail", FAIL, "get /fail")
    project.gateway_response("DEFAULT_5XX", '{"detail": $context.error.messageString}')
    client = serve()

    response = client.get("/fail", params={"how": how})

    assert response.status_code == 502
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {"detail": "Internal server error"}
    assert client.get("/fail", params={"how": "not"}).status_code == 200


def test_a_function_over_its_time_out_is_killed(project: Any, serve: Serve, tmp_path: Path) -> None:
    project.function("Wait", WAIT, "get /wait", Timeout=1)
    client = serve()
    gate = tmp_path / "gate"

    def killed_in_it() -> bool:
        """Whether it had come as far as to its code; a busy machine may be too late for that."""
        assert client.get("/wait", params={"gate": str(gate)}).status_code == 502
        return bool(list(tmp_path.glob("gate.*")))

    wait_for(killed_in_it)
    assert not any(alive(int(witness.suffix[1:])) for witness in tmp_path.glob("gate.*"))
    gate.touch()
    answers: list[httpx.Response] = []

    def answered() -> bool:
        answers.append(client.get("/wait", params={"gate": str(gate)}))
        return answers[-1].status_code == 200

    wait_for(answered)
    assert answers[-1].json()[1] == 1


def test_a_function_over_the_integration_limit_is_504_and_goes_on(
    project: Any, serve: Serve, tmp_path: Path
) -> None:
    project.function("Wait", WAIT, "get /wait")
    project.gateway_response("INTEGRATION_TIMEOUT", '{"detail": "$context.error.message"}')
    client = serve(integration_timeout=0.5, processes=1)
    gate = tmp_path / "gate"

    response = client.get("/wait", params={"gate": str(gate)})

    assert response.status_code == 504
    assert response.json() == {"detail": "Endpoint request timed out"}
    wait_for(lambda: list(tmp_path.glob("gate.*")))  # it may just be starting
    gate.touch()
    (witness,) = tmp_path.glob("gate.*")
    answered: list[httpx.Response] = []

    def is_served() -> bool:
        answered.append(client.get("/wait", params={"gate": str(gate)}))
        return answered[-1].status_code == 200

    wait_for(is_served)  # whichever of them is no more than half a second late
    # The same process, its first event ended: it was neither killed nor given a second at once.
    pid, served = answered[-1].json()
    assert pid == int(witness.suffix[1:])
    assert served >= 2


def run_with_pool(
    project: Any, use: Callable[[Pool], Coroutine[Any, Any, None]], **options: Any
) -> None:
    """Run a coroutine with the pool of the project's only function."""

    async def run() -> None:
        (function,) = read_template(project.write()).functions.values()
        pool = Pool(function, {}, **options)
        try:
            await use(pool)
        finally:
            await pool.aclose()

    asyncio.run(run())


def test_an_exception_is_answered_as_lambda_words_it(project: Any) -> None:
    project.function("Fail", FAIL)

    async def use(pool: Pool) -> None:
        answer = await pool.invoke({"queryStringParameters": {"how": "exception"}}, "r-1")
        assert answer.error is not None
        assert answer.error["errorType"] == "LookupError"
        assert answer.error["errorMessage"] == "no such thing"
        assert any("in handler" in line for line in answer.error["stackTrace"])

    run_with_pool(project, use)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("exit", "RequestId: r-1 Error: Runtime exited with error: exit status 3"),
        ("kill", "RequestId: r-1 Error: Runtime exited with error: signal: SIGKILL"),
    ],
)
def test_a_process_that_ends_is_an_exit_error(project: Any, how: str, error: str) -> None:
    project.function("Fail", FAIL)

    async def use(pool: Pool) -> None:
        answer = await pool.invoke({"queryStringParameters": {"how": how}}, "r-1")
        assert answer.error == {"errorMessage": error, "errorType": "Runtime.ExitError"}
        assert pool.pids == []

    run_with_pool(project, use)


def test_a_function_that_cannot_be_imported_says_why_and_leaves_no_process(project: Any) -> None:
    project.function("Broken", "raise ValueError('Set DATABASE_URL')")

    async def use(pool: Pool) -> None:
        answer = await pool.invoke({}, "r-1")
        assert answer.error is not None
        assert answer.error["errorMessage"] == "Set DATABASE_URL"
        with pytest.raises(EnvironmentLost, match="Set DATABASE_URL"):
            await pool.prewarm()
        assert pool.pids == []

    run_with_pool(project, use)


def test_an_import_that_hangs_is_ended(project: Any) -> None:
    project.function("Slow", "import time; time.sleep(60)")

    async def use(pool: Pool) -> None:
        with pytest.raises(EnvironmentLost, match=r"timed out after 0\.50 seconds"):
            await pool.prewarm()
        assert pool.pids == []

    run_with_pool(project, use, init_timeout=0.5)


def test_a_prewarmed_process_serves_the_first_event(project: Any) -> None:
    project.function("Fail", FAIL)

    async def use(pool: Pool) -> None:
        await pool.prewarm()
        (pid,) = pool.pids
        answer = await pool.invoke({"queryStringParameters": {"how": "not"}}, "r-1")
        assert answer.result["body"] == str(pid)

    run_with_pool(project, use)


def test_the_process_used_last_is_used_next(project: Any, tmp_path: Path) -> None:
    project.function("Wait", WAIT)

    async def use(pool: Pool) -> None:
        gates = [str(tmp_path / name) for name in ("a", "b")]
        events = [{"queryStringParameters": {"gate": gate}} for gate in gates]
        calls = [asyncio.create_task(pool.invoke(event, "r")) for event in events]
        await asyncio.to_thread(wait_for, lambda: len(list(tmp_path.glob("?.*"))) == 2)
        for gate, call in zip(gates, calls, strict=True):
            Path(gate).touch()  # noqa: ASYNC240
            await call
        last = calls[1].result().result["body"]
        again = await pool.invoke(events[0], "r")
        assert again.result["body"] == last.replace("1]", "2]")

    run_with_pool(project, use)


def test_a_cancelled_invocation_gives_its_answer_to_nobody(project: Any, tmp_path: Path) -> None:
    project.function("Wait", WAIT)

    async def use(pool: Pool) -> None:
        event = {"queryStringParameters": {"gate": str(tmp_path / "gate")}}
        call = asyncio.create_task(pool.invoke(event, "r"))
        await asyncio.to_thread(wait_for, lambda: list(tmp_path.glob("gate.*")))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert pool.pids == []
        (tmp_path / "gate").touch()
        answer = await pool.invoke(event, "r")
        assert answer.result["body"].endswith(", 1]")

    run_with_pool(project, use, limit=1)


STUBBORN = """
    import os, pathlib, signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def handler(event, context):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        pathlib.Path(event["note"]).write_text(f"{os.getpid()} {child.pid}")
        if event["hang"]:
            time.sleep(60)
"""


@pytest.mark.parametrize("hang", [False, True])
def test_closing_leaves_no_process_and_nothing_that_one_started(
    project: Any, tmp_path: Path, hang: bool
) -> None:
    project.function("Stubborn", STUBBORN, Timeout=30)
    note = tmp_path / "pids"

    async def use(pool: Pool) -> None:
        call = asyncio.create_task(pool.invoke({"note": str(note), "hang": hang}, "r"))
        await asyncio.to_thread(wait_for, lambda: note.exists() and note.read_text())
        if not hang:
            await call
        await pool.aclose()
        assert (await call).error is not None or not hang

    run_with_pool(project, use)

    wait_for(lambda: not any(alive(int(pid)) for pid in note.read_text().split()))


DYING_GATEWAY = """
    import asyncio, os, sys
    from pathlib import Path
    from parley_local.pool import Pool
    from parley_local.template_file import read_template

    async def main(template, gate):
        (function,) = read_template(template).functions.values()
        event = {"queryStringParameters": {"gate": str(gate)}}
        call = asyncio.create_task(Pool(function, {}).invoke(event, "r"))
        while not list(gate.parent.glob("gate.*")):
            await asyncio.sleep(0.01)
        os._exit(7 if not call.done() else 1)

    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def test_a_process_ends_when_its_gateway_dies_without_a_word(project: Any, tmp_path: Path) -> None:
    project.function("Wait", WAIT, Timeout=60)
    code = textwrap.dedent(DYING_GATEWAY)

    gateway = subprocess.run(
        [sys.executable, "-c", code, str(project.write()), str(tmp_path / "gate")],
        timeout=HANG_SECONDS,
        check=False,
    )

    assert gateway.returncode == 7
    (witness,) = tmp_path.glob("gate.*")
    wait_for(lambda: not alive(int(witness.suffix[1:])))


@pytest.mark.usefixtures("nothing_forked")  # all that this process has then is what it starts
async def test_a_start_that_is_called_off_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.py").write_text("import time\ntime.sleep(3600)\n")
    connecting = asyncio.Event()

    async def connect(**_: socket.socket) -> None:
        connecting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", connect)
    before = set(psutil.Process().children())
    function = Function(name="Slow", folder=tmp_path, handler="app.handler")
    starting = asyncio.create_task(ExecutionEnvironment.spawn(function, dict(os.environ)))
    await connecting.wait()
    started = set(psutil.Process().children()) - before

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert started
    assert [each.pid for each in started if alive(each.pid)] == []
