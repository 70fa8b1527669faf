"""Processes whose first use of everything comes from several threads at once.

Run as `python -m parley_testing.scenarios.first_use PROCESSES THREADS`, with the settings of a
function in the environment. Each process is forked from one that has imported what the functions
import and used nothing of it: it is as fresh as a cold start, and costs no imports. Prints a line
for each error that a process met, none if all is well.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

from parley.composition import Composition
from parley.config import load_settings
from parley.http import Fingerprint
from parley.ids import new_id
from parley.repository.scope import OfUser
from parley.repository.session_list import SessionFilter, list_sessions
from parley.repository.statistics import read_activity, read_standing
from parley_testing.stores.talk import request, say
from tasks_desk import tasks
from tasks_desk.task_list import TaskFilter, list_tasks

USER = "alice"


def _parts() -> Composition:
    return Composition(load_settings("database", "memory"))


def _session_with_a_turn(parts: Composition) -> tuple[UUID, UUID]:
    session, _ = parts.sessions.create(
        new_id(),
        USER,
        agent="todo",
        name=None,
        platform="api",
        metadata={},
        idempotency_key=None,
        fingerprint=b"",
    )
    return session.id, say(parts.turns, request(USER, str(session.id))).id


def _uses(parts: Composition, session_id: UUID, turn_id: UUID) -> list[Callable[[], object]]:
    """Return what the functions ask Postgres for, each with all that it needs."""

    def keep_a_task() -> None:
        with parts.database.transaction(OfUser(USER)) as connection:
            task, _ = tasks.create(
                connection,
                new_id(),
                USER,
                title="milk",
                notes=None,
                due_at=None,
                idempotency_key=None,
                fingerprint=Fingerprint(b""),
            )
            list_tasks(connection, USER, TaskFilter(completed=False), limit=5)
            tasks.change(connection, USER, task.id, {"completed": True})
            tasks.remove(connection, USER, task.id)

    transcript, database = parts.transcript, parts.database
    return [
        lambda: transcript.turn(USER, session_id, turn_id),
        lambda: transcript.of_turns(USER, session_id, [1], max_bytes=1_000),
        lambda: transcript.messages(USER, session_id, order="asc", limit=5, cursor=None),
        lambda: transcript.turns(USER, session_id, status=None, limit=5, cursor=None),
        lambda: list_sessions(database, USER, SessionFilter(), limit=5, cursor=None),
        lambda: parts.sessions.get(USER, session_id),
        lambda: _session_with_a_turn(parts),
        keep_a_task,
        lambda: read_standing(database),
        lambda: read_activity(database),
    ]


def _all_at_once(threads: int) -> list[str]:
    """Make each use from all threads at once, and give the errors."""
    sys.setswitchinterval(1e-6)  # threads take turns as often as they can
    parts = _parts()
    barrier, errors = Barrier(threads), list[str]()

    def work(session_id: UUID, turn_id: UUID) -> None:
        for use in _uses(parts, session_id, turn_id):
            barrier.wait(60)
            try:
                use()
            except Exception:
                errors.append(traceback.format_exc(limit=-3))

    session_id, turn_id = (UUID(line) for line in _forked(_seed))
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, session_id, turn_id) for _ in range(threads)]:
            done.result()
    return errors


def _seed() -> list[str]:
    # Where it leaves this process as fresh as it is.
    return [str(id_) for id_ in _session_with_a_turn(_parts())]


def _forked(work: Callable[[], Sequence[str]]) -> list[str]:
    """Run in a process of its own, and give what it said; an error that ends it is said too."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            said = work()
        except BaseException:
            said = [traceback.format_exc()]
        with os.fdopen(writer, "w") as pipe:
            pipe.write("\n".join(line.replace("\n", " | ") for line in said))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        lines = pipe.read().splitlines()
    os.waitpid(pid, 0)
    return lines


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        for error in _forked(lambda: _all_at_once(int(sys.argv[2]))):
            print(error)
