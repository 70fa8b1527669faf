"""The routes of tasks: what the todo agent keeps, as its user sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from sqlalchemy import Connection

from parley.fingerprints import fingerprint
from parley.http.documented import answers
from parley.http.idempotency import IdempotencyKey
from parley.http.numbers import IN_WORDS
from parley.http.paging import Cursor, Limit
from parley.http.parts import Caller, Database
from parley.http.task_schemas import DueAt, Task, TaskChange, TaskCreation, TaskList
from parley.ids import new_id
from parley.repository import task_list, tasks
from parley.repository.scope import OfUser
from parley.repository.task_list import SEARCH_MAX_CHARS, TaskFilter

T = TypeVar("T")

TaskId = Annotated[UUID, Path(description="The task's id.")]


router = Router()


def _on_database(database: Database, user: Caller, work: Callable[[Connection], T]) -> T:
    # Each does one statement, which commits itself.
    return database.read(OfUser(user.user_id), lambda session: work(session.connection()))


@router.get(
    "/tasks",
    operation_id="listTasks",
    tags=["tasks"],
    summary="List tasks, oldest first",
    description=(
        "A page of a search ends when it has looked far enough: it may have fewer tasks than"
        " asked for, or none, and a `next_cursor` to go on with."
    ),
    responses=answers({200: "A page."}, 422),
)
def list_tasks(
    user: Caller,
    database: Database,
    completed: Annotated[
        bool | None, IN_WORDS, Query(description="Only done, or not done.")
    ] = None,
    due_before: Annotated[
        DueAt | None, Query(description="Only those that are due before this time.")
    ] = None,
    text: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=SEARCH_MAX_CHARS,
            description="In title or notes, in any case.",
        ),
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> TaskList:
    matching = TaskFilter(completed=completed, due_before=due_before, containing=text)
    page = _on_database(
        database,
        user,
        lambda connection: task_list.list_tasks(
            connection, user.user_id, matching, limit=limit, cursor=cursor
        ),
    )
    return TaskList(items=[Task.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.post(
    "/tasks",
    status_code=201,
    operation_id="createTask",
    tags=["tasks"],
    summary="Make a task",
    description="The same `Idempotency-Key` returns the task that it made, with 200.",
    responses=answers(
        {201: "The task.", 200: "The task; it was there already."}, 400, 404, 413, 415, 422
    ),
)
def create_task(
    user: Caller,
    database: Database,
    body: TaskCreation,
    idempotency_key: IdempotencyKey = None,
) -> Response[Task]:
    task_id = new_id()
    row, made = _on_database(
        database,
        user,
        lambda connection: tasks.create(
            connection,
            task_id,
            user.user_id,
            title=body.title,
            notes=body.notes,
            due_at=body.due_at,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint("task", **body.model_dump(mode="json")),
        ),
    )
    headers = {"Location": f"tasks/{row.id}"}  # relative: there may be a stage
    if not made:
        headers["Idempotent-Replayed"] = "true"
    return Response(
        status_code=201 if made else 200,
        content_type="application/json",
        body=Task.of(row),
        headers=headers,
    )


@router.get(
    "/tasks/<task_id>",
    operation_id="readTask",
    tags=["tasks"],
    summary="Read a task",
    responses=answers({200: "The task."}, 404, 422),
)
def read_task(user: Caller, database: Database, task_id: TaskId) -> Task:
    return Task.of(
        _on_database(
            database, user, lambda connection: tasks.get(connection, user.user_id, task_id)
        )
    )


@router.patch(
    "/tasks/<task_id>",
    operation_id="changeTask",
    tags=["tasks"],
    summary="Change a task, tick it off or take that back",
    responses=answers({200: "The task as it is now."}, 400, 404, 413, 415, 422),
)
def change_task(user: Caller, database: Database, task_id: TaskId, body: TaskChange) -> Task:
    changes = body.model_dump(exclude_unset=True)
    return Task.of(
        _on_database(
            database,
            user,
            lambda connection: tasks.change(connection, user.user_id, task_id, changes),
        )
    )


@router.delete(
    "/tasks/<task_id>",
    status_code=204,
    operation_id="deleteTask",
    tags=["tasks"],
    summary="Delete a task",
    responses=answers({204: "It is gone."}, 404, 422),
)
def delete_task(user: Caller, database: Database, task_id: TaskId) -> Response[None]:
    _on_database(database, user, lambda connection: tasks.remove(connection, user.user_id, task_id))
    return Response(status_code=204)
