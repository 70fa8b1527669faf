"""The route that AG-UI's clients speak to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import unquote
from uuid import UUID

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BaseModel, ConfigDict, Field

from parley.errors import NotFound
from parley.http.documented import answers
from parley.http.front_ends.ag_ui import Run, empty_run
from parley.http.front_ends.answers import ResumeEntry, of_resume
from parley.http.front_ends.conversations import Conversation, answers_in, message_in
from parley.http.front_ends.user_text import newest_of_user, text_of
from parley.http.identity import deciders
from parley.http.parts import Caller, MessageMaxChars
from parley.http.streamed import Answering, Resuming, Sending, StreamRouter
from parley.manifest import manifest
from parley.repository.turns import TurnRequest

RUN = "/ag-ui/{agent}"
METHODS: Mapping[str, str] = {RUN: "POST"}

PROTOCOL = "ag-ui"

Id = Annotated[str, Field(min_length=1, max_length=255)]


class RunAgentInput(BaseModel):
    """What AG-UI's clients send; what is not named here is passed over."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "threadId": "groceries",
                    "runId": "run-1",
                    "messages": [{"id": "m-1", "role": "user", "content": "add buy milk"}],
                }
            ]
        }
    )

    thread_id: Id = Field(alias="threadId", description="Names a session of yours.")
    run_id: Id = Field(alias="runId", description="The same gives the same run, however often.")
    messages: list[dict[str, Any]] = Field(
        description="The newest of the user's counts; the transcript is kept here."
    )
    resume: list[ResumeEntry] | None = Field(
        None,
        description=(
            "Answers to all that the thread's turn has asked for; the rest of it is told. A new"
            " message of the user beside them waits behind that turn, and is answered after it."
        ),
    )


router = StreamRouter()


@router.post(
    "/ag-ui/<agent>",
    operation_id="runAgent",
    tags=["front ends"],
    summary="Run an agent as AG-UI's clients do",
    description=(
        "AG-UI 1.0: the turn as a run's events. A client that lost the stream sends the same"
        " `runId` again and is told the run from its start. The stream's end does not cancel the"
        " turn; that its own route does, whose address `Location` begins. A turn that waits for"
        " decisions ends the run with `interrupt`; `resume` answers, and is told the rest of it."
    ),
    responses=answers({}, 400, 403, 404, 409, 413, 415, 422)
    | {200: {"description": "The run's events.", "content": {"text/event-stream": {}}}},
)
def run_agent(
    user: Caller,
    max_chars: MessageMaxChars,
    agent: Annotated[str, Path(description="One of those that `/agents` lists.")],
    body: RunAgentInput,
) -> Sending | Answering | Resuming:
    agent = unquote(agent)
    if agent not in manifest().agents:
        raise NotFound("agent", agent)
    conversation = Conversation.of(PROTOCOL, body.thread_id, agent=agent)
    newest, may = newest_of_user(body.messages), deciders(user)
    run = Run(body.thread_id, body.run_id, body.messages, newest, user.user_id, may)
    if body.resume:
        given = of_resume(body.resume)
        answers = answers_in(conversation, user, given, field="resume")
        if newest is None:
            return Answering(answers, run)
        said = body.messages[newest]

        async def beside(
            turn_id: UUID, answered: Callable[[], Awaitable[str]]
        ) -> TurnRequest | None:
            if not await _is_new(body.messages, newest, turn_id, answered):
                return None
            text, named = text_of(said.get("content")), said.get("id")
            # Each answer brings the whole history: the message is the same, whichever run it is in.
            names = ("beside", named, text) if isinstance(named, str) else ("run", body.run_id)
            request = message_in(
                conversation,
                user,
                text,
                conversation.key_of(*names),
                agent=agent,
                max_chars=max_chars,
            )
            return replace(request, behind_waiting=True)  # which is what is answered

        return Answering(answers, run, beside)
    if newest is None:  # as clients do when they are mounted: nothing is said, so nothing is done
        return Resuming(
            user.user_id,
            conversation.key,
            conversation.session_id,
            run,
            agent=agent,
            otherwise=empty_run(body.thread_id, body.run_id),
        )
    request = message_in(
        conversation,
        user,
        text_of(body.messages[newest].get("content")),
        conversation.key_of("run", body.run_id),
        agent=agent,
        max_chars=max_chars,
    )
    return Sending(request, True, run)


async def _is_new(
    messages: Sequence[Mapping[str, Any]],
    newest: int,
    turn_id: UUID,
    answered: Callable[[], Awaitable[str]],
) -> bool:
    """Return whether the user's newest message is another than the one which a turn answers.

    It is if it stands behind something that the turn has said. A client that holds nothing of the
    turn's has the one message, or has forgotten it: then the texts tell.
    """
    of_turn = f"{turn_id}-"
    places = [
        place for place, each in enumerate(messages) if str(each.get("id", "")).startswith(of_turn)
    ]
    if places:
        return newest > places[0]
    content = messages[newest].get("content")
    return text_of(content) != await answered()
