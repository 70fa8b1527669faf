"""The routes of tasks: what the agent keeps, as its user sees it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from parley.http import (
    Caller,
    Cursor,
    Database,
    IdempotencyKey,
    Limit,
    Router,
    answers,
    fingerprint,
)
from parley.ids import new_id
from tasks_desk import task_list, tasks
from tasks_desk.schemas import IN_WORDS, DueAt, Task, TaskChange, TaskCreation, TaskList
from tasks_desk.task_list import SEARCH_MAX_CHARS, TaskFilter

TaskId = Annotated[UUID, Path(description="The task's id.")]


router = Router()


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
    page = database.repeat(
        lambda connection: task_list.list_tasks(
            connection, user.user_id, matching, limit=limit, cursor=cursor
        )
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
        {201: "The task.", 200: "The task; it was there already."}, 400, 404, 409, 413, 415, 422
    ),
)
def create_task(
    user: Caller,
    database: Database,
    body: TaskCreation,
    idempotency_key: IdempotencyKey = None,
) -> Response[Task]:
    task_id = new_id()
    row, made = database.repeat(
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
        alone=True,
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
    return Task.of(database.repeat(lambda connection: tasks.get(connection, user.user_id, task_id)))


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
        database.repeat(lambda connection: tasks.change(connection, user.user_id, task_id, changes))
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
    database.repeat(lambda connection: tasks.remove(connection, user.user_id, task_id))
    return Response(status_code=204)
