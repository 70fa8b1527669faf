"""A client of Parley's API that loses no message and sends none twice."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx

from parley_cli.address import Target, is_loopback
from parley_cli.errors import CommandFailed, explain

# A store is down, or too many requests: nothing was done. A 504: the turn goes on, and the same
# key joins it.
_TRY_AGAIN = frozenset({429, 503, 504})
_UNREACHABLE_TRIES = 4
# Over the 29 s after which API Gateway answers by itself.
_READ_SECONDS = 40.0


class Client:
    """Talks to one API as one user."""

    def __init__(
        self,
        target: Target,
        *,
        patience: float = 300,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a client; nothing is sent.

        Args:
            target: Where to, and the token.
            patience: Seconds after which a request is not tried again.
            transport: What carries the requests, where not the network.
            sleep: Waits for some seconds.
            clock: Says the time in seconds.
        """
        self._url = target.url
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        self._http = httpx.Client(
            base_url=target.url,
            headers={"Authorization": f"Bearer {target.token}"},
            timeout=httpx.Timeout(_READ_SECONDS, connect=5),
            trust_env=not is_loopback(target.url),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def send_message(self, text: str, *, session: str, agent: str | None = None) -> dict[str, Any]:
        """Send a message to the session of this name, made where needed, and wait for the reply.

        Returns:
            The answer of `POST /messages`: session, turn, user_message and reply.

        Raises:
            CommandFailed: The API refused, or could not be reached.
        """
        body = {"text": text, "session_name": session, "platform": "cli"}
        if agent is not None:
            body["agent"] = agent
        # One key for all tries: the message is one turn, however often it is sent.
        response = self._post("/messages", body, {"Idempotency-Key": str(uuid.uuid4())})
        answer = _json(response)
        if not response.is_success:
            raise CommandFailed(explain(response.status_code, answer, response.reason_phrase))
        if not isinstance(answer, dict):
            raise CommandFailed(f"{self._url} does not answer as Parley does.")
        return answer

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        end = self._clock() + self._patience
        unreachable = tries = 0
        while True:
            tries += 1
            wait = min(2.0 ** (tries - 1) / 2, 8.0)
            try:
                response = self._http.post(path, json=body, headers=headers)
            except httpx.ConnectError as error:
                unreachable += 1
                if unreachable == _UNREACHABLE_TRIES or self._clock() + wait > end:
                    raise CommandFailed(self._unreachable(error)) from error
            except httpx.TransportError as error:
                # It may have arrived; with the same key, asking again is safe.
                if self._clock() + wait > end:
                    raise CommandFailed(self._unreachable(error)) from error
            except httpx.HTTPError as error:
                raise CommandFailed(self._unreachable(error)) from error
            else:
                if response.status_code not in _TRY_AGAIN:
                    return response
                # A 504 has itself waited already.
                wait = 0.5 if response.status_code == 504 else retry_after(response) or wait
                if self._clock() + wait > end:
                    return response
            self._sleep(wait)

    def _unreachable(self, error: Exception) -> str:
        hint = " Is make dev running?" if is_loopback(self._url) else ""
        return f"{self._url} cannot be reached: {error or type(error).__name__}.{hint}"


def retry_after(response: httpx.Response) -> float | None:
    """Return for how many seconds the response asks to wait, or None where it does not."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
