"""Where something made is found, seen from wherever the API is: at the root, or below a stage."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from parley_testing.api.handlers import Api, Context, rest_event

BASES = ["https://api.example", "https://id.execute-api.eu-west-1.amazonaws.com/v1"]


def location(api: Api, function: str, path: str, body: object) -> str:
    """Return the header as it is sent."""
    response = api.function(function).handler(rest_event("POST", path, body), Context())
    assert response["statusCode"] == 201, response
    (sent,) = response["multiValueHeaders"]["Location"]
    return str(sent)


@pytest.mark.parametrize("base", BASES)
def test_a_session_is_found_below_the_stage(api: Api, base: str) -> None:
    sent = location(api, "sessions", "/sessions", {"name": "groceries"})

    found = urljoin(f"{base}/sessions", sent)

    assert api("GET", found.removeprefix(base)).json["name"] == "groceries"


@pytest.mark.parametrize("base", BASES)
def test_a_turn_is_found_below_the_stage(api: Api, base: str) -> None:
    session_id = api.new_session()
    for path, body in [
        (f"/sessions/{session_id}/messages", {"text": "help"}),
        ("/messages", {"text": "help"}),
        ("/messages", {"text": "help", "session_id": session_id}),
    ]:
        found = urljoin(f"{base}{path}", location(api, "messages", path, body))

        assert api("GET", found.removeprefix(base)).json["turn"]["status"] == "completed", path
