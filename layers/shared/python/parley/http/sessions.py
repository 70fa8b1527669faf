"""The routes of sessions."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from parley.errors import InvalidField
from parley.fingerprints import fingerprint
from parley.http.documented import answers
from parley.http.idempotency import IdempotencyKey
from parley.http.paging import Cursor, Limit
from parley.http.parts import Caller, Database, Forgetter, Sessions
from parley.http.schemas import (
    Session,
    SessionChange,
    SessionCreation,
    SessionDetails,
    SessionList,
)
from parley.ids import new_id
from parley.manifest import manifest
from parley.repository import session_list
from parley.repository.session_list import SessionFilter
from parley.repository.states import SessionStatus

SessionId = Annotated[UUID, Path(description="The session's id.")]


def offered_agent(name: str | None) -> str:
    """Return the agent's name, or the default's.

    Raises:
        InvalidField: No such agent is offered.
    """
    if name is None:
        return manifest().default
    if name not in manifest().agents:
        raise InvalidField("agent", f"must be one of {', '.join(manifest().agents)}")
    return name


def _fingerprint(body: SessionCreation) -> bytes:
    return fingerprint("session", **body.model_dump(mode="json"))


router = Router()


@router.post(
    "/sessions",
    status_code=201,
    operation_id="createSession",
    tags=["sessions"],
    summary="Make a session",
    description=(
        "A name that you already have returns that session with 200. The same"
        " `Idempotency-Key` returns the session that it made."
    ),
    responses=answers(
        {201: "The session.", 200: "The session; it was there already."},
        400,
        404,
        413,
        415,
        422,
    ),
)
def create_session(
    user: Caller,
    sessions: Sessions,
    body: SessionCreation,
    idempotency_key: IdempotencyKey = None,
) -> Response[Session]:
    agent = offered_agent(body.agent)
    row, made = sessions.create(
        new_id(),
        user.user_id,
        agent=agent,
        name=body.name,
        platform=body.platform,
        metadata=body.metadata,
        idempotency_key=idempotency_key,
        fingerprint=_fingerprint(body) if idempotency_key else b"",
    )
    # Found by its name it is not replayed: it may have been made of other fields.
    replayed = not made and idempotency_key and row.idempotency_key == idempotency_key
    location = {"Location": f"sessions/{row.id}"}  # relative: there may be a stage
    return Response(
        status_code=201 if made else 200,
        content_type="application/json",
        body=Session.of(row),
        headers=location | ({"Idempotent-Replayed": "true"} if replayed else {}),
    )


@router.get(
    "/sessions",
    operation_id="listSessions",
    tags=["sessions"],
    summary="List sessions, newest activity first",
    description=(
        "Pages show the sessions as they stood when the first page was read: none comes"
        " twice or is left out because of what happens meanwhile."
    ),
    responses=answers({200: "A page."}, 422),
)
def list_sessions(
    user: Caller,
    database: Database,
    status: Annotated[SessionStatus | None, Query()] = None,
    agent: Annotated[str | None, Query(max_length=100)] = None,
    name: Annotated[str | None, Query(max_length=200)] = None,
    platform: Annotated[str | None, Query(max_length=32)] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> SessionList:
    page = session_list.list_sessions(
        database,
        user.user_id,
        SessionFilter(status=status, agent=agent, name=name, platform=platform),
        limit=limit,
        cursor=cursor,
    )
    return SessionList(items=[Session.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.get(
    "/sessions/<session_id>",
    operation_id="readSession",
    tags=["sessions"],
    summary="Read a session, and what its turns came to",
    responses=answers({200: "The session."}, 404, 422),
)
def read_session(user: Caller, sessions: Sessions, session_id: SessionId) -> SessionDetails:
    return SessionDetails.shown(*sessions.get_with_usage(user.user_id, session_id))


@router.patch(
    "/sessions/<session_id>",
    operation_id="changeSession",
    tags=["sessions"],
    summary="Change a session's name, status or metadata",
    description=(
        "An escalated session keeps its status until an administrator sets it back: 409"
        " `session_escalated`."
    ),
    responses=answers({200: "The session as it is now."}, 400, 404, 409, 413, 415, 422),
)
def change_session(
    user: Caller, sessions: Sessions, session_id: SessionId, body: SessionChange
) -> Session:
    changes = body.model_dump(exclude_unset=True)
    return Session.of(sessions.change(user.user_id, session_id, changes))


@router.delete(
    "/sessions/<session_id>",
    status_code=204,
    operation_id="deleteSession",
    tags=["sessions"],
    summary="Delete a session with its transcript and memory",
    responses=answers({204: "It is gone."}, 404, 422),
)
def delete_session(user: Caller, forgetter: Forgetter, session_id: SessionId) -> Response[None]:
    forgetter.delete(user.user_id, session_id)
    return Response(status_code=204)
