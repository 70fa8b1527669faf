"""Kills what carries a turn out in `make dev`, and does not wait until that is noticed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import boto3
import psutil
import psycopg

from parley.wake_queue import group_of
from parley_local.postgres import DATABASE
from parley_local.stack import LocalStack
from parley_testing.waiting import wait_for


def kill_streaming_process(stack: LocalStack) -> None:
    """Kill the server of the stream function, and with it every turn that it carries out."""
    servers = [
        process
        for process, command in _commands(psutil.Process(stack.pid))
        if "uvicorn" in " ".join(command)
    ]
    assert servers, "no stream is served"
    for server in servers:
        server.kill()
    psutil.wait_procs(servers)


def _commands(parent: psutil.Process) -> Iterator[tuple[psutil.Process, list[str]]]:
    """Yield what a process started, and how; without what ends meanwhile, as Postgres's may."""
    for process in parent.children(recursive=True):
        try:
            yield process, process.cmdline()
        except psutil.NoSuchProcess:
            continue


def let_another_carry_on(stack: LocalStack, session_id: str, user: str) -> None:
    """Let a dead attempt's lease be over now, instead of in a minute, and wake a worker."""
    place = Path(stack.data_dir, "postgres", "postmaster.pid").read_text().splitlines()[4]
    with psycopg.connect(host=place, user="postgres", dbname=DATABASE, autocommit=True) as sql:
        wait_for(
            lambda: (
                sql.execute(
                    "UPDATE turns SET lease_expires_at = now() - interval '1 second'"
                    " WHERE session_id = %s AND status = 'running'",
                    [session_id],
                ).rowcount
            )
        )
    found = re.search(r"The queue \S+ is at (http\S+/\w+)", stack.log.read_text())
    assert found, "the queue's address stands in the log"
    queue = boto3.client(
        "sqs",
        endpoint_url=found[1].rsplit("/", 2)[0],
        region_name="eu-west-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    queue.send_message(QueueUrl=found[1], MessageBody=session_id, MessageGroupId=group_of(user))
