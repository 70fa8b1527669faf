"""What a request's body may be, before anybody looks at its fields."""

from __future__ import annotations

import base64
from collections.abc import Callable
from unittest.mock import ANY

import pytest

from parley.http.body import body_max_bytes
from parley_testing.api.handlers import Answer, Api, Context, rest_event
from parley_testing.api.problems import problem

SESSIONS_LIMIT = body_max_bytes(10_500)
MESSAGES_LIMIT = body_max_bytes(32_000)

SendEncoded = Callable[[str], Answer]


@pytest.fixture
def send_encoded(api: Api) -> SendEncoded:
    """Posts a body to /sessions as API Gateway passes on what is binary."""

    def send(body: str) -> Answer:
        event = rest_event("POST", "/sessions") | {"body": body, "isBase64Encoded": True}
        return Answer(api.function("sessions").handler(event, Context()))

    return send


def encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()


def test_what_is_not_json_is_refused(api: Api) -> None:
    bodies = [
        "{", "}", "{'name': 'n'}", '{"name": "n",}', '{"name": "n"} x', "name=n", "\ufeff{}",
        '{"name": "a\nb"}', '{"name": "\ud800"}', "[" * 9_000,
        '{"metadata": {"x": NaN}}', '{"metadata": {"x": -Infinity}}',
        '{"metadata": {"x": 1e400}}', '{"metadata": {"x": -1e400}}',
        '{"metadata": {"x": ' + "9" * 5000 + "}}",
    ]  # fmt: skip

    for body in bodies:
        for path in ("/sessions", "/messages"):
            problem(api("POST", path, body), 400, "bad_request")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"x":', "}")])
def test_json_may_be_nested_100_deep(api: Api, opening: str, closing: str) -> None:
    def create(depth: int) -> Answer:
        inner = opening * (depth - 2) + "1" + closing * (depth - 2)
        return api("POST", "/sessions", f'{{"metadata": {{"x": {inner}}}}}')

    deepest = create(100)

    assert deepest.status == 201
    assert api("GET", deepest.headers["location"]).json == deepest.json | {"usage": ANY}
    for depth in (101, 250, 256, 500, 1000, 9000):
        problem(create(depth), 400, "bad_request")
    for depth in (40_000, 150_000):  # each level is a value
        problem(create(depth), 413, "content_too_large")


def test_nul_and_lone_surrogates_are_made_storable(api: Api) -> None:
    body = r'{"name": "a\u0000b\ud800c", "metadata": {"k\u0000\udfff": ["\u0000", "\ud83d\ude00"]}}'

    made = api("POST", "/sessions", body)

    assert made.status == 201
    assert made.json["name"] == "ab\N{REPLACEMENT CHARACTER}c"
    assert made.json["metadata"] == {"k\N{REPLACEMENT CHARACTER}": ["", "\U0001f600"]}
    assert api("GET", made.headers["location"]).json == made.json | {"usage": ANY}


def test_a_message_with_nul_and_lone_surrogates_is_answered(api: Api) -> None:
    answer = api("POST", "/messages", r'{"text": "add a\u0000b\ud800c"}')

    assert answer.status == 201
    assert answer.json["user_message"]["content"] == "add ab\N{REPLACEMENT CHARACTER}c"


def test_a_body_may_have_as_many_bytes_as_its_texts_can_take(api: Api) -> None:
    session = '{"name": "ü"}'.ljust(SESSIONS_LIMIT - 1)  # ü has two bytes
    message = '{"text": "ü"}'.ljust(MESSAGES_LIMIT - 1)
    assert len(session.encode()) == SESSIONS_LIMIT

    assert api("POST", "/sessions", session).status == 201
    assert api("POST", "/messages", message).status == 201
    problem(api("POST", "/sessions", session + " "), 413, "content_too_large")
    problem(api("POST", "/messages", message + " "), 413, "content_too_large")


def test_the_longest_texts_are_taken_in_the_longest_way_to_write_them(api: Api) -> None:
    face, escaped = "\U0001f600", "\\ud83d\\ude00"
    # As many bytes as metadata may have: it is counted as JSON without escapes.
    metadata = f'{{"m": "{escaped * ((16 * 1024 - 8) // 4)}"}}'

    message = api("POST", "/messages", f'{{"text": "{escaped * 32_000}", "metadata": {metadata}}}')
    task = api("POST", "/tasks", f'{{"title": "{escaped * 500}", "notes": "{escaped * 10_000}"}}')

    assert (message.status, message.json["user_message"]["content"]) == (201, face * 32_000)
    assert (task.status, task.json["notes"]) == (201, face * 10_000)


@pytest.mark.parametrize(
    "body",
    [
        "[" + ",".join(["[]"] * 10_001) + "]",
        '{"metadata": {"x": [' + ",".join(["1"] * 10_001) + "]}}",
        "{" + ",".join(f'"k{n}": 1' for n in range(10_001)) + "}",
        "[" + ",".join(["[]"] * 80_000) + "]",
    ],
    ids=["lists", "numbers", "fields", "far too many"],
)
def test_a_body_holds_no_more_values_than_any_needs(api: Api, body: str) -> None:
    for path in ("/sessions", "/messages", "/messages/stream"):
        said = problem(api("POST", path, body), 413, "content_too_large")
        assert said["detail"] == "A body may have 10000 values at most."


def test_what_stands_in_a_text_is_no_value(api: Api) -> None:
    text = '",[,' * 8_000

    assert api("POST", "/messages", {"text": text}).json["user_message"]["content"] == text


def test_metadata_may_hold_as_many_values_as_its_bytes_can(api: Api) -> None:
    metadata = {"m": [1] * ((16 * 1024 - 8) // 2)}

    assert api("POST", "/sessions", {"metadata": metadata}).json["metadata"] == metadata


def test_a_body_in_base64_may_have_as_many_bytes(send_encoded: SendEncoded) -> None:
    fits = [SESSIONS_LIMIT, SESSIONS_LIMIT - 1, SESSIONS_LIMIT - 2]  # each padded otherwise
    too_large = [SESSIONS_LIMIT + 1, SESSIONS_LIMIT + 2, SESSIONS_LIMIT + 3]

    assert {send_encoded(encoded(b"{}".ljust(size))).status for size in fits} == {201}
    for size in too_large:
        problem(send_encoded(encoded(b"{}".ljust(size))), 413, "content_too_large")


def test_a_body_in_base64_is_read_as_any_other(send_encoded: SendEncoded) -> None:
    answer = send_encoded(encoded('{"name": "grüße"}'.encode()))

    assert (answer.status, answer.json["name"]) == (201, "grüße")


def test_base64_that_carries_no_text_is_not_json(send_encoded: SendEncoded) -> None:
    for body in ("a", "{}", "e30*", encoded(b'{"name": "\xff"}'), "ü"):
        problem(send_encoded(body), 400, "bad_request")


def test_a_body_is_not_read_as_json_where_it_says_that_it_is_something_else(api: Api) -> None:
    answer = api("POST", "/sessions", "{}", headers={"content-type": "text/plain"})

    problem(answer, 415, "unsupported_media_type")


def test_json_may_name_its_encoding(api: Api) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}

    assert api("POST", "/sessions", {}, headers=headers).status == 201


def test_a_browser_of_any_origin_may_read_answers_and_errors(api: Api) -> None:
    headers = {"Origin": "https://example.com"}
    answers = [
        api("GET", "/sessions", headers=headers),
        api("GET", "/sessions/nobody", headers=headers),
        api("GET", "/sessions", headers=headers, user=None),
        api("POST", "/sessions", "{", headers=headers),
    ]

    assert [answer.status for answer in answers] == [200, 422, 401, 400]
    assert {answer.headers.get("access-control-allow-origin") for answer in answers} == {"*"}
