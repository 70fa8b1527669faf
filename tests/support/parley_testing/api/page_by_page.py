"""Reading a list page by page, as a client does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from parley_testing.api.handlers import Api


def read_pages(
    api: Api,
    path: str,
    query: Mapping[str, str],
    *,
    between: Callable[[int], None] = lambda page: None,
    user: str = "alice",
) -> list[dict[str, Any]]:
    """Return the items of all pages, in the order in which they came.

    Args:
        api: The deployment.
        path: The list's.
        query: Its parameters, without the cursor.
        between: Called with the number of the page that was read, from 0, before the next.
        user: Who reads.
    """
    items: list[dict[str, Any]] = []
    asked = dict(query)
    for number in range(1000):
        page = api("GET", path, user=user, query=asked)
        assert page.status == 200, page
        items += page.json["items"]
        if page.json["next_cursor"] is None:
            return items
        assert page.json["items"]
        asked["cursor"] = page.json["next_cursor"]
        between(number)
    raise AssertionError("the list does not end")
