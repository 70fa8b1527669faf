"""The pages for people: the chat page, the operations page, and the files that pages load.

The files are not in the shared layer; the function that serves them carries them and says where
they are. Nobody needs a token for them: a page signs in by itself.

A page names its files below their version, a hash over all of them. So browsers keep them for good,
and ask anew for the page alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from parley.config import Settings
from parley.errors import NotFound
from parley.http.paths import WEB_FILES

CHAT = "/chat"
CONSOLE = "/console"
CONFIG = f"{WEB_FILES}config.json"
"""How a page signs in here."""

_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served besides pages; other files of the folder are not."""

_FOLDER = "{web}"
"""What stands in a page for where its files are."""
_FOR_EVER = "public, max-age=31536000, immutable"


class WebFiles:
    """The files of a folder, each read when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        """Read nothing yet."""
        self._folder = folder

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """What a page may load, by its path below the folder."""
        return {
            path.relative_to(self._folder).as_posix(): path.read_bytes()
            for path in sorted(self._folder.rglob("*"))
            if path.suffix in _TYPES
        }

    @cached_property
    def version(self) -> str:
        """A hash over all of them, with their names."""
        hashed = sha256()
        for name, content in self.files.items():
            hashed.update(f"{name}\0{len(content)}\0".encode() + content)
        return hashed.hexdigest()[:16]

    def page(self, name: str, above: str) -> str:
        """Return a page that loads these files.

        Args:
            name: The page's file.
            above: Leads from the page's folder to that of the API.
        """
        text = (self._folder / name).read_text("utf-8")
        return text.replace(_FOLDER, f"{above}{WEB_FILES.removeprefix('/')}{self.version}")


@dataclass(frozen=True, slots=True)
class SignIn:
    """How pages sign in: by an authorization code with PKCE, at an OpenID Connect issuer.

    Attributes:
        issuer: The issuer.
        client_id: The client that pages are there; a public one.
        scope: The scopes that they ask for, separated by spaces.
        admin_scope: Those that the operations page asks for besides.
        audience: For whom tokens must be made, where that is not the client.
        origins: Where pages may send requests to sign in.
    """

    issuer: str
    client_id: str
    scope: str
    admin_scope: str
    audience: str | None
    origins: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return what the settings say; None where pages cannot sign in."""
        issuer, client_id = settings.oidc_issuer, settings.page_client_id
        scope, audience = settings.page_scope, settings.oidc_audience
        admin_scope = settings.page_admin_scope
        elsewhere = settings.page_sign_in_origins.split()
        if not issuer or not client_id:
            return None
        parts = urlsplit(issuer)
        return cls(
            issuer=issuer,
            client_id=client_id,
            scope=scope,
            admin_scope=admin_scope,
            audience=None if audience == client_id else audience,
            origins=(f"{parts.scheme}://{parts.netloc}", *elsewhere),
        )

    def shown(self) -> dict[str, Any]:
        """Return what a page has to know of it."""
        return {
            "kind": "oidc",
            "issuer": self.issuer,
            "client_id": self.client_id,
            "scope": self.scope,
            "admin_scope": self.admin_scope,
            "audience": self.audience,
        }


def router(folder: Path, sign_in: SignIn | None = None) -> Router:
    """Return the routes that serve the files of a folder.

    Args:
        folder: Where they are.
        sign_in: How pages sign in; None if they cannot.
    """
    web = WebFiles(folder)
    origins = sign_in.origins if sign_in else ()
    how = sign_in.shown() if sign_in else {"kind": "none"}
    routes = Router()

    def page(name: str) -> Response[str]:
        event = routes.current_event
        # As it was asked for: with a slash at the end, what the page names is one level higher.
        asked = event.raw_event["requestContext"].get("path") or ""
        above = "../" if asked.endswith("/") else ""
        return _page(web.page(name, above), event.headers, policy(*origins))

    @routes.get(CHAT, include_in_schema=False)
    def chat() -> Response[str]:
        return page("chat.html")

    @routes.get(CONSOLE, include_in_schema=False)
    def console() -> Response[str]:
        return page("console.html")

    @routes.get(CONFIG, include_in_schema=False)
    def config() -> Response[str]:
        return Response(
            status_code=200,
            content_type="application/json",
            body=json.dumps({"sign_in": how}),
        )

    @routes.get(f"{WEB_FILES}.+", include_in_schema=False)
    def file() -> Response[str]:
        version, _, name = routes.current_event.path.removeprefix(WEB_FILES).partition("/")
        content = web.files.get(name)
        if content is None:
            raise NotFound("file", name)
        # A page of the version before still gets what it asks for late; but nobody keeps that.
        kept = _FOR_EVER if version == web.version else "no-store"
        return Response(
            status_code=200,
            content_type=_TYPES[Path(name).suffix],
            body=content.decode("utf-8"),
            headers={"Cache-Control": kept},
        )

    return routes


def policy(*elsewhere: str) -> str:
    """Return a page's Content-Security-Policy.

    Args:
        elsewhere: Whom its scripts may ask besides this API, to sign in.
    """
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            " ".join(["connect-src 'self'", *elsewhere]),
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            # DOMPurify alone parses what it was given; and what it gives is nodes, no text.
            "require-trusted-types-for 'script'",
            "trusted-types dompurify",
        ]
    )


def _page(text: str, asked: Mapping[str, str], allowed: str) -> Response[str]:
    # What it may do is part of what it is.
    tag = f'"{sha256((allowed + text).encode()).hexdigest()[:16]}"'
    headers = {
        # Asked for each time, and sent only if it is another one.
        "Cache-Control": "no-cache",
        "ETag": tag,
        "Content-Security-Policy": allowed,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }
    known = {name.lower(): value for name, value in asked.items()}.get("if-none-match", "")
    if tag in known:
        return Response(status_code=304, body="", headers=headers)
    return Response(
        status_code=200, content_type="text/html; charset=utf-8", body=text, headers=headers
    )
