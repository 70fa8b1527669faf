"""What the log says of an exception: where it came from, and nothing that people said."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from parley.faults import redacted, traced

SECRET = "my secret diary"


def caught(fails: Callable[[], object]) -> Exception:
    try:
        fails()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Exception]:
    """Return what importing a module of this text raises."""
    monkeypatch.syspath_prepend(tmp_path)

    def raised(text: str) -> Exception:
        (tmp_path / "own_agent.py").write_text(text)
        sys.modules.pop("own_agent", None)
        return caught(lambda: importlib.import_module("own_agent"))

    return raised


def test_the_place_is_in_the_code_that_was_written_for_the_deployment() -> None:
    def own() -> object:
        return json.loads(SECRET)  # which fails in the standard library

    facts = traced(caught(own))

    line = own.__code__.co_firstlineno + 1
    assert facts["at"] == f"{__file__}:{line} own"
    assert facts["exception"] == ["json.decoder.JSONDecodeError"]
    assert "json/decoder.py" in facts["frames"][-1]


def test_the_place_is_that_of_the_cause() -> None:
    def lookup() -> object:
        return dict[str, str]()[SECRET]

    def own() -> None:
        try:
            lookup()
        except KeyError:
            raise RuntimeError(SECRET)  # noqa: B904  (without `from`, as people write it)

    facts = traced(caught(own))

    assert facts["at"].endswith(" lookup")
    assert facts["exception"] == ["builtins.RuntimeError", "builtins.KeyError"]


@pytest.mark.parametrize(
    "error",
    [
        KeyError(SECRET),
        ValueError(SECRET),
        FileNotFoundError(2, "No such file or directory", SECRET),
        httpx.ConnectError(SECRET, request=httpx.Request("GET", f"http://u:p@h:1/v1?q={SECRET}")),
        ModuleNotFoundError(SECRET, name="numpyy"),
        NameError(SECRET, name="pries"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_an_exception_says_is_not_told(error: Exception) -> None:
    def own() -> None:
        raise error

    told = json.dumps(traced(caught(own)))

    assert SECRET not in told
    assert "u:p" not in told


def test_what_is_known_of_an_exception_is_told() -> None:
    connect = httpx.ConnectError("no", request=httpx.Request("GET", "http://u:p@model:8000/v1?k=1"))
    connect.__cause__ = ConnectionRefusedError(111, "Connection refused")

    assert traced(connect) | {"frames": []} == {
        "exception": ["httpx.ConnectError", "builtins.ConnectionRefusedError"],
        "address": "http://model:8000/v1",
        "system_error": "Connection refused",
        "frames": [],
    }


def test_a_module_that_is_missing_is_named(module: Callable[[str], Exception]) -> None:
    facts = traced(module("import json\nimport numpyy\n"))

    assert facts["missing_module"] == "numpyy"
    assert facts["at"].endswith("own_agent.py:2 <module>")


def test_the_file_and_line_of_a_syntax_error_are_named(module: Callable[[str], Exception]) -> None:
    facts = traced(module("import json\n\ndef build(:\n"))

    assert facts["at"].endswith("own_agent.py:3")


def test_no_fact_has_a_name_that_the_log_refuses(module: Callable[[str], Exception]) -> None:
    connect = httpx.ConnectError("no", request=httpx.Request("GET", "http://model/"))
    connect.__cause__ = OSError(1, "no")
    errors = (module("import numpyy"), NameError("x", name="x"), connect)
    names = {name for error in errors for name in traced(error, quoting=True)}

    assert {"missing_module", "missing_name", "address", "system_error", "reason"} <= names
    assert not names & set(logging.makeLogRecord({}).__dict__)


def test_where_nobody_has_spoken_the_message_is_told_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_API_KEY", "sk-12345678")

    facts = traced(ValueError("SHOP_URL is missing; the key is sk-12345678"), quoting=True)

    assert facts["reason"] == "SHOP_URL is missing; the key is <SHOP_API_KEY>"
    assert redacted("sk-12345678") == "<SHOP_API_KEY>"


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "text")


@pytest.mark.usefixtures("on_terminal")
def test_a_traceback_begins_where_it_enters_own_code(
    module: Callable[[str], Exception], tmp_path: Path
) -> None:
    error = module("def build():\n    return {}['price']\n\nbuild()\n")

    shown = traced(_from_elsewhere(error))["traceback"].splitlines()

    assert shown[0] == "Traceback (most recent call last):"
    assert shown[1] == f'  File "{tmp_path}/own_agent.py", line 4, in <module>'
    assert shown[-1] == "KeyError: 'price'"


@pytest.mark.usefixtures("on_terminal")
def test_of_a_server_that_does_not_answer_no_frames_of_its_client_are_shown() -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(302))) as client:
        error = caught(lambda: client.get("http://model/").raise_for_status())

    shown = traced(_from_elsewhere(error))["traceback"]

    assert "File" not in shown
    assert shown.startswith("httpx.HTTPStatusError: Redirect response '302 Found'")


def _from_elsewhere(error: Exception) -> Exception:
    """Take this file's own frames away: here they are own code as well."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return error.with_traceback(traceback)
