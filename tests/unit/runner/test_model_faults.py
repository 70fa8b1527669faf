"""What servers' errors mean, in the words of as many as have been reported in public."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from agents import ModelBehaviorError
from openai import APIConnectionError, APIError, AsyncOpenAI

from parley.runner.model_faults import TRIES, BadAnswer, fault_of, fault_of_model

REQUEST = httpx2.Request("POST", "http://model.test/v1/chat/completions")


def by_status(status: int, body: Any) -> Exception:
    """Make the error that OpenAI's client makes of an HTTP status."""
    response = httpx2.Response(status, request=REQUEST, json=body)
    return AsyncOpenAI(api_key="test")._make_status_error_from_response(response)


def in_a_stream(error: Any) -> Exception:
    """Make the error that OpenAI's client makes of an error in a stream."""
    message = error.get("message", "") if isinstance(error, dict) else ""
    return APIError(message or "An error occurred during streaming", REQUEST, body=error)


def code_of(error: Exception) -> str:
    fault = fault_of(error)
    assert fault is not None
    return fault.code


OVERFLOWS = [
    # OpenAI
    {"code": "context_length_exceeded", "message": "Too long.", "type": "invalid_request_error"},
    {"message": "This model's maximum context length is 8192 tokens.", "code": None},
    # llama.cpp, which gives the status once more as the code
    {
        "code": 400,
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 14429,
        "n_ctx": 8192,
    },
    {"message": "request (66202 tokens) exceeds the available context size (65536 tokens)"},
    # Anthropic
    {
        "message": "prompt is too long: 208310 tokens > 200000 maximum",
        "type": "invalid_request_error",
    },
    # vLLM
    {
        "message": "This model's maximum context length is 262144 tokens. However, you requested 0"
        " output tokens and your prompt contains at least 262145 input tokens.",
        "type": "BadRequestError",
        "code": 400,
    },
    # Mistral, Gemini, xAI, Groq, Kimi, GLM, Bedrock, Qwen, LM Studio, Ollama, Poolside, TGI
    {"message": "Prompt contains 40000 tokens, too large for 32768 maximum context length"},
    {"message": "The input token count (1200000) exceeds the maximum number of tokens allowed."},
    {"message": "This model's maximum prompt length is 131072 but the request contains 537812."},
    {"message": "Please reduce the length of the messages or completion."},
    {"message": "Invalid request: Your request exceeded model token limit: 262144"},
    {"message": "tokens in request more than max tokens allowed"},
    {"message": "Input is too long for requested model."},
    {"message": "Range of input length should be [1, 30720]"},
    {"message": "The model is loaded with context length of only 4096 tokens."},
    {"message": "prompt too long; exceeded max context length by 4 tokens"},
    {"message": "Input length 131393 exceeds the maximum allowed input length of 131040 tokens."},
    {"message": "`inputs` tokens + `max_new_tokens` must be <= 4097."},
    # OpenRouter, which wraps what its provider said
    {
        "message": "Provider returned error",
        "code": 400,
        "metadata": {"raw": '{"error":{"message":"prompt is too long: 5 tokens > 4 maximum"}}'},
    },
]


@pytest.mark.parametrize("error", OVERFLOWS, ids=lambda error: error["message"][:40])
def test_a_conversation_that_is_too_long_is_known_in_every_envelope(error: dict[str, Any]) -> None:
    envelopes = [
        by_status(400, {"error": error}),
        by_status(400, error),
        by_status(500, {"error": error}),  # LiteLLM, older llama.cpp
        in_a_stream(error),
        BadAnswer("it failed", error),
    ]

    assert [code_of(each) for each in envelopes] == ["context_overflow"] * len(envelopes)


def test_other_forms_of_a_body_are_read_too() -> None:
    said = "prompt is too long: 5 tokens > 4 maximum"
    bodies = [
        {"error": said},
        {"detail": said},
        {"object": "error", "message": said},
        [{"error": {"code": 400, "message": said, "status": "INVALID_ARGUMENT"}}],
        {"message": {"detail": [{"type": "value_error", "msg": said}]}},
    ]

    assert {code_of(by_status(400, body)) for body in bodies} == {"context_overflow"}


def test_a_body_that_is_too_large_is_one_too() -> None:
    too_large = {"error": {"type": "request_too_large", "message": "Request exceeds the maximum"}}
    tokens = {"error": {"message": "Request too large for model: Limit 6000, Requested 7000"}}

    assert code_of(by_status(413, too_large)) == "context_overflow"
    assert code_of(by_status(429, tokens)) == "context_overflow"


OTHERS = [
    (429, {"message": "Too many tokens, please wait before trying again."}, TRIES),
    (
        429,
        {"message": "Rate limit for tokens per minute", "code": "rate_limit_exceeded"},
        3,
    ),
    (429, {"message": "You exceeded your quota", "code": "insufficient_quota"}, 1),
    (400, {"message": "max_tokens is too large: 100000. At most 16384 completion tokens."}, 1),
    (400, {"message": "Invalid value for 'model'"}, 1),
    (401, {"message": "Your key has no access to this context window"}, 1),
    (503, {"message": "Loading model", "type": "unavailable_error"}, TRIES),
    (500, {"message": "Internal server error"}, TRIES),
]


@pytest.mark.parametrize(("status", "error", "tries"), OTHERS)
def test_what_is_something_else_is_not_taken_for_it(
    status: int, error: dict[str, Any], tries: int
) -> None:
    fault = fault_of(by_status(status, {"error": error}))

    assert fault is not None
    assert (fault.code, fault.tries) == ("model_failed", tries)


def test_what_a_server_repeats_of_the_conversation_is_not_read() -> None:
    detail = [{"type": "missing", "msg": "Field required", "input": "What is a context window?"}]

    fault = fault_of(by_status(422, {"detail": detail}))

    assert fault is not None
    assert fault.code == "model_failed"


def test_words_of_a_tool_are_not_a_server_s() -> None:
    error = ModelBehaviorError("Invalid JSON input for tool note: {'text': 'context window")

    assert code_of(error) == "model_failed"


FILTERS = [
    {"code": "content_filter", "message": "The response was filtered due to the prompt"},
    {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content"
        " management policy.",
        "code": None,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    },
    {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."},
    {"code": "content_policy_violation", "message": "Rejected by the safety system."},
]


@pytest.mark.parametrize("error", FILTERS)
def test_a_filter_is_known_in_every_envelope(error: dict[str, Any]) -> None:
    envelopes = [by_status(400, {"error": error}), in_a_stream(error), BadAnswer("it", error)]

    assert {code_of(each) for each in envelopes} == {"content_filtered"}


def test_a_connection_may_be_better_the_next_time() -> None:
    fault = fault_of(APIConnectionError(request=REQUEST))

    assert fault is not None
    assert (fault.code, fault.tries) == ("model_failed", TRIES)


def test_what_is_not_the_model_s_is_no_fault_of_it() -> None:
    assert fault_of(ValueError("context window")) is None
    assert fault_of(None) is None


class Foreign(Exception):
    """Of a library of its own."""

    def __init__(self, status_code: Any, body: Any = None, message: str = "") -> None:
        super().__init__(message)
        self.status_code, self.body = status_code, body


@pytest.mark.parametrize(
    ("error", "code", "tries"),
    [
        (Foreign(529), "model_failed", TRIES),
        (Foreign(403), "model_failed", 1),
        (Foreign(400, {"error": {"code": "context_length_exceeded"}}), "context_overflow", 1),
        (Foreign(400, message="This model's maximum context length is 9"), "context_overflow", 1),
        (Foreign(400, message="flagged: content_filter"), "content_filtered", 1),
        (TimeoutError(), "model_failed", TRIES),
        (ConnectionResetError(), "model_failed", TRIES),
        (httpx2.ReadTimeout("late"), "model_failed", TRIES),
        (in_a_stream({"code": "server_error"}), "model_failed", TRIES),
    ],
)
def test_what_a_model_of_another_library_raises_is_understood(
    error: Exception, code: str, tries: int
) -> None:
    fault = fault_of_model(error)

    assert fault is not None
    assert (fault.code, fault.tries) == (code, tries)


@pytest.mark.parametrize("error", [None, KeyError("said"), Foreign("gone"), Foreign(True)])
def test_what_tells_nothing_is_not(error: Exception | None) -> None:
    assert fault_of_model(error) is None


def test_it_is_for_a_model_s_own_failures_only() -> None:
    assert fault_of(Foreign(529)) is None
    assert fault_of(TimeoutError()) is None


def test_nothing_that_was_said_is_quoted() -> None:
    fault = fault_of_model(Foreign(500, {"message": "alice said hello"}, "alice said hello"))

    assert fault is not None
    assert fault.detail == "The model answered with status 500: Foreign."
