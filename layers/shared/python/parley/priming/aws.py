"""What stands in for AWS while a function is primed: requests are made whole and never sent."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


class Unsent:
    """Answers the requests of AWS's clients, whose event `before-send` it takes.

    Of a table it keeps what is put, as who follows a turn reads what is written of it.
    """

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._items: dict[tuple[str, str], dict[str, Any]] = {}

    @contextmanager
    def answering(self, clients: Iterable[Any]) -> Iterator[None]:
        """Answer all that these clients ask within the block."""
        with ExitStack() as stack:
            for client in clients:
                client.meta.events.register_first("before-send", self._answer)
                stack.callback(client.meta.events.unregister, "before-send", self._answer)
            yield

    def _answer(self, request: Any, event_name: str, **_: Any) -> Any:
        # With botocore, which a function without clients does not import.
        from botocore.awsrequest import AWSResponse, HTTPHeaders

        asked = json.loads(request.body)
        body = json.dumps(self._said(event_name.rpartition(".")[2], asked)).encode()
        headers = HTTPHeaders.from_dict({"content-length": str(len(body))})
        return AWSResponse(request.url, 200, headers, _Body(body))

    def _said(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        match operation:
            case "PutItem":
                item = asked["Item"]
                self._items[item["conversation"]["S"], item["part"]["S"]] = item
                return {}
            case "Query":
                items = self._between(asked["ExpressionAttributeValues"])
                if not asked["ScanIndexForward"]:
                    items.reverse()
                return {"Items": items[: asked.get("Limit")], "Count": len(items)}
            case "SendMessage":
                return {"MessageId": "none"}
            case "GetSecretValue":
                return {"SecretString": "none"}
            case "GetParameter":
                return {"Parameter": {"Value": "none"}}
            case _:
                return {}

    def _between(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        conversation, first, last = (
            values[name]["S"] for name in (":conversation", ":first", ":last")
        )
        found = {
            part: item
            for (of, part), item in [*self._items.items()]  # a turn puts more from other threads
            if of == conversation and first <= part <= last
        }
        return [found[part] for part in sorted(found)]


class _Body(io.BytesIO):
    """A response's body, as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()
