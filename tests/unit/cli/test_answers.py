"""What is sent is whole, and what comes back is a result or a typed error."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from parley_client import ApiError, FieldError, NotSendable, UnexpectedAnswer
from parley_client.endpoints import admin, messages, sessions

PAGE: dict[str, Any] = {"next_cursor": None, "items": []}


def test_a_problem_document_is_an_error_with_its_facts(client: Any, server_of: Any) -> None:
    problem = {
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "text: has more than 5 characters",
        "code": "invalid_field",
        "request_id": "r-1",
        "errors": [{"field": "text", "reason": "has more than 5 characters"}],
        "turn_id": str(UUID(int=8)),
    }
    server = server_of(httpx.Response(422, json=problem))

    with pytest.raises(ApiError) as caught:
        client.do(server, messages.send_first_message("too long"))

    error = caught.value
    assert (error.status, error.code, error.request_id) == (422, "invalid_field", "r-1")
    assert error.errors == (FieldError("text", "has more than 5 characters"),)
    assert (error.detail, error.turn_id) == (problem["detail"], UUID(int=8))


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (b'{"message": "Forbidden"}', "Forbidden"),
        (b"<html>", "Forbidden"),
        (b'["odd"]', "Forbidden"),
        (b'{"errors": [1], "turn_id": 5}', "Forbidden"),
        (b"\xff", "Forbidden"),
    ],
)
def test_a_refusal_in_other_words_is_an_error_too(
    client: Any, server_of: Any, body: bytes, title: str
) -> None:
    server = server_of(httpx.Response(403, content=body))

    with pytest.raises(ApiError) as caught:
        client.do(server, sessions.create_session())

    assert (caught.value.status, caught.value.title, caught.value.errors) == (403, title, ())


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"id": 5}),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(302, headers={"Location": "https://elsewhere.example"}),
    ],
    ids=["page", "other", "deep", "elsewhere"],
)
def test_what_parley_would_not_answer_is_named_as_such(
    client: Any, server_of: Any, response: httpx.Response
) -> None:
    server = server_of(response)

    with pytest.raises(UnexpectedAnswer):
        client.do(server, sessions.create_session())

    assert len(server.requests) == 1


def test_fields_that_are_newer_than_the_client_are_no_matter(
    client: Any, server_of: Any, session: dict[str, Any]
) -> None:
    server = server_of(httpx.Response(201, json={**session, "mood": "good"}))

    assert client.do(server, sessions.create_session()).name == "groceries"


def test_a_list_goes_from_page_to_page(
    client: Any, server_of: Any, session: dict[str, Any]
) -> None:
    pages = [{"items": [session], "next_cursor": "c1"}, {"items": [], "next_cursor": "c2"}]
    server = server_of(*[httpx.Response(200, json=page) for page in [*pages, PAGE]])

    found = client.each(server, sessions.list_sessions(status="active", page_size=1))

    assert [each.name for each in found] == ["groceries"]
    asked = [dict(request.url.params) for request in server.requests]
    first = {"status": "active", "limit": "1"}
    assert asked == [first, {**first, "cursor": "c1"}, {**first, "cursor": "c2"}]


def test_an_export_goes_from_page_to_page_by_its_header(client: Any, server_of: Any) -> None:
    lines = ['{"type": "session", "name": "a\u2028b"}', '{"type": "task"}']
    server = server_of(
        httpx.Response(200, text=lines[0] + "\n", headers={"Next-Cursor": "c1"}),
        httpx.Response(200, text=lines[1] + "\n"),
    )

    found = client.each(server, admin.export_user("auth0|anna"))

    assert found == [json.loads(line) for line in lines]
    paths = [request.url.raw_path for request in server.requests]
    assert paths == [
        b"/admin/users/auth0%7Canna/export",
        b"/admin/users/auth0%7Canna/export?cursor=c1",
    ]


def test_erasing_goes_on_until_all_is_gone(client: Any, server_of: Any) -> None:
    step = {"sessions": 1, "rows": 3, "items": 1, "bytes": 9, "waiting": 0}
    server = server_of(
        httpx.Response(200, json={**step, "done": False}),
        httpx.Response(200, json={**step, "done": True}),
    )

    assert [each.done for each in client.each(server, admin.erase_user("anna"))] == [False, True]


@pytest.mark.parametrize("token", ["", "a\nb", "ä", "a\x1b"])
def test_what_is_no_token_is_not_sent_nor_told(client: Any, server_of: Any, token: str) -> None:
    server = server_of()

    with pytest.raises(NotSendable) as caught:
        client.do(server, sessions.list_sessions().page(None), token=token)

    assert not token or token not in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("name", ["", ".", "..", "\udcff"])
def test_a_name_that_would_lead_elsewhere_is_not_sent(name: str) -> None:
    with pytest.raises(NotSendable):
        admin.erase_user(name)


@pytest.mark.parametrize("session_id", ["", "..", "x", "01a1f952-e641-72ab-a720-0ba8c04dfa93/x"])
def test_what_is_no_id_is_not_sent(session_id: str) -> None:
    with pytest.raises(NotSendable):
        sessions.delete_session(session_id)


@pytest.mark.parametrize("metadata", [{"a": float("nan")}, {"a": object()}, {"a": b"x"}])
def test_what_is_no_json_is_not_sent(client: Any, server_of: Any, metadata: Any) -> None:
    with pytest.raises(NotSendable):
        client.do(server_of(), sessions.create_session(metadata=metadata))


def test_text_that_utf_8_cannot_carry_is_left_to_the_server(client: Any, server_of: Any) -> None:
    server = server_of(httpx.Response(422))

    with pytest.raises(ApiError):
        client.do(server, messages.send_first_message("\ud800"))

    assert json.loads(server.requests[0].content) == {"text": "\ud800"}
