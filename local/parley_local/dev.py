"""`parley dev`: Parley whole on one machine, with one command.

It owns all that it starts. The order of stopping is the order of starting, backwards: the HTTP
server, what delivers messages, the functions' processes, the queue, PostgreSQL, the data
directory's lock.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from parley.errors import ParleyError
from parley_backend import backend
from parley_local import front_page, sign_in
from parley_local.agent_check import check_agents
from parley_local.data_directory import Address, DirectoryInUse, forget_address, locked, published
from parley_local.execution import EnvironmentLost
from parley_local.full_disk import disk_was_full, size_of
from parley_local.function_variables import (
    MEMORY_FILE,
    function_variables,
    uses_offline_model,
)
from parley_local.gateway import PROCESSES, LocalPage
from parley_local.issuer import ensure_key
from parley_local.local_keys import JWKS_PATH, keys_page
from parley_local.local_queue import LocalQueue, local_queue
from parley_local.log_lines import LogFormat, chosen_format, write_log
from parley_local.migration import MigrationFailed, migrate_and_tell
from parley_local.open_turns import wake_for_what_was_left
from parley_local.own_template import template_of
from parley_local.postgres import EmbeddedPostgres, PostgresFailed
from parley_local.prepared_project import Prepared, prepare
from parley_local.schedules import keep
from parley_local.served_project import ServedProject
from parley_local.server import PortInUse, listen, serving, url_of
from parley_local.template import Template
from parley_local.template_file import read_template
from parley_project.faults import ProjectFaults
from parley_project.project import Project, find_project, read_project

log = logging.getLogger(__name__)

DATA_DIR = Path(".parley")
"""The data directory, in the project's folder, unless another is named."""
POSTGRES_LOG = "postgres.log"
"""Where PostgreSQL's log is, in the data directory."""

_LAST_PORT = 65_535
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class DevFailed(ParleyError):
    """`parley dev` cannot go on; the message is for the person who started it."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    host: str
    port: int
    data_dir: Path
    template: Path | None
    log_format: LogFormat
    project: Path = Path()


def parse_options(arguments: list[str] | None = None) -> Options:
    """Read the command line; wrong usage ends the process with status 2."""
    parser = argparse.ArgumentParser("parley dev", description="Run Parley on this machine.")
    parser.add_argument("--host", default="127.0.0.1", choices=_LOOPBACK)
    parser.add_argument("--port", type=_port, default=3000, help="0 for any free one")
    parser.add_argument("--data-dir", type=Path, help=".parley in the project's folder if none")
    parser.add_argument("--template", type=Path, help="another than the project's")
    parser.add_argument("--project", type=Path, default=Path(), help="its folder, or one below it")
    known = parser.parse_args(arguments)
    try:
        log_format = chosen_format(os.environ, sys.stderr)
    except ValueError as error:
        parser.error(str(error))
    data_dir = known.data_dir or _data_dir_of(known.project)
    return Options(known.host, known.port, data_dir, known.template, log_format, known.project)


def _data_dir_of(project: Path) -> Path:
    """Return where a project's data is kept, from the working directory if that is the project."""
    try:
        root = find_project(project).parent
    except ProjectFaults:
        return DATA_DIR  # nothing will be written there
    return DATA_DIR if root == Path.cwd() else root / DATA_DIR


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= _LAST_PORT):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {_LAST_PORT}, not {text!r}")
    return int(text)


async def run(options: Options) -> int:
    """Run until a signal asks to stop; return the exit status.

    What was started is stopped by this task, which no signal cancels: an impatient second Ctrl-C
    would otherwise interrupt the stopping and leave processes behind.
    """
    server_log = options.data_dir / POSTGRES_LOG
    logged = size_of(server_log)
    async with AsyncExitStack() as started:
        work = asyncio.ensure_future(_serve(options, started))
        # A hang-up that nohup has made harmless stays so.
        hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        ends = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else [])]
        for number in ends:
            asyncio.get_running_loop().add_signal_handler(number, _cancel_once(work))
        try:
            await work
        except asyncio.CancelledError:
            return 0
        except _EXPLAINED as failure:
            print(f"parley dev: {_explain(failure)}", file=sys.stderr)
            if disk_was_full(failure, server_log, logged):
                print(
                    f"parley dev: The disk of {options.data_dir} is full. What was committed is "
                    "still there: make room, and start it again.",
                    file=sys.stderr,
                )
    return 1


async def _serve(options: Options, started: AsyncExitStack) -> NoReturn:
    """Start all, each with its end on the stack, and serve until something ends by itself."""
    data_dir = options.data_dir
    read_project(find_project(options.project))  # its faults are said before all else
    started.enter_context(locked(data_dir))
    forget_address(data_dir)
    ensure_key(data_dir)
    # What the agents remember is for its owner's eyes.
    (data_dir / MEMORY_FILE).touch(mode=0o600)
    listener = started.enter_context(listen(options.host, options.port))
    url = url_of(listener)
    copies = data_dir / "project"
    shutil.rmtree(copies, ignore_errors=True)
    prepared = prepare(options.project, copies / "1")
    read = partial(_read_template, options.template)
    template = read(prepared.project)
    made = partial(
        function_variables,
        data_dir=data_dir,
        jwks_url=url + JWKS_PATH,
        log_format=options.log_format,
    )
    checking = asyncio.create_task(_check(template, prepared, made))
    started.push_async_callback(_cancelled, [checking])
    log.info("Starting PostgreSQL in %s; the agents are built meanwhile.", data_dir / "postgres")
    postgres = EmbeddedPostgres(data_dir / "postgres", data_dir / POSTGRES_LOG)
    started.push_async_callback(_in_thread, postgres.stop)
    await _in_thread(postgres.start)
    prepared = await checking
    queue = await _queue_of(template, data_dir, started)
    variables = partial(
        made, runtime_url=postgres.runtime_url(), queue_url=queue.url if queue else None
    )
    migrated = partial(migrate_and_tell, template, owner_url=postgres.url())
    log.info("Migrating the database.")
    await migrated(prepared.variables(variables))
    pages: dict[tuple[str, str], LocalPage] = {
        ("GET", JWKS_PATH): keys_page(data_dir),
        ("GET", front_page.PATH): lambda _: front_page.front_page(url),
        ("GET", sign_in.CONFIG): lambda _: sign_in.config(),
        ("POST", sign_in.PATH): sign_in.sign_in_page(data_dir),
    }
    served = ServedProject(options.project, read, template, variables, copies, pages)
    started.push_async_callback(served.generations.aclose)
    log.info("Starting the functions.")
    await served.serve(prepared, template)
    pools = served.generations.pools(template.functions)
    background = [asyncio.create_task(keep(each, pools)) for each in template.schedules]
    if template.queue and queue:
        await wake_for_what_was_left(queue, postgres.url())
        worker = pools[template.queue.function]
        background.append(asyncio.create_task(queue.deliver(worker, at_once=PROCESSES)))
    started.push_async_callback(_cancelled, background)
    server = await started.enter_async_context(serving(served.generations, listener))
    started.enter_context(published(data_dir, Address(url, os.getpid())))
    _greet(url, data_dir, prepared)
    if _runs_agents(template):
        background.append(asyncio.create_task(served.follow(prepared, migrated)))
    while postgres.running:
        ended, _ = await asyncio.wait(
            {server, *background}, timeout=0.5, return_when=asyncio.FIRST_COMPLETED
        )
        for task in ended - {server}:
            task.result()  # they end by an error only
        if ended:
            raise DevFailed("The HTTP server ended.")
    raise DevFailed(f"PostgreSQL ended; its log is {data_dir / POSTGRES_LOG}.")


async def _check(template: Template, prepared: Prepared, made: Callable[..., Any]) -> Prepared:
    """Build the agents, beside what takes its time too; nothing is kept of what they are for.

    Returns:
        The project, with the paths of its routes.

    Raises:
        ProjectFaults: One of them cannot be built.
    """
    if not _runs_agents(template):
        return prepared
    variables = prepared.variables(partial(made, runtime_url=""))
    return replace(prepared, project=await check_agents(prepared.project, variables))


async def _queue_of(
    template: Template, data_dir: Path, started: AsyncExitStack
) -> LocalQueue | None:
    if template.queue is None:
        return None
    queue = await started.enter_async_context(local_queue(template.queue, data_dir))
    log.info("The queue %s is at %s.", template.queue.name, queue.url)
    return queue


def _read_template(another: Path | None, project: Project) -> Template:
    """Read a project's template, unless another is asked for.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not YAML, or misses what the gateway needs.
    """
    file, root = (another, None) if another else template_of(project)
    return read_template(file, root, parameters=_parameters(os.environ))


def _runs_agents(template: Template) -> bool:
    """Return whether the template has our function that runs them, and is not one of a test's."""
    messages = backend("functions", "messages")
    return any(function.folder == messages for function in template.functions.values())


def _parameters(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the template's parameters that the environment sets and no function reads."""
    hour = environment.get("AGENT_SESSION_CLEANUP_HOUR")
    return {"AgentSessionCleanupHour": hour} if hour else {}


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_EXPLAINED = (
    DevFailed,
    DirectoryInUse,
    EnvironmentLost,
    MigrationFailed,
    OSError,
    PortInUse,
    PostgresFailed,
    ProjectFaults,
    ValueError,
)


def _explain(failure: Exception) -> str:
    match failure:
        case DirectoryInUse():
            return (
                f"{failure.directory} is in use by another parley dev (process "
                f"{failure.pid or 'unknown'}). Stop that one, or choose another data directory."
            )
        case PortInUse():
            return (
                f"Port {failure.port} is already in use. Stop what listens there, or choose "
                "another port."
            )
        case MigrationFailed():
            return f"The migration failed: {failure}"
        case EnvironmentLost():
            return f"A function cannot start: {failure}"
        case OSError(filename=str() | Path() as file):
            return f"{file} cannot be used: {failure.strerror}."
    return str(failure)


def _cancel_once(work: asyncio.Future[NoReturn]) -> Callable[[], None]:
    asked = False

    def cancel() -> None:
        # A second one would cut short what waits for a thread to end.
        nonlocal asked
        if not asked:
            asked = True
            work.cancel()

    return cancel


async def _in_thread(function: Callable[[], None]) -> None:
    """Run it beside the event loop, and wait for its end even when cancelled meanwhile."""
    task = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _greet(url: str, data_dir: Path, prepared: Prepared) -> None:
    """Say where it is, and give one line to paste."""
    program = Path(sys.executable).with_name("parley")
    found = shutil.which("parley")
    if found is not None and Path(found) == program:
        program = Path("parley")
    elif program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    todo = prepared.project.manifest.default == "todo"
    text, session = ("add buy milk", "groceries") if todo else ("Hello", "first")
    command = [str(program), "message", text, "--session", session]
    if data_dir.resolve() != prepared.project.root / DATA_DIR:
        command += ["--data-dir", str(data_dir)]
    offline = uses_offline_model(prepared.caller)
    model = "the offline model" if offline else "the model of OPENAI_API_KEY"
    print(f"Parley answers at {url}, with {model}. Ctrl-C stops it. Talk to it:")
    # As a person would type it: shlex prefers the other kind of quotes.
    line = " ".join(f'"{part}"' if part == text else shlex.quote(part) for part in command)
    print(f"  {line}")
    print(f"or at {url}/chat; what happens is seen at {url}/console", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run `parley dev`; return its exit status."""
    options = parse_options(arguments)
    write_log(sys.stderr, options.log_format)
    for library in ("uvicorn", "watchfiles"):
        logging.getLogger(library).setLevel(logging.WARNING)
    return asyncio.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
