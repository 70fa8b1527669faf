"""The headers of every answer: what it holds is data for its reader, no page, script or frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SAFE: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def safe_besides(names: Iterable[str]) -> dict[str, str]:
    """Return those of the headers that an answer does not name itself."""
    given = {name.lower() for name in names}
    return {name: value for name, value in SAFE.items() if name.lower() not in given}
