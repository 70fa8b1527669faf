"""A process that forks others, each of which runs turns and may end itself at a point.

Started with `python -m parley_testing.scenarios.process`; `fork_server` beside it talks to it.
All imports are paid for once. Nothing is opened and no thread begun before a fork.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
import traceback
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from agents.tracing import get_trace_provider
from openai.types.responses import Response
from sqlalchemy.orm import configure_mappers

from parley import failpoints, retry, threads
from parley.events.sqlite import SqliteEventLog
from parley.memory.sqlite import SqliteStore
from parley.repository import turns
from parley.repository.database import Database
from parley.repository.fair_use import UserBudget
from parley.testing.processes import EndAt
from parley.usage.prices import Price, Prices
from parley_local.server import listen
from parley_testing.models import scripted
from parley_testing.models.scripted import call, say
from parley_testing.run.read_once import read_once
from parley_testing.scenarios.contending import contend
from parley_testing.scenarios.deciding import answered
from parley_testing.scenarios.functions import run_function, warm_up
from parley_testing.scenarios.parts import Parts, Place, new_log, new_store
from parley_testing.scenarios.spending import SCRIPTED, spend
from parley_testing.scenarios.turns import SCENARIOS, append
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import request
from tasks_desk import agent  # noqa: F401 - before the fork


def _observed(job: dict[str, Any]) -> AbstractContextManager[None]:
    at = job["at"] and (job["at"][0], job["at"][1])
    keep = partial(append, Path(job["points"]))
    return failpoints.observed(EndAt(keep, at, job["signal"]))


def _run(job: dict[str, Any]) -> dict[str, Any]:
    place = Place(**job["place"])
    vars(turns)["LEASE_SECONDS"] = job["lease"]
    for module in (retry, threads):  # the time in which it was stopped is none that it has tried
        vars(module)["PATIENCE_SECONDS"] = HANG_SECONDS
    for opened in (SqliteStore, SqliteEventLog):  # a function's: others may write for long
        (opened.__init__.__kwdefaults__ or {})["wait_seconds"] = HANG_SECONDS
    if "function" in job:
        with _observed(job):
            return run_function(job, place)
    with (
        closing(
            Database(lambda: place.database_url, statement_timeout=job["patience"], pool_size=4)
        ) as database,
        new_store(place) as store,
        new_log(place) if job.get("logged") else nullcontext() as events,
    ):
        scenario = SCENARIOS[job["scenario"]]
        budget = UserBudget(**job.get("budget", {}))
        asked = Path(job["asked"])
        prices = Prices({SCRIPTED: Price(*job["price"])}) if "price" in job else None
        parts = Parts(
            database, store, scenario, asked, events=events, user_budget=budget, prices=prices
        )
        if "budget" in job:
            vars(scripted)["INPUT_TOKENS"] = job["sent_tokens"]
            with _observed(job):
                return dict(asyncio.run(spend(parts, scenario, job["sends"], job["at_once"])))
        if "sends" in job:
            return asyncio.run(contend(parts, scenario, job["sends"], job["at_once"]))
        session_id = UUID(job["session_id"])
        with _observed(job):
            if "cancels" in job:
                work = parts.canceller.cancel(job["user"], session_id, UUID(job["cancels"]))
                return {"outcome": asyncio.run(work).outcome}
            message = request(session_id, scenario.text, user=job["user"], key=job["key"])
            return {"reply": asyncio.run(answered(parts, message))}


def _child(job: dict[str, Any]) -> int:
    # By which the test finds its connections, which may outlive it with what it asked last.
    os.environ["PGAPPNAME"] = f"child-{os.getpid()}"
    try:
        result = _run(job)
    except Exception as error:
        traceback.print_exc()
        result = {"error": type(error).__name__}
    Path(job["result"]).write_text(json.dumps(result))
    return 0


def _warm_up() -> None:
    """Have done once what every child would do: libraries build their classes at first use."""
    read_once(pytest.MonkeyPatch())
    configure_mappers()
    get_trace_provider()  # reads the certificates that the machine trusts
    Prices().rate(SCRIPTED)  # compiles the expressions of the servers' addresses
    message, tool_call = say("")[1], call("")[0]
    Response.construct(output=[message.model_dump(), tool_call.model_dump()])
    for scenario in SCENARIOS.values():
        if scenario.agent is not None:
            scenario.agent()
    with new_store(Place("", dynamodb="http://localhost", table="-")):
        pass
    warm_up()
    # A child that looked through all of this for garbage would copy it page by page.
    gc.collect()
    gc.freeze()


def _fork(job: dict[str, Any]) -> dict[str, Any]:
    assert threading.active_count() == 1, threading.enumerate()
    # It listens before it runs, so that who knows its port may talk to it at once.
    listener = listen("127.0.0.1", 0) if job.get("function") == "stream" else None
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = _child(job | {"listener": listener})
        finally:
            os._exit(code)
    if listener is None:
        return {"pid": pid}
    with listener:
        return {"pid": pid, "port": listener.getsockname()[1]}


def _look(pid: int) -> dict[str, Any]:
    found, status = os.waitpid(pid, os.WUNTRACED | os.WNOHANG)
    if not found:
        return {}
    if os.WIFSTOPPED(status):
        return {"stopped": os.WSTOPSIG(status)}
    if os.WIFSIGNALED(status):
        return {"killed": os.WTERMSIG(status)}
    return {"exited": os.WEXITSTATUS(status)}


def main() -> None:
    """Do what each line on standard input asks for, until it ends; then end the children."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a child prints is no answer
    children: set[int] = set()
    _warm_up()
    try:
        for line in sys.stdin:
            order = json.loads(line)
            answer: dict[str, Any] = {}
            match order["do"]:
                case "fork":
                    answer = _fork(order["job"])
                    children.add(answer["pid"])
                case "look":
                    answer = _look(order["pid"])
                    if answer and "stopped" not in answer:
                        children.discard(order["pid"])
                case "continue":
                    os.kill(order["pid"], signal.SIGCONT)
            print(json.dumps(answer), file=answers)
    finally:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
