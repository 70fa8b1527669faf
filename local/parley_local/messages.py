"""HTTP requests and responses as the gateway handles them, whatever server carries them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class HttpRequest:
    """One request, with its body read.

    `path` and `query` stand as in the request line, still percent-encoded. `headers` keep their
    order and repetitions.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    client: str
    protocol: str

    def header(self, name: str) -> str | None:
        """Return a header's last value, as API Gateway does of several; None without it."""
        values = [value for header, value in self.headers if header.lower() == name.lower()]
        return values[-1] if values else None

    def query_values(self) -> list[tuple[str, str]]:
        """Return the decoded query parameters in their order; one without `=` is empty."""
        return parse_qsl(self.query, keep_blank_values=True)


@dataclass(frozen=True)
class HttpResponse:
    """One response; `headers` may name a header several times."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
