"""What every answer says besides its content, and what a method that a path has not is told."""

from __future__ import annotations

import re

import pytest

from parley_testing.api.handlers import Answer, Api
from parley_testing.api.problems import problem


def answers(api: Api) -> list[Answer]:
    session_id = api.new_session()
    return [
        api("GET", "/health", user=None),
        api("GET", "/openapi.json", user=None),
        api("GET", "/sessions"),
        api("POST", "/sessions", {}),
        api("POST", "/sessions", "{"),
        api("POST", "/sessions", {"colour": "red"}),
        api("GET", "/sessions", user=None),
        api("GET", "/nothing"),
        api("PUT", "/sessions"),
        api("GET", "/admin/stats"),
        api("GET", "/admin/users/bob/export", scopes="parley:admin"),
        api("POST", f"/sessions/{session_id}/messages", {"text": "a"}),
        api("POST", f"/sessions/{session_id}/messages/stream", {"text": "a"}),
        api("POST", f"/sessions/{session_id}/messages/stream", {}),
        api("PUT", f"/sessions/{session_id}/messages/stream", {}),
        api("POST", "/nothing/stream", {}),
        api("DELETE", f"/sessions/{session_id}"),
    ]


def test_no_answer_is_kept_sniffed_framed_or_run(api: Api) -> None:
    given = answers(api)

    assert {answer.status for answer in given} == {200, 201, 204, 400, 401, 403, 404, 405, 422}
    for answer in given:
        headers = answer.headers
        assert headers["cache-control"] == "no-store", answer
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"] == ("default-src 'none'; frame-ancestors 'none'")


def test_the_page_of_the_documentation_runs_its_own_scripts_alone(api: Api) -> None:
    page = api("GET", "/docs", user=None)

    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    scripts = re.search("script-src ([^;]*);", policy)
    assert scripts is not None
    assert len(scripts[1].split()) == page.body.count("</script>")
    assert "unsafe-inline" not in scripts[1]
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("TRACE", "/sessions", "GET, POST"),
        ("PUT", "/sessions/01939d5c-2c00-7000-8000-0000000000ff", "DELETE, GET, PATCH"),
        ("DELETE", "/sessions/01939d5c-2c00-7000-8000-0000000000ff/messages", "GET, POST"),
        ("HEAD", "/admin/users/a%2Fb/export/", "GET"),
        ("POST", "/docs", "GET"),
        ("POST", "/chat", "GET"),
        ("POST", "/console", "GET"),
        ("DELETE", "/web/config.json", "GET"),
        ("GET", "/messages/stream", "POST"),
    ],
)
def test_a_method_that_a_path_has_not_is_told_those_that_it_has(
    api: Api, method: str, path: str, allowed: str
) -> None:
    answer = api(method, path)

    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/nothing", "/sessions/1/2", "/", "/sessions//messages"])
def test_a_path_that_is_none_has_no_methods(api: Api, path: str) -> None:
    problem(api("TRACE", path), 404, "not_found")
