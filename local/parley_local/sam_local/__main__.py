"""`make sam-local`: what the containers need, and `sam local start-api` on top of it.

Postgres is the one of `make dev`; memory is in moto's DynamoDB, since two containers share no
SQLite file, and is gone with it (Parley rebuilds it from the transcript). Wake-ups go to moto's
SQS, where nobody hears them: `sam local` invokes no function by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shlex
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from parley.project_variables import ARN_SUFFIX
from parley_backend import backend
from parley_local.cloudformation import load
from parley_local.data_directory import Address, DirectoryInUse, locked, published
from parley_local.function_variables import NO_ACCOUNT, function_variables
from parley_local.lambda_identity import ACCOUNT, REGION
from parley_local.migration import MigrationFailed, migrate, migrating
from parley_local.postgres import DATABASE, RUNTIME_ROLE, EmbeddedPostgres, PostgresFailed
from parley_local.sam_local.bridge import (
    HOST_NAME,
    Bridge,
    NoDocker,
    architecture,
    door,
    find_bridge,
)
from parley_local.sam_local.keys import keys_served
from parley_local.sam_local.template import declare
from parley_local.template_file import read_template
from parley_project.environment import local_values, with_dotenv
from parley_project.faults import ProjectFaults
from parley_project.generated import python_path
from parley_project.project import FILE, read_project

TABLE = "parley-memory"
QUEUE = "parley-wake-queue"
IMAGE = "public.ecr.aws/lambda/python:3.13-{architecture}"
# The template wants ARNs; what they would lead to is given to the functions directly.
NOWHERE = "arn:aws:secretsmanager:us-east-1:000000000000:secret:none-AbCdEf"


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; wrong usage ends the process with status 2."""
    parser = argparse.ArgumentParser("parley_local.sam_local", description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help="what `sam build` wrote")
    parser.add_argument("--template", type=Path, default=backend("template.yaml"))
    parser.add_argument("--data-dir", type=Path, default=Path(".parley"))
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--invoke", metavar="FUNCTION", help="call one function and end")
    parser.add_argument("--event", type=Path, help="the event for it")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> int:
    """Start all, run `sam local` in front of it, and stop all; return its exit status."""
    bridge = find_bridge(IMAGE.format(architecture=architecture()))
    async with AsyncExitStack() as started:
        started.enter_context(locked(options.data_dir))
        variables, owner_url = await _surroundings(options, bridge, started)
        of_migrate = {"DATABASE_URL": owner_url}
        only = {name: of_migrate for name in migrating(read_template(options.template))}
        template, values = declare(options.build, variables, only)
        common = _common(bridge, template, values)
        if options.invoke:
            command = [_sam(), "local", "invoke", options.invoke, *common]
            command += ["--event", str(options.event)] if options.event else []
        else:
            command = [_sam(), "local", "start-api", *common, "--port", str(options.port)]
            command += ["--warm-containers", "LAZY"]
            url = f"http://127.0.0.1:{options.port}"
            started.enter_context(published(options.data_dir, Address(url, os.getpid())))
            line = shlex.join([_sam(), "local", "invoke", "FUNCTION", "-e", "EVENT.json", *common])
            print(f"Meanwhile, one function by itself:\n  {line}", flush=True)
        return await _in_front(command)


async def _surroundings(
    options: argparse.Namespace, bridge: Bridge, started: AsyncExitStack
) -> tuple[dict[str, str], str]:
    """Start Postgres, DynamoDB and the issuer's keys.

    Returns:
        The variables of all functions, and the database's URL for its owner, which only the
        migration is given.
    """
    data_dir = options.data_dir
    project = read_project(Path(os.environ.get("PARLEY_PROJECT") or backend(FILE)))
    of_project = local_values(project.manifest.environment, project.root, os.environ)
    postgres = EmbeddedPostgres(data_dir / "postgres", data_dir / "postgres.log")
    started.callback(postgres.stop)
    await asyncio.to_thread(postgres.start)
    socket = Path(_host_of(postgres.url())) / ".s.PGSQL.5432"
    own = function_variables(
        with_dotenv(project.root, os.environ),
        data_dir=data_dir,
        runtime_url=postgres.runtime_url(),
        jwks_url="http://unused",
    )
    path = python_path(project, data_dir / "project", os.environ.get("PYTHONPATH", ""))
    migrating_here = {**own, **of_project, "PYTHONPATH": path}
    await migrate(read_template(options.template), migrating_here, owner_url=postgres.url())
    database = await started.enter_async_context(door(bridge.address, socket))
    keys = started.enter_context(keys_served(data_dir, bridge.address))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise
    moto = ThreadedMotoServer(bridge.address, 0, verbose=False)
    moto.start()
    started.callback(moto.stop)
    _, aws = moto.get_host_and_port()
    _make_table(options.template, f"http://{bridge.address}:{aws}")
    _client("sqs", f"http://{bridge.address}:{aws}").create_queue(QueueName=QUEUE)
    door_to = f"{HOST_NAME}:{database}/{DATABASE}"
    machine = {"PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV"}
    # `sam local` sets credentials itself, which lead nowhere either.
    left_out = machine | NO_ACCOUNT.keys()
    variables = {
        **{name: value for name, value in own.items() if name not in left_out},
        "DATABASE_RUNTIME_URL": f"postgresql+psycopg://{RUNTIME_ROLE}@{door_to}",
        "AGENT_SESSION_STORE": "dynamodb",
        "AGENT_SESSION_DB_PATH": "",
        "AGENT_SESSION_TABLE": TABLE,
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://{HOST_NAME}:{aws}",
        "AWS_ENDPOINT_URL_SQS": f"http://{HOST_NAME}:{aws}",
        "WAKE_QUEUE_URL": f"http://{HOST_NAME}:{aws}/{ACCOUNT}/{QUEUE}",
        "OIDC_JWKS_URL": f"http://{HOST_NAME}:{keys}",
        # The template's ARNs lead nowhere here.
        "DATABASE_SECRET_ARN": "",
        "DATABASE_RUNTIME_SECRET_ARN": "",
        "OPENAI_SECRET_ARN": "",
        "NO_PROXY": HOST_NAME,
        "no_proxy": HOST_NAME,
        # So do those of the project's secrets.
        **{f"{each.name}{ARN_SUFFIX}": "" for each in project.manifest.environment if each.secret},
        **of_project,
    }
    return variables, f"postgresql+psycopg://postgres@{door_to}"


def _host_of(url: str) -> str:
    from sqlalchemy.engine import make_url

    return str(make_url(url).query["host"])


def _make_table(template: Path, endpoint: str) -> None:
    properties: dict[str, Any] = load(template)["Resources"]["MemoryTable"]["Properties"]
    _client("dynamodb", endpoint).create_table(
        TableName=TABLE,
        KeySchema=properties["KeySchema"],
        AttributeDefinitions=properties["AttributeDefinitions"],
        BillingMode="PAY_PER_REQUEST",
    )


def _client(service: str, endpoint: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def _common(bridge: Bridge, template: Path, values: Path) -> list[str]:
    arguments = ["--template", str(template), "--env-vars", str(values), "--region", REGION]
    arguments += ["--parameter-overrides", f"Architecture={architecture()}"]
    arguments += [f"DatabaseSecretArn={NOWHERE}", f"OpenAiSecretArn={NOWHERE}"]
    if bridge.add_host is not None:
        arguments += ["--add-host", f"{HOST_NAME}:{bridge.add_host}"]
    if bridge.image_is_there:
        arguments.append("--skip-pull-image")
    return arguments


def _sam() -> str:
    return str(Path(sys.executable).with_name("sam"))


async def _in_front(command: list[str]) -> int:
    """Run the command; a signal that asks this process to stop is passed on to it."""
    # It takes Ctrl-C from the terminal by itself, in the same process group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = await asyncio.create_subprocess_exec(
        *command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(
            number, lambda: process.send_signal(signal.SIGINT)
        )
    return await process.wait()


def main(arguments: list[str] | None = None) -> int:
    """Run `make sam-local`; return its exit status."""
    options = parse_options(arguments)
    try:
        return asyncio.run(run(options))
    except NoDocker as missing:
        print(f"make sam-local needs Docker: {missing}", file=sys.stderr)
    except DirectoryInUse as taken:
        print(
            f"make sam-local: {taken.directory} is in use by process {taken.pid or 'unknown'}. "
            "Stop that one, or choose another DATA_DIR.",
            file=sys.stderr,
        )
    except (MigrationFailed, OSError, PostgresFailed, ProjectFaults, ValueError) as failure:
        print(f"make sam-local: {failure}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
