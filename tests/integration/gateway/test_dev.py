"""`make dev` starts everything, keeps data, and leaves nothing behind however it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from parley_local.data_directory import read_address
from parley_local.postgres_leftovers import stop_left_behind
from parley_local.stack import LocalStack, StackFailed
from parley_testing.waiting import HANG_SECONDS, alive, wait_for

MIGRATE = """
    import os, psycopg
    def handler(event, context):
        assert event == {"action": "migrate"}
        url = os.environ["DATABASE_URL"].replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (id serial)")
            named = "SELECT 1 FROM pg_roles WHERE rolname = 'parley_app'"
            if connection.execute(named).fetchone() is None:
                connection.execute("CREATE ROLE parley_app LOGIN")
            connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO parley_app")
            connection.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO parley_app")
        return {"revision": "1"}
"""
NOTES = """
    import os, psycopg
    def handler(event, context):
        url = os.environ["DATABASE_RUNTIME_URL"].replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            if event["httpMethod"] == "POST":
                connection.execute("INSERT INTO notes DEFAULT VALUES")
            assert "DATABASE_URL" not in os.environ, "which is the owner's"
            count = connection.execute("SELECT count(*) FROM notes").fetchone()[0]
        return {"statusCode": 200, "body": str(count)}
"""

WAKE = """
    import boto3, os
    def handler(event, context):
        boto3.client("sqs").send_message(
            QueueUrl=os.environ["WAKE_QUEUE_URL"], MessageBody="wake"
        )
        return {"statusCode": 202, "body": ""}
"""
LEFT = """
    import os, psycopg
    def handler(event, context):
        url = os.environ["DATABASE_URL"].replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (id serial)")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS turns"
                " (session_id uuid, user_id text, status text, lease_expires_at timestamptz)"
            )
            named = "SELECT 1 FROM pg_roles WHERE rolname = 'parley_app'"
            if connection.execute(named).fetchone() is None:
                connection.execute("CREATE ROLE parley_app LOGIN")
            connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO parley_app")
            connection.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO parley_app")
        return {"revision": "1"}
"""
LEAVE = """
    import os, psycopg
    def handler(event, context):
        url = os.environ["DATABASE_RUNTIME_URL"].replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            if event["httpMethod"] == "POST":
                for status, lease in (
                    ("completed", None), ("queued", None), ("running", "-infinity"),
                ):
                    connection.execute(
                        "INSERT INTO turns VALUES (gen_random_uuid(), 'ann', %s, %s)",
                        [status, lease],
                    )
            rows = connection.execute("SELECT status FROM turns ORDER BY status").fetchall()
        return {"statusCode": 200, "body": " ".join(status for status, in rows)}
"""
FINISH = """
    import os, psycopg
    def handler(event, context):
        (record,) = event["Records"]
        url = os.environ["DATABASE_RUNTIME_URL"].replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            connection.execute(
                "UPDATE turns SET status = 'completed' WHERE session_id = %s", [record["body"]]
            )
"""
DIES_ONCE = """
    import os, pathlib, signal
    died = pathlib.Path(os.environ["LAMBDA_TASK_ROOT"], "died")
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""
HEAR = """
    import os, boto3, psycopg
    def handler(event, context):
        assert [record["body"] for record in event["Records"]] == ["wake"]
        assert boto3.Session().get_credentials().access_key == "local"
        url = os.environ["DATABASE_RUNTIME_URL"].replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO notes DEFAULT VALUES")
"""
TICK = """
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = scope["path"] != "/ready"
        await send({"type": "http.response.body", "body": b"tick", "more_body": more})
        while more and (await receive())["type"] != "http.disconnect":
            pass
"""


@pytest.fixture
def template(project: Any) -> Path:
    project.function("migrate", MIGRATE)
    project.function("Notes", NOTES, "post /notes", "get /notes")
    path: Path = project.write()
    return path


@pytest.fixture
def stack_on(template: Path, tmp_path: Path) -> Iterator[Callable[..., LocalStack]]:
    """Return what makes a stack of the small project; all are stopped at the end."""
    stacks: list[LocalStack] = []

    def make(name: str = "data") -> LocalStack:
        stack = LocalStack(tmp_path / name, template=template, ready_within=HANG_SECONDS)
        stacks.append(stack)
        return stack

    yield make
    for stack in stacks:
        stack.stop()
        # One that was killed has left its Postgres to the next, and there is none.
        stop_left_behind(stack.data_dir / "postgres")


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=HANG_SECONDS)


def post(url: str) -> httpx.Response:
    return httpx.post(url, trust_env=False, timeout=HANG_SECONDS)


def descendants(pid: int) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    return found


def named(processes: list[psutil.Process], name: str) -> list[psutil.Process]:
    """Those whose program's name begins so; of Postgres's some may have ended meanwhile."""
    found = []
    for process in processes:
        try:
            if process.name().startswith(name):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def postgres_of(stack: LocalStack) -> psutil.Process:
    """The server that the others of Postgres's are children of."""
    (server,) = named(psutil.Process(stack.pid).children(), "postgres")
    return server


def runs(process: psutil.Process) -> bool:
    return process.is_running() and alive(process.pid)


def assert_ended(processes: list[psutil.Process]) -> None:
    wait_for(lambda: not any(map(runs, processes)))


def run_dev(template: Path, data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "parley_local.dev", "--template", str(template)]
    return subprocess.run(
        [*command, "--data-dir", str(data_dir), *arguments],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


def test_it_answers_and_says_where_and_how(stack_on: Callable[..., LocalStack]) -> None:
    with stack_on() as stack:
        assert post(stack.url + "/notes").text == "1"
        keys = httpx.get(
            stack.url + "/_local/jwks.json", trust_env=False, timeout=HANG_SECONDS
        ).json()["keys"]
        assert len(keys) == 1
        said = stack.log.read_text()
        assert f"Parley answers at {stack.url}" in said
        assert 'parley message "add buy milk" --session groceries' in said
        assert stack.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_that_it_started(
    stack_on: Callable[..., LocalStack], number: signal.Signals
) -> None:
    stack = stack_on()
    stack.start()
    post(stack.url + "/notes")
    processes = descendants(stack.pid)
    assert named(processes, "postgres")
    assert named(processes, "python")

    assert stack.stop(number, HANG_SECONDS) == 0

    assert_ended(processes)
    assert read_address(stack.data_dir) is None
    with pytest.raises(httpx.ConnectError):
        get(stack.url)
    assert "Traceback" not in stack.log.read_text()


def test_what_is_woken_for_is_heard(
    project: Any, stack_on: Callable[..., LocalStack], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("WAKE_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/1/real")
    project.function("Wake", WAKE, "post /wake").function("Hear", HEAR).queue("Wakeups", "Hear")
    project.write()
    with stack_on() as stack:
        assert post(stack.url + "/wake").status_code == 202

        deadline = time.monotonic() + HANG_SECONDS
        while get(stack.url + "/notes").text != "1":
            assert time.monotonic() < deadline, stack.log.read_text()
            time.sleep(0.05)


def test_a_worker_that_is_killed_while_it_is_first_imported_ends_nothing(
    project: Any, stack_on: Callable[..., LocalStack]
) -> None:
    worker = textwrap.dedent(DIES_ONCE) + textwrap.dedent(HEAR)
    project.function("Wake", WAKE, "post /wake").function("Hear", worker).queue("Wakeups", "Hear")
    project.write()
    with stack_on() as stack:
        wait_for(lambda: "Hear did not start" in stack.log.read_text())

        assert post(stack.url + "/wake").status_code == 202

        wait_for(lambda: get(stack.url + "/notes").text == "1")


def test_turns_that_an_earlier_one_left_open_go_on_though_nobody_asks(
    project: Any, stack_on: Callable[..., LocalStack]
) -> None:
    project.function("migrate", LEFT).function("Finish", FINISH).queue("Wakeups", "Finish")
    project.function("Leave", LEAVE, "post /left", "get /left")
    project.write()
    with stack_on() as stack:
        left = post(stack.url + "/left").text
        assert left == "completed queued running"
        stack.stop(signal.SIGKILL)

    with stack_on() as again:
        wait_for(lambda: get(again.url + "/left").text == "completed " * 2 + "completed")
        assert "2 sessions have turns that were left open" in again.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_stream_however_it_ends(
    project: Any, stack_on: Callable[..., LocalStack], number: signal.Signals
) -> None:
    project.web_function("Tick", TICK, "get /tick")
    project.write()
    stack = stack_on()
    stack.start()
    with httpx.stream(
        "GET", stack.url + "/tick", trust_env=False, timeout=HANG_SECONDS
    ) as response:
        parts = response.iter_raw()  # kept, for its end would be the client's going away
        assert next(parts) == b"tick"
        processes = named(descendants(stack.pid), "python")
        assert any("uvicorn" in process.cmdline() for process in processes)

        stack.stop(number, HANG_SECONDS)

        assert_ended(processes)
    said = stack.log.read_text()
    assert "Traceback" not in said
    if number == signal.SIGTERM:
        assert "GET /tick 200" in said
        assert "4 bytes streamed, parley dev is ending" in said


def test_a_killed_one_is_followed_by_one_that_works_on_the_same_data(
    stack_on: Callable[..., LocalStack],
) -> None:
    stack = stack_on()
    stack.start()
    post(stack.url + "/notes")
    processes = descendants(stack.pid)
    server = postgres_of(stack)
    stack.stop(signal.SIGKILL)
    assert runs(server)

    with stack_on() as again:
        assert post(again.url + "/notes").text == "2"
        assert_ended(processes)


def test_a_stale_pid_file_that_names_a_stranger_harms_nobody(
    stack_on: Callable[..., LocalStack],
) -> None:
    with stack_on() as stack:
        pid_file = stack.data_dir / "postgres" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3_600)"])
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with stack_on() as stack:
            assert get(stack.url + "/notes").status_code == 200
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_one_on_the_same_data_is_refused_and_the_first_goes_on(
    stack_on: Callable[..., LocalStack], template: Path
) -> None:
    with stack_on() as stack:
        second = run_dev(template, stack.data_dir, "--port", "0")

        assert second.returncode == 1
        assert f"in use by another parley dev (process {stack.pid})" in second.stderr
        assert "Traceback" not in second.stderr
        assert get(stack.url + "/notes").status_code == 200
        assert read_address(stack.data_dir) is not None


def test_a_port_in_use_is_said_in_a_sentence(template: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_dev(template, tmp_path / "data", "--port", port)

    assert done.returncode == 1
    assert f"Port {port} is already in use." in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "postgres").exists()


def test_only_loopback_is_listened_on(template: Path, tmp_path: Path) -> None:
    done = run_dev(template, tmp_path / "data", "--host", "0.0.0.0")

    assert done.returncode == 2
    assert "--host" in done.stderr


def test_a_migration_that_fails_is_named_and_nothing_is_left(
    template: Path, tmp_path: Path
) -> None:
    code = "def handler(e, c): raise RuntimeError('no schema')"
    (tmp_path / "functions" / "migrate" / "app.py").write_text(code)

    done = run_dev(template, tmp_path / "data", "--port", "0")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "parley dev: The migration failed: no schema"
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


def test_a_signal_while_it_starts_stops_it_too(template: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(60)\n"
    (tmp_path / "functions" / "migrate" / "app.py").write_text(code)
    command = [sys.executable, "-m", "parley_local.dev", "--template", str(template)]
    command += ["--port", "0", "--data-dir", str(tmp_path / "data")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.02)
    processes = descendants(process.pid)

    process.terminate()
    _, said = process.communicate(timeout=HANG_SECONDS)

    assert process.returncode == 0
    assert b"Traceback" not in said
    assert_ended(processes)


def test_a_deep_data_directory_works_too(stack_on: Callable[..., LocalStack]) -> None:
    with stack_on("/".join(["a-directory-with-a-long-name"] * 5)) as stack:
        assert post(stack.url + "/notes").text == "1"
        sockets = [
            line
            for line in (stack.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
            if "parley-pg-" in line
        ]
    assert [Path(line.strip()).exists() for line in sockets] == [False]


def test_when_postgres_ends_it_ends_and_says_so(stack_on: Callable[..., LocalStack]) -> None:
    stack = stack_on()
    stack.start()
    processes = descendants(stack.pid)
    postgres_of(stack).kill()

    assert stack.wait(HANG_SECONDS) == 1
    assert "PostgreSQL ended" in stack.log.read_text()
    assert_ended(processes)


def test_when_the_disk_is_full_it_says_so(stack_on: Callable[..., LocalStack]) -> None:
    stack = stack_on()
    stack.start()
    with (stack.data_dir / "postgres.log").open("a") as log:  # as PostgreSQL says it, and ends
        log.write('PANIC:  could not write to file "pg_wal/xlogtemp.7": No space left on device\n')
    postgres_of(stack).kill()

    assert stack.wait(HANG_SECONDS) == 1
    assert f"The disk of {stack.data_dir} is full." in stack.log.read_text()

    # The next one is not told of what is over.
    again = stack_on()
    again.log.unlink()
    again.start()
    postgres_of(again).kill()
    assert again.wait(HANG_SECONDS) == 1
    assert "is full" not in again.log.read_text()


def test_a_function_that_cannot_start_is_named_and_nothing_is_left(
    stack_on: Callable[..., LocalStack], tmp_path: Path
) -> None:
    (tmp_path / "functions" / "Notes" / "app.py").write_text("raise RuntimeError('no settings')")

    with pytest.raises(StackFailed, match="parley dev: A function cannot start: no settings"):
        stack_on().start()

    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()
