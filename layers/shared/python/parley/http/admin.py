"""The routes of administrators: what all users have, and what is to be done about it."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import unquote

from annotated_types import MaxLen, MinLen
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BeforeValidator

from parley.errors import InvalidField
from parley.http.admin_schemas import (
    AdminSession,
    AdminSessionList,
    Cleaning,
    CleanupReport,
    Erasure,
    Renaming,
    StatusChange,
    UserRename,
)
from parley.http.audit import note_use
from parley.http.documented import answers
from parley.http.paging import Cursor, Limit
from parley.http.parts import (
    Administrator,
    Cleaner,
    Database,
    Deadline,
    Eraser,
    Exporter,
    Noter,
    Renamer,
    Sessions,
    Transcript,
)
from parley.http.schemas import MessageList, TranscriptMessage
from parley.http.sessions import SessionId
from parley.repository.session_list import SessionFilter, list_sessions
from parley.repository.states import SessionStatus
from parley.text import storable
from parley.timing import PAGE_MARGIN_SECONDS

_LINES = {
    "description": "A page.",
    "content": {"application/jsonl": {"schema": {"type": "string"}}},
    "headers": {
        "Next-Cursor": {
            "description": "Where the next page starts; not there on the last.",
            "schema": {"type": "string"},
        }
    },
}

# REST APIs pass a path on as it was sent, percent-encoded, and the resolver leaves it so.
UserId = Annotated[
    str,
    MinLen(1),
    MaxLen(1000),
    # Behind the limits: those of `Path` come after it and would be those of a list.
    BeforeValidator(lambda name: storable(unquote(name))),
    Path(description="The user, as tokens name them; quoted."),
]


router = Router()


@router.get(
    "/admin/sessions",
    operation_id="listAllSessions",
    tags=["admin"],
    summary="List all users' sessions, newest activity first",
    description=(
        "A page may have fewer sessions than were asked for, or none, and others follow all the"
        " same, as `next_cursor` says: for an agent's or a platform's, each looks through 1,000"
        " sessions at most."
    ),
    responses=answers({200: "A page."}, 403, 422),
)
def list_all_sessions(
    user: Administrator,
    database: Database,
    status: Annotated[SessionStatus | None, Query()] = None,
    user_id: Annotated[str | None, Query(max_length=1000)] = None,
    agent: Annotated[str | None, Query(max_length=100)] = None,
    platform: Annotated[str | None, Query(max_length=32)] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> AdminSessionList:
    matching = SessionFilter(status=status, agent=agent, platform=platform)
    page = list_sessions(database, user_id, matching, limit=limit, cursor=cursor)
    return AdminSessionList(
        items=[AdminSession.of(row) for row in page.items], next_cursor=page.next_cursor
    )


@router.get(
    "/admin/sessions/<session_id>",
    operation_id="readAnySession",
    tags=["admin"],
    summary="Read anybody's session",
    responses=answers({200: "The session."}, 403, 404, 422),
)
def read_any_session(
    user: Administrator, sessions: Sessions, session_id: SessionId
) -> AdminSession:
    owner = sessions.owner(session_id)
    note_use("read a session", user_id=owner)
    return AdminSession.of(sessions.get(owner, session_id))


@router.patch(
    "/admin/sessions/<session_id>",
    operation_id="changeSessionStatus",
    tags=["admin"],
    summary="Set a session's status, such as an escalated one's back to active, and answer in it",
    description=(
        "With a `note` the user is answered: it stands in the transcript, and the agent goes on"
        " from it. It is left again if the request is repeated."
    ),
    responses=answers({200: "The session as it is now."}, 400, 403, 404, 413, 415, 422),
)
def change_session_status(
    user: Administrator,
    sessions: Sessions,
    noter: Noter,
    session_id: SessionId,
    body: StatusChange,
) -> AdminSession:
    owner = sessions.owner(session_id)
    note_use("change status", user_id=owner, status_asked=body.status, noted=body.note is not None)
    if body.note is None:
        changed = sessions.change(owner, session_id, {"status": body.status}, by_administrator=True)
        return AdminSession.of(changed)
    noter.leave(owner, session_id, body.status, body.note)
    return AdminSession.of(sessions.get(owner, session_id))


@router.get(
    "/admin/sessions/<session_id>/messages",
    operation_id="readAnyTranscript",
    tags=["admin"],
    summary="Read a session's transcript, newest page first",
    responses=answers({200: "A page."}, 403, 404, 422),
)
def read_any_transcript(
    user: Administrator,
    sessions: Sessions,
    transcript: Transcript,
    session_id: SessionId,
    order: Annotated[Literal["asc", "desc"], Query(description="By time.")] = "desc",
    limit: Limit = 20,
    cursor: Cursor = None,
) -> MessageList:
    owner = sessions.owner(session_id)
    note_use("read a transcript", user_id=owner)
    page = transcript.messages(owner, session_id, order=order, limit=limit, cursor=cursor)
    return MessageList(
        items=[TranscriptMessage.of(message) for message in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/admin/cleanup",
    operation_id="cleanUp",
    tags=["admin"],
    summary="Remove what is past its time, or say what would go",
    description=(
        "What the schedule does each day, at once or for some sessions only. Each request"
        " works for as long as it may last; the report says where the next goes on."
    ),
    responses=answers({200: "The report."}, 400, 403, 413, 415, 422),
)
def clean_up(
    user: Administrator, cleaner: Cleaner, deadline: Deadline, body: Cleaning
) -> CleanupReport:
    note_use("clean up", **body.model_dump(exclude_defaults=True))
    return CleanupReport.of(
        cleaner.clean(body.request(), left=deadline.before(PAGE_MARGIN_SECONDS).left)
    )


@router.delete(
    "/admin/users/<user_id>",
    operation_id="eraseUser",
    tags=["admin"],
    summary="Erase all that is kept of a user",
    description=(
        "Sessions, transcripts, memory, keys, and what the project's own tables hold. Each request"
        " works for as long as it may last; as long as it is not `done`, erasing again goes on."
    ),
    responses=answers({200: "What was erased."}, 403, 422),
)
def erase_user(user: Administrator, eraser: Eraser, deadline: Deadline, user_id: UserId) -> Erasure:
    erased = Erasure.of(eraser.erase(user_id, left=deadline.before(PAGE_MARGIN_SECONDS).left))
    note_use("erase", user_id=user_id, erased=erased.model_dump())
    return erased


@router.post(
    "/admin/users/<user_id>/rename",
    operation_id="renameUser",
    tags=["admin"],
    summary="Put all that is kept of a user under another id",
    description=(
        "For users whom another issuer names otherwise. Sessions, memory, keys, and what the"
        " project's own tables hold. Each request works for as long as it may last; as long as it"
        " is not `done`, renaming again goes on; at once, unless sessions are `waiting`."
    ),
    responses=answers({200: "What was renamed."}, 400, 403, 413, 415, 422),
)
def rename_user(
    user: Administrator, renamer: Renamer, deadline: Deadline, user_id: UserId, body: UserRename
) -> Renaming:
    ids = {"user_id": user_id, "new_user_id": body.new_user_id}
    if body.new_user_id == user_id:
        raise InvalidField("new_user_id", "is the one to be renamed")
    note_use("rename", **ids)
    renamed = Renaming.of(
        renamer.rename(user_id, body.new_user_id, left=deadline.before(PAGE_MARGIN_SECONDS).left)
    )
    note_use("renamed", **ids, renamed=renamed.model_dump())
    return renamed


@router.get(
    "/admin/users/<user_id>/export",
    operation_id="exportUser",
    tags=["admin"],
    summary="Export all that is kept of a user, as JSON lines",
    description=(
        "Each line is a JSON object with its `type`: session, turn, message, tool_call, approval,"
        " limits (what is counted for them), budget (their own), row (of a `table` of the project's"
        " own), memory or"
        " event (what happened in a turn, kept for a day). The header `Next-Cursor` says that there"
        " is more."
    ),
    responses=answers({}, 403, 422) | {200: _LINES},
)
def export_user(
    user: Administrator,
    exporter: Exporter,
    deadline: Deadline,
    user_id: UserId,
    cursor: Cursor = None,
) -> Response[str]:
    page = exporter.page(user_id, cursor, left=deadline.before(PAGE_MARGIN_SECONDS).left)
    note_use("export", user_id=user_id, bytes=len(page.lines), more=page.next_cursor is not None)
    return Response(
        status_code=200,
        content_type="application/jsonl",
        body=page.lines.decode(),
        headers={"Next-Cursor": page.next_cursor} if page.next_cursor else {},
    )
