"""What `make dev` takes from its command line, and refuses in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley_local.data_directory import locked
from parley_local.dev import _explain, parse_options


@pytest.mark.parametrize("port", ["99999", "-1", "http", "٣٠٠٠", ""])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options([f"--port={port}"])

    assert ended.value.code == 2
    assert "a port is a number from 0 to 65535" in capsys.readouterr().err


def test_a_format_of_the_log_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "xml")

    with pytest.raises(SystemExit) as ended:
        parse_options([])

    assert ended.value.code == 2
    assert "LOG_FORMAT must be text or json, not 'xml'." in capsys.readouterr().err


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(FileExistsError) as raised, locked(tmp_path / "data"):
        pass

    assert _explain(raised.value) == f"{tmp_path / 'data'} cannot be used: File exists."
