"""What is wrong with a model's answer: one reading for all the envelopes that servers use.

That a conversation is too long, that it is asked too often, that it broke down, that a filter held
the answer back: a server says it by an HTTP status, by an error in a stream, by how a response
ended, or by a finish reason, and each in words of its own.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agents import ModelBehaviorError
from openai import APIConnectionError, APIError, APIStatusError

from parley.errors import ParleyError

TRIES = 3
"""How often a model is asked the same, if what went wrong may pass; as often as by its client."""

NO_ANSWER_TRIES = 2
"""How often a model is asked the same that answers nothing: it may do so every time."""

FaultCode = Literal["context_overflow", "content_filtered", "model_failed"]


class BadAnswer(ParleyError, ModelBehaviorError):
    """An answer that is none: it failed, was cut off, or holds nothing.

    Attributes:
        codes: The words for programs that came with it.
        status: The HTTP status that says the same, if one is known.
        words: What the server said, for telling what is wrong.
        usage: The tokens that were billed for it.
        tries: How often the same may be asked; None if its codes decide.
    """

    def __init__(
        self,
        sentence: str,
        said: Any = None,
        *,
        usage: Mapping[str, int] | None = None,
        tries: int | None = None,
    ) -> None:
        """Keep what is known of it.

        Args:
            sentence: What is wrong, for people; it quotes nothing.
            said: What came with it: an error as the server gave it, a code, or nothing.
            usage: The tokens that were billed for it.
            tries: How often the same may be asked.
        """
        self.codes, self.status, self.words = _read(said)
        known = ", ".join(sorted(self.codes))
        super().__init__(f"{sentence} ({known})" if known else sentence)
        self.usage = usage
        self.tries = tries


class BrokenOff(ParleyError, APIConnectionError):
    """The connection broke in the middle of an answer."""


def no_answer(usage: Mapping[str, int] | None = None) -> BadAnswer:
    """Say that an answer holds nothing to go on from."""
    return BadAnswer("it holds neither text nor a call", usage=usage, tries=NO_ANSWER_TRIES)


def cut_off(usage: Mapping[str, int] | None = None) -> BadAnswer:
    """Say that an answer reached the most tokens that it may have."""
    return BadAnswer("it was cut off at its limit of tokens", usage=usage, tries=1)


def too_much_in_a_turn(most: int) -> BadAnswer:
    """Say that a turn's answers together are longer than may be."""
    limit = f"{most} bytes (8 * MODEL_ANSWER_MAX_CHARS)"
    return BadAnswer(f"with the turn's others it is longer than {limit}", tries=1)


def ended_with(
    status: str, error: Any, incomplete: Any, usage: Mapping[str, int] | None
) -> BadAnswer:
    """Say that a response ended otherwise than completed.

    Args:
        status: How: `failed`, `incomplete` or another.
        error: The error that it carries, if any.
        incomplete: Why it is incomplete, if it is; the server's word.
        usage: The tokens that were billed for it.
    """
    if incomplete == "max_output_tokens":
        return cut_off(usage)
    bad = BadAnswer(f"it ended with {status}", error or incomplete, usage=usage)
    if bad.status is None and status == "failed":
        bad.status = 500
    return bad


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an answer, and what follows.

    Attributes:
        code: The turn's code.
        detail: A sentence for people; it quotes neither the conversation nor the server.
        tries: How often the same may be asked.
    """

    code: FaultCode
    detail: str
    tries: int


def fault_of(error: BaseException | None) -> Fault | None:
    """Tell what an error of a model call means; None if it is not the model's."""
    match error:
        case APIStatusError():
            codes, _, words = _read(error.body)
            words = words or error.message
            status: int | None = error.status_code
            detail = f"The model answered with status {status}: {type(error).__name__}."
        case APIConnectionError():
            return Fault("model_failed", f"The model failed: {type(error).__name__}.", TRIES)
        case APIError():
            codes, status, words = _read(error.body)
            words = f"{words} {error.message}"
            known = ", ".join(sorted(codes)) or type(error).__name__
            detail = f"The model failed in its answer: {known}."
            status = status or 500  # it began to answer, and says no more than that it failed
        case BadAnswer():
            codes, status, words = error.codes, error.status, error.words
            detail = f"The model's answer cannot be used: {error.message}."
        case ModelBehaviorError():
            # Another's words may be of the conversation, such as a tool's arguments.
            ours = _OF_A_SERVER.search(error.message)
            codes, status, words = set(), None, error.message if ours else ""
            detail = f"The model's answer cannot be used: {error.message}"
        case _:
            return None
    tries = error.tries if isinstance(error, BadAnswer) else None
    return _meant(status, f"{' '.join(codes)} {words}", detail, type(error).__name__, tries)


def _meant(
    status: int | None, said: str, detail: str, name: str, tries: int | None = None
) -> Fault:
    """Tell what a failure means, by its status and by what was said with it."""
    if _overflows(status, said):
        return Fault("context_overflow", f"The conversation is too long for the model: {name}", 1)
    if _FILTERED.search(said):
        return Fault(
            "content_filtered", "The model's server held its answer back: a content filter.", 1
        )
    if _MISMADE.search(said):
        tries = TRIES  # the model may call rightly the next time
    return Fault("model_failed", detail, tries or (TRIES if _may_pass(status, said) else 1))


def fault_of_model(error: BaseException | None) -> Fault | None:
    """Tell what an error means that a model of whatever library has raised; None if nothing.

    Libraries have exceptions of their own. Most give the HTTP status as `status_code`.
    """
    known = fault_of(error)
    if known is not None or error is None:
        return known
    name = type(error).__name__
    if isinstance(error, TimeoutError | ConnectionError) or any(
        (kind.__module__.partition(".")[0], kind.__name__) in _NOT_REACHED
        for kind in type(error).__mro__
    ):
        return Fault("model_failed", f"The model failed: {name}.", TRIES)
    status = getattr(error, "status_code", None)
    if isinstance(status, bool) or not isinstance(status, int):
        return None
    codes, _, words = _read(getattr(error, "body", None))
    detail = f"The model answered with status {status}: {name}."
    return _meant(status, f"{' '.join(codes)} {words} {error}", detail, name)


def billed(error: BaseException) -> Mapping[str, int] | None:
    """Return the tokens of an answer that was of no use, if its server has told them."""
    return error.usage if isinstance(error, BadAnswer) else None


def _may_pass(status: int | None, said: str) -> bool:
    if "insufficient_quota" in said or status in (401, 402, 403, 404):
        return False
    if _THROTTLED.search(said):
        return True  # whatever the status: Bedrock's throttling comes as 400 too
    if status is None:
        return False
    return status in (408, 409, 429) or status >= 500


def _overflows(status: int | None, said: str) -> bool:
    if status in (401, 403, 404):
        return False
    if status == 413 or _OVERSIZED.search(said):  # it never fits, however long one waits
        return True
    if status == 429 or _THROTTLED.search(said):
        return False
    return _OVERFLOW.search(said) is not None


_NOT_REACHED = (
    ("httpx", "TransportError"),
    ("httpx2", "TransportError"),
    ("aiohttp", "ClientConnectionError"),
    ("aiohttp", "ClientPayloadError"),
)
"""Exceptions of HTTP clients, by package and name, that say that no answer came, or not all."""

_OVERFLOW = re.compile(
    r"""
      context[ _-]?(?:length|window|size|limit)  # OpenAI, vLLM, Mistral, LM Studio, Groq, llama.cpp
    | exceed_context_size                        # llama.cpp's type
    | (?:prompt|input|request)s?[ ](?:is[ ]|was[ ])?too[ ](?:long|large)      # Anthropic, Bedrock
    | maximum[ ](?:prompt|input|allowed[ ]input)[ ]length                     # xAI, Poolside
    | input[ ](?:token[ ]count|length)\b.*\bexceeds                          # Gemini
    | input[ ]length[ ]should[ ]be                                           # Qwen
    | more[ ]than[ ]max[ ]tokens[ ]allowed                                   # GLM
    | prompt[ ]exceeds[ ]max[ ]length                                        # GLM
    | exceeded[ ]model[ ]token[ ]limit                                       # Kimi
    | too[ ]many[ ](?:input[ ])?tokens                                       # Cohere
    | reduce[ ]the[ ]length[ ]of[ ]the[ ](?:messages|prompt|input)           # Groq, vLLM
    | `?inputs`?[ ](?:tokens[ ]\+|must[ ]have[ ]less[ ]than)                 # TGI, Together
    """,
    re.IGNORECASE | re.VERBOSE,
)
_OVERSIZED = re.compile(r"request_too_large|request too large", re.IGNORECASE)
_THROTTLED = re.compile(
    r"throttl|rate.?limit|too many requests|per minute|please wait|try again later", re.IGNORECASE
)
_FILTERED = re.compile(
    r"content[ _-]?(?:filter|policy|management)|responsibleaipolicy|data_inspection_failed"
    r"|moderation_blocked|prohibited_content",
    re.IGNORECASE,
)

_MISMADE = re.compile(
    r"tool_use_failed|json_validate_failed|output_parse_failed",
    re.IGNORECASE,  # Groq
)

_OF_A_SERVER = re.compile(r"ended with terminal event|provider error payload")
"""How the SDK begins to say that a server has failed."""

_STATUS_OF = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "badrequesterror": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "internalservererror": 500,
    "api_error": 500,
    "error": 500,
    "abort": 500,
    "network_error": 502,
    "upstream_error": 502,
    "insufficient_system_resource": 503,
    "unavailable_error": 503,
    "service_unavailable": 503,
    "server_is_overloaded": 503,
    "overloaded_error": 529,
}
"""Words for programs that stand for an HTTP status where a server cannot give one any more."""

_TELLING = ("message", "code", "type", "status", "detail", "msg", "error", "innererror", "reason")
_TELLING_TOO = ("metadata", "raw", "details", "error_code", "errors")
# Anything else may be the conversation: some servers repeat what they could not take.


def _read(said: Any) -> tuple[set[str], int | None, str]:
    """Read an error as a server gave it: its codes, the status that they mean, and its words."""
    codes: list[str] = []
    words: list[str] = []
    if isinstance(said, str) and re.fullmatch(r"[\w.:-]+", said):
        said = {"code": said}
    for key, value in _leaves(said):
        if key in ("code", "type", "error_code") and isinstance(value, str | int):
            codes.append(str(value))
        words.append(str(value))
    numbers = [int(code) for code in codes if code.isdecimal() and 400 <= int(code) < 600]
    # That it is an `error` says least: it may be no more than the kind of the event.
    telling = sorted((code.lower() for code in codes), key=lambda code: code == "error")
    known = [_STATUS_OF[code] for code in telling if code in _STATUS_OF]
    return set(codes), next(iter(numbers + known), None), " ".join(words)


def _leaves(said: Any, key: str = "message") -> Iterator[tuple[str, Any]]:
    match said:
        case Mapping():
            for name in (*_TELLING, *_TELLING_TOO):
                if name in said:
                    yield from _leaves(said[name], name)
        case list():
            for each in said:
                yield from _leaves(each, key)
        case None | bool():
            return
        case str() | int() | float():
            yield key, said
        case _ if hasattr(said, "model_dump"):
            yield from _leaves(said.model_dump(mode="json", warnings=False), key)
