"""The routes about the deployment itself: its agents, its OpenAPI document and the page of it."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from parley.manifest import manifest
from parley_testing.api.handlers import Answer, Api, Context, rest_event
from parley_testing.api.served import served_document


def test_the_agents_are_those_of_the_registry(api: Api) -> None:
    answer = api("GET", "/agents")

    assert answer.status == 200
    assert [agent["name"] for agent in answer.json["items"]] == list(manifest().agents)
    assert [agent["name"] for agent in answer.json["items"] if agent["default"]] == ["todo"]
    assert all(agent["description"] for agent in answer.json["items"])


def test_an_agent_that_is_listed_can_be_talked_to(api: Api) -> None:
    for agent in api("GET", "/agents").json["items"]:
        answer = api("POST", "/messages", {"text": "help", "agent": agent["name"]})
        assert (answer.status, answer.json["turn"]["agent"]) == (201, agent["name"])


def test_the_document_is_served_as_it_is(api: Api) -> None:
    answer = api("GET", "/openapi.json", user=None)

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == served_document()


def test_the_page_is_html_that_holds_the_document(api: Api) -> None:
    answer = api("GET", "/docs", user=None)

    assert answer.headers["content-type"].startswith("text/html")
    assert answer.body.lstrip().lower().startswith("<!doctype html>")
    for path in served_document()["paths"]:
        assert json.dumps(path) in answer.body


def test_the_page_loads_nothing_from_elsewhere(api: Api) -> None:
    page = api("GET", "/docs", user=None).body

    assert "<script src=" not in page
    assert '<link rel="stylesheet"' not in page


@pytest.mark.parametrize("encoding", ["gzip", "gzip, deflate, br"])
def test_the_page_is_small_where_the_browser_takes_it_packed(api: Api, encoding: str) -> None:
    event = rest_event("GET", "/docs", user=None, headers={"Accept-Encoding": encoding})

    packed = api.function("sessions").handler(event, Context())

    assert packed["isBase64Encoded"]
    page = gzip.decompress(base64.b64decode(packed["body"])).decode()
    assert page == api("GET", "/docs", user=None).body
    assert Answer(packed).headers["content-encoding"] == "gzip"
    assert len(packed["body"]) < len(page) / 2
