"""Routes of a project, served by `parley dev`: to who may, to strangers, and when they fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from parley_local.stack import LocalStack
from parley_testing.agents_brought import documented
from parley_testing.waiting import HANG_SECONDS

TROUBLE = '''
"""What goes wrong."""
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError, ServiceError
from pydantic import BaseModel

from parley.http import Caller, Database, Router

routes = Router()

class Late(Exception):
    pass

class Turn(BaseModel):
    "Named as one of Parley's."
    count: int

@routes.exception_handler(Late)
def late(error: Late) -> Response:
    return Response(status_code=410, content_type="application/json", body='{"late": true}')

@routes.get("/trouble/<kind>")
def make_trouble(user: Caller, kind: str) -> Turn:
    match kind:
        case "raises":
            return Turn(count={}[user.user_id])  # line 26
        case "unfit":
            return {"count": "many"}
        case "teapot":
            raise ServiceError(418, "I am a teapot.")
        case "gone":
            raise NotFoundError("There is no such trouble.")
        case "late":
            raise Late
    return Turn(count=0)
'''
MOST = 12
"""How many notes one user may have here; the page says more."""
NOBODYS = "/notes/01900000-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The project of docs/routes.md, with a module of trouble."""
    folder = tmp_path_factory.mktemp("desk")
    root = folder / "own"
    table = documented.table("routes.md")
    named = table.replace('"my_desk.notes"', '"my_desk.notes", "my_desk.trouble:routes"')
    assert named != table
    for path, text in {
        **documented.files("routes.md"),
        Path("pyproject.toml"): named,
        Path("my_desk/__init__.py"): "",
        Path("my_desk/agent.py"): "from agents import Agent\nbuild = Agent(name='desk')\n",
        Path("my_desk/trouble.py"): TROUBLE,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text.replace("MOST = 1000", f"MOST = {MOST}"))
    with LocalStack(folder / "data", project=root, ready_within=HANG_SECONDS) as started:
        yield started


def ask(
    stack: LocalStack, method: str, path: str, user: str | None = "ada", **more: Any
) -> httpx.Response:
    headers = {**(stack.headers(user) if user else {}), **more.pop("headers", {})}
    return httpx.request(
        method, stack.url + path, headers=headers, timeout=HANG_SECONDS, trust_env=False, **more
    )


def note(stack: LocalStack, user: str, words: str = "mine", **more: Any) -> dict[str, Any]:
    made = ask(stack, "POST", "/notes", user, json={"words": words}, **more)
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


def test_a_user_s_rows_are_the_user_s_alone(stack: LocalStack) -> None:
    made = note(stack, "carol")
    path = f"/notes/{made['id']}"

    assert ask(stack, "GET", path, "carol").json() == made
    for stranger in (
        ask(stack, "GET", path, "dave"),
        ask(stack, "PUT", path, "dave", json={"words": "his"}),
    ):
        assert (stranger.status_code, stranger.json()["code"]) == (404, "not_found")
        assert stranger.json()["detail"] == "There is no such note."
    assert ask(stack, "GET", "/notes", "dave").json() == {"items": [], "next_cursor": None}
    assert ask(stack, "GET", path, "carol").json()["words"] == "mine"
    assert ask(stack, "PUT", path, "carol", json={"words": "new"}).json()["words"] == "new"


def test_a_list_is_paged(stack: LocalStack) -> None:
    made = sorted((note(stack, "page", str(number)) for number in range(3)), key=lambda n: n["id"])

    first = ask(stack, "GET", "/notes?limit=2", "page").json()
    second = ask(stack, "GET", f"/notes?limit=2&cursor={first['next_cursor']}", "page").json()

    assert first["items"] + second["items"] == made
    assert second["next_cursor"] is None
    for query in ("limit=101", "limit=1_0", "cursor=bm8", "cursor=?"):
        assert ask(stack, "GET", f"/notes?{query}").json()["code"] == "invalid_field", query


def test_the_same_key_makes_one_row(stack: LocalStack) -> None:
    key = {"Idempotency-Key": "once"}

    assert note(stack, "key", headers=key) == note(stack, "key", headers=key)
    assert note(stack, "key", headers=key) != note(stack, "other", headers=key)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"method": "GET", "path": "/notes", "user": None}, 401, "unauthorized"),
        ({"method": "DELETE", "path": "/notes"}, 405, "method_not_allowed"),
        ({"method": "GET", "path": "/nowhere"}, 404, "not_found"),
        ({"method": "POST", "path": "/notes", "content": b"{"}, 400, "bad_request"),
        ({"method": "POST", "path": "/notes", "json": {"words": ""}}, 422, "invalid_field"),
        ({"method": "POST", "path": "/notes", "json": {"word": "x"}}, 422, "invalid_field"),
        ({"method": "POST", "path": "/notes", "content": b""}, 422, "invalid_field"),
        (
            {"method": "POST", "path": "/notes", "json": {"words": "x" * 1_000_000}},
            413,
            "content_too_large",
        ),
        ({"method": "GET", "path": "/notes/one"}, 422, "invalid_field"),
        ({"method": "GET", "path": "/trouble/raises"}, 500, "internal_error"),
        ({"method": "GET", "path": "/trouble/unfit"}, 500, "internal_error"),
        ({"method": "GET", "path": "/trouble/teapot"}, 418, "im_a_teapot"),
        ({"method": "GET", "path": "/trouble/gone"}, 404, "not_found"),
    ],
    ids=lambda value: value["method"] + value["path"] if isinstance(value, dict) else None,
)
def test_what_cannot_be_answered_is_a_problem_as_everywhere(
    stack: LocalStack, request_: dict[str, Any], status: int, code: str
) -> None:
    answer = ask(stack, **request_, headers={"Origin": "https://app.example"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.json()["request_id"]
    assert "ada" not in answer.json()["detail"]


def test_what_is_allowed_is_said(stack: LocalStack) -> None:
    assert ask(stack, "DELETE", "/notes").headers["Allow"] == "GET, POST"
    assert ask(stack, "PATCH", NOBODYS).headers["Allow"] == "GET, PUT"
    preflight = ask(stack, "OPTIONS", NOBODYS, None, headers={"Origin": "https://app.example"})
    assert preflight.status_code == 200
    assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]


def test_a_project_answers_exceptions_of_its_own(stack: LocalStack) -> None:
    answer = ask(stack, "GET", "/trouble/late")

    assert (answer.status_code, answer.json()) == (410, {"late": True})


@pytest.mark.parametrize(("kind", "line"), [("raises", 26), ("unfit", 22)])
def test_the_log_names_the_place_in_the_project_s_code(
    stack: LocalStack, kind: str, line: int
) -> None:
    request_id = ask(stack, "GET", f"/trouble/{kind}").json()["request_id"]

    records = [
        json.loads(each) for each in stack.log.read_text().splitlines() if request_id in each
    ]
    (said,) = [each for each in records if each.get("message") == "unexpected error"]
    assert said["at"].endswith(f"my_desk/trouble.py:{line} make_trouble")


def test_the_document_has_them_beside_parley_s_own(stack: LocalStack) -> None:
    document = ask(stack, "GET", "/openapi.json", None).json()

    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert {"/notes", "/notes/{note_id}", "/trouble/{kind}", "/sessions"} <= document[
        "paths"
    ].keys()
    schemas = document["components"]["schemas"]
    body = document["paths"]["/notes"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/NoteCreation"}
    trouble = document["paths"]["/trouble/{kind}"]["get"]["responses"]["200"]
    assert trouble["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/ProjectTurn"
    }
    assert schemas["ProjectTurn"]["properties"].keys() == {"count"}
    assert "count" not in schemas["Turn"]["properties"]
    for status in ("401", "403", "422", "429", "500", "503"):
        answer = document["paths"]["/notes"]["post"]["responses"][status]
        assert list(answer["content"]) == ["application/problem+json"]
    assert "ValidationError" not in json.dumps(document)
    page = ask(stack, "GET", "/docs", None)
    assert page.status_code == 200
    assert "/notes/{note_id}" in page.text
    # Reading it leaves the routes as they were.
    assert ask(stack, "GET", "/trouble/well").json() == {"count": 0}


def test_no_user_has_more_notes_than_one_may(stack: LocalStack) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = [
            *threads.map(
                lambda number: (
                    ask(stack, "POST", "/notes", "loop", json={"words": str(number)}).status_code
                ),
                range(MOST + 8),
            )
        ]
    kept = ask(stack, "POST", "/notes", "loop", json={"words": "more"})

    assert (made.count(201), made.count(409)) == (MOST, 8)
    assert (kept.status_code, kept.json()["limit"]) == (409, "max_notes")
    assert note(stack, "another")["words"] == "mine"
