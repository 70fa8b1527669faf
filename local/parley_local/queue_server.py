"""The queue as boto3 sees it: the few actions of SQS that Parley uses, in its JSON protocol."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from parley.errors import ParleyError
from parley_local.dead_letters import DeadLetters
from parley_local.lambda_identity import ACCOUNT
from parley_local.queue_delivery import md5_of, queue_arn
from parley_local.queue_state import QueueState, UnknownReceipt

_SENDING = {"QueueUrl", "MessageBody", "DelaySeconds", "MessageGroupId"}
_BODY_LIMIT = 1_048_576
_LONGEST_DELAY = 900
_LONGEST_VISIBILITY = 43_200

log = logging.getLogger(__name__)


class _Fault(ParleyError):
    """What SQS would refuse; `code` is its name for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class QueueServer:
    """An ASGI app that answers for one queue, to those who know its URL."""

    def __init__(self, queue: QueueState, dead_letters: DeadLetters, *, secret: str) -> None:
        """Make the app.

        Args:
            queue: What it takes messages for.
            dead_letters: What was given up, to be sent again when asked.
            secret: The first part of every path; requests without it are refused.
        """
        self._secret = secret
        self._queue = queue
        self._dead_letters = dead_letters
        self._actions = {
            "AmazonSQS.SendMessage": self._send,
            "AmazonSQS.ChangeMessageVisibility": self._change_visibility,
            "AmazonSQS.StartMessageMoveTask": self._redrive,
        }

    @property
    def path(self) -> str:
        """The path of the queue's URL; its first part is the path of the endpoint."""
        return f"/{self._secret}/{ACCOUNT}/{self._queue.settings.name}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise ValueError(f"The queue serves no {scope['type']} connections.")
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        if self._knows_us(request.url.path):
            response = self._answer(request.headers.get("x-amz-target", ""), body)
        else:
            response = _fault(_Fault("AccessDenied", "The URL is not the queue's."), 403)
        await response(scope, receive, send)

    def _answer(self, target: str, body: bytes) -> Response:
        try:
            action = self._actions.get(target)
            if action is None:
                raise _Fault("UnsupportedOperation", f"The local queue knows no {target or '?'}.")
            return _response(200, action(_entries(body)))
        except _Fault as fault:
            log.warning("%s was refused: %s", target or "A request to the queue", fault)
            return _fault(fault, 400)

    def _knows_us(self, path: str) -> bool:
        first = path.removeprefix("/").partition("/")[0]
        return secrets.compare_digest(first.encode(), self._secret.encode())

    def _send(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        self._is_ours(entries)
        body = entries.get("MessageBody")
        if not isinstance(body, str) or not body:
            raise _Fault("MissingParameter", "MessageBody must be a text that is not empty.")
        if len(body.encode()) > _BODY_LIMIT:
            raise _Fault("InvalidParameterValue", f"MessageBody is over {_BODY_LIMIT} bytes.")
        if unknown := sorted(entries.keys() - _SENDING):
            # Attributes, say: a message must not silently arrive without what it was sent with.
            raise _Fault("UnsupportedOperation", f"The local queue knows no {unknown[0]}.")
        delay = entries.get("DelaySeconds")
        if delay is not None:
            delay = _seconds("DelaySeconds", delay, _LONGEST_DELAY)
        group = entries.get("MessageGroupId")
        if group is not None and (not isinstance(group, str) or not 1 <= len(group) <= 128):
            raise _Fault("InvalidParameterValue", "MessageGroupId must have 1 to 128 characters.")
        message = self._queue.send(body, delay, group)
        return {"MessageId": message.id, "MD5OfMessageBody": md5_of(body)}

    def _change_visibility(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        self._is_ours(entries)
        seconds = _seconds(
            "VisibilityTimeout", entries.get("VisibilityTimeout"), _LONGEST_VISIBILITY
        )
        try:
            self._queue.change_visibility(str(entries.get("ReceiptHandle")), seconds)
        except UnknownReceipt as error:
            raise _Fault("ReceiptHandleIsInvalid", f"No message in flight: {error}.") from error
        return {}

    def _redrive(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        """Send every dead letter anew, as SQS's own redrive does."""
        settings = self._queue.settings
        if settings.dead_letters is None or entries.get("SourceArn") != queue_arn(
            settings.dead_letters
        ):
            raise _Fault("ResourceNotFoundException", "SourceArn is no dead-letter queue's.")
        try:
            messages = self._dead_letters.messages()
        except ValueError as error:
            raise _Fault("UnsupportedOperation", str(error)) from error
        for body, group in messages:
            self._queue.send(body, group=group)
        self._dead_letters.clear()
        log.info("%d dead letters were sent again.", len(messages))
        return {"TaskHandle": "local"}

    def _is_ours(self, entries: Mapping[str, Any]) -> None:
        url = entries.get("QueueUrl")
        if not isinstance(url, str) or not url.endswith(self.path):
            raise _Fault("QueueDoesNotExist", f"The local queue is {self.path}, not {url}.")


def _entries(body: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(body)
    except ValueError as error:
        raise _Fault("MalformedInput", "The request is no JSON.") from error
    if not isinstance(entries, dict):
        raise _Fault("MalformedInput", "The request is no JSON object.")
    return entries


def _seconds(name: str, value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _Fault("InvalidParameterValue", f"{name} must be a number from 0 to {most}.")
    return value


def _fault(fault: _Fault, status: int) -> Response:
    answer = {"__type": f"com.amazonaws.sqs#{fault.code}", "message": str(fault)}
    return _response(status, answer)


def _response(status: int, answer: Mapping[str, Any]) -> Response:
    return Response(json.dumps(answer), status, media_type="application/x-amz-json-1.0")
