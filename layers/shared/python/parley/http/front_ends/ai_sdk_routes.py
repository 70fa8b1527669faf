"""The routes that the AI SDK's chats speak to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from parley.errors import InvalidField
from parley.http.documented import answers
from parley.http.front_ends.ai_sdk import MessageStream
from parley.http.front_ends.answers import of_message
from parley.http.front_ends.conversations import Conversation, answers_in, message_in
from parley.http.front_ends.user_text import newest_of_user, text_of, texts_of
from parley.http.identity import deciders
from parley.http.parts import Caller, MessageMaxChars
from parley.http.schemas import AgentName
from parley.http.sessions import offered_agent
from parley.http.streamed import Answering, Resuming, Sending, StreamRouter
from parley.text import storable

CHAT = "/ai-sdk/chat"
RESUME = "/ai-sdk/chat/{chat_id}/stream"
METHODS: Mapping[str, str] = {CHAT: "POST", RESUME: "GET"}

PROTOCOL = "ai-sdk"

_STREAM = {"description": "The message's parts.", "content": {"text/event-stream": {}}}


class ChatRequest(BaseModel):
    """What the AI SDK's chat transports send; what is not named here is passed over."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "groceries",
                    "messages": [
                        {
                            "id": "m-1",
                            "role": "user",
                            "parts": [{"type": "text", "text": "add buy milk"}],
                        }
                    ],
                    "trigger": "submit-message",
                }
            ]
        }
    )

    id: str = Field(min_length=1, max_length=255, description="Names a session of yours.")
    messages: list[dict[str, Any]] = Field(
        description="The newest of the user's counts; the transcript is kept here."
    )
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    message_id: str | None = Field(
        None,
        alias="messageId",
        description="Of the message to be made anew; each is made anew once by it.",
    )
    agent: AgentName | None = Field(
        None, description="Of a session that this makes; the deployment's first if null."
    )


router = StreamRouter()


@router.post(
    CHAT,
    operation_id="sendToChat",
    tags=["front ends"],
    summary="Send a message as the AI SDK's chats do",
    description=(
        "The AI SDK's UI message stream, version 1. The same message sent again is the same turn,"
        " told from its start. The stream's end does not cancel the turn; that its own route does,"
        " whose address `Location` begins. A turn that waits for decisions ends the stream with a"
        " `tool-approval-request` for each; the message with its answers is told the rest of it."
    ),
    responses=answers({}, 400, 403, 404, 409, 413, 415, 422) | {200: _STREAM},
)
def send_to_chat(
    user: Caller, max_chars: MessageMaxChars, body: ChatRequest
) -> Sending | Answering:
    conversation = Conversation.of(PROTOCOL, body.id)
    may = deciders(user)
    answered = _answered(body)
    if given := of_message(answered):
        held = MessageStream("../", user.user_id, may, texts_of(answered))
        return Answering(answers_in(conversation, user, given, field="messages"), held)
    place = newest_of_user(body.messages)
    if place is None:
        raise InvalidField("messages", "holds no message of the user")
    newest = body.messages[place]
    text = text_of(newest.get("parts", newest.get("content")))
    request = message_in(
        conversation,
        user,
        text,
        _key(conversation, body, newest.get("id"), text),
        agent=offered_agent(body.agent),
        max_chars=max_chars,
    )
    return Sending(request, True, MessageStream("../", user.user_id, may))


@router.get(
    "/ai-sdk/chat/<chat_id>/stream",
    operation_id="resumeChat",
    tags=["front ends"],
    summary="Get the message that a chat is being answered with, from its start",
    description="What `resume` of the AI SDK's `useChat` asks for when a page is loaded.",
    responses=answers({204: "Nothing runs in this chat."}, 404, 422) | {200: _STREAM},
)
def resume_chat(
    user: Caller,
    chat_id: Annotated[
        str,
        BeforeValidator(lambda name: storable(unquote(name))),
        Path(min_length=1, max_length=255, description="The chat's id."),
    ],
) -> Resuming:
    conversation = Conversation.of(PROTOCOL, chat_id)
    wire = MessageStream("../../../", user.user_id, deciders(user))
    return Resuming(user.user_id, conversation.key, conversation.session_id, wire)


def _answered(body: ChatRequest) -> Mapping[str, Any]:
    """Return the message whose parts may answer what was asked; an empty one if there is none."""
    if body.trigger != "submit-message" or not body.messages:
        return {}
    named = [each for each in body.messages if each.get("id") == body.message_id]
    message = named[-1] if named and body.message_id is not None else body.messages[-1]
    return message if message.get("role") == "assistant" else {}


def _key(conversation: Conversation, body: ChatRequest, said: object, text: str) -> str | None:
    """Return what makes a request the same as one before, as far as it can be told.

    A message that is edited keeps its id. One that is to be answered anew is sent as it was, with
    the id of the answer that is not wanted; without that, each time is another.
    """
    if not isinstance(said, str):
        return None
    if body.trigger == "submit-message":
        return conversation.key_of("said", said, text)
    if body.message_id is None:
        return None
    return conversation.key_of("anew", said, text, body.message_id)
