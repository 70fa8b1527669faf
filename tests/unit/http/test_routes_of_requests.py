"""The route of a request, as the log names it: with names for the ids."""

from __future__ import annotations

import pytest

from parley.http.paths import route_of

TURN = "01939d5c-2c00-7000-8000-000000000002"


@pytest.mark.parametrize(
    ("path", "resource", "route"),
    [
        (f"/admin/turns/{TURN}/events", "/admin/{path+}", "/admin/turns/{turn_id}/events"),
        (f"/admin/turns/{TURN}/", "/admin/{path+}", "/admin/turns/{turn_id}"),
        ("/admin/stats/turns", "/admin/{path+}", "/admin/stats/turns"),
        ("/admin/made-up/by-somebody", "/admin/{path+}", "/admin/{path+}"),
        ("/web/1/chat/main.js", "/web/{path+}", "/web/{path+}"),
        (f"/sessions/{TURN}", "/sessions/{session_id}", "/sessions/{session_id}"),
        ("/made-up", "", ""),
    ],
)
def test_what_the_gateway_leaves_open_is_named_by_the_document(
    path: str, resource: str, route: str
) -> None:
    assert route_of(path, resource) == route
