"""Server-sent events are read as the HTML standard says, wherever the wire cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_client.sse import LONGEST_EVENT_BYTES, Frame, Malformed, Parser

PART = st.sampled_from(
    [b"id: 1", b"event: message.delta", b"data: {}", b"data", b"data:  two spaces", b":", b": ok",
     b"retry: 250", b"retry: soon", b"other: x", "data: ä€😀".encode(), b"id: a\0b", b""]
)  # fmt: skip
LINE_END = st.sampled_from([b"\n", b"\r\n", b"\r"])


def read(*chunks: bytes) -> list[Frame]:
    parser = Parser()
    return [frame for chunk in chunks for frame in parser.feed(chunk)]


def test_an_event_has_the_fields_that_came_before_the_empty_line() -> None:
    frames = read(b"id: 7\nevent: turn.started\ndata: one\ndata:two\n\ndata: three\n\n")

    assert frames == [Frame("7", "turn.started", "one\ntwo"), Frame(None, "message", "three")]


@pytest.mark.parametrize(
    "stream",
    [
        b": keep-alive\n\n",
        b"event: x\n\n",
        b"id: 1\n\n",
        b"retry: 1\n\n",
        b"\n\n\n",
        b"data: cut\n",
    ],
    ids=["comment", "no data", "only an id", "retry", "empty lines", "not ended"],
)
def test_what_is_no_event_gives_none(stream: bytes) -> None:
    assert read(stream) == []


def test_a_byte_order_mark_and_fields_that_nobody_knows_are_passed_over() -> None:
    assert read(b"\xef\xbb\xbfdata: x\nodd: y\n\n") == [Frame(None, "message", "x")]


def test_an_id_with_a_nul_is_none() -> None:
    assert read(b"id: 1\0\ndata: x\n\n") == [Frame(None, "message", "x")]


@pytest.mark.parametrize(
    ("line", "seconds"),
    [(b"retry: 1500", 1.5), (b"retry:0", 0.0), (b"retry: 1.5", None), (b"retry: -1", None),
     ("retry: ٣".encode(), None), (b"retry:", None)],
)  # fmt: skip
def test_how_long_to_wait_is_told_in_digits(line: bytes, seconds: float | None) -> None:
    parser = Parser()
    list(parser.feed(line + b"\n\n"))

    assert parser.retry_seconds == seconds


def test_comments_are_counted() -> None:
    parser = Parser()
    list(parser.feed(b": keep-alive\n\n:\ndata: x\n\n"))

    assert parser.comments == 2


def test_what_is_not_utf_8_is_refused() -> None:
    with pytest.raises(Malformed):
        read(b"data: \xff\n")


@pytest.mark.parametrize("line", [b"x", b"data: x\n"], ids=["one line", "many"])
def test_an_event_that_does_not_end_is_refused(line: bytes) -> None:
    half = line * (LONGEST_EVENT_BYTES // len(line) // 2)

    assert read(half) == []
    with pytest.raises(Malformed):
        read(half, half, half)


def test_long_streams_of_short_events_are_not() -> None:
    event = b"data: " + b"x" * 1_000_000 + b"\n\n"
    parser = Parser()

    assert sum(len(list(parser.feed(event))) for _ in range(12)) == 12


@given(
    lines=st.lists(st.tuples(PART, LINE_END), max_size=20),
    cuts=st.lists(st.integers(0, 200), max_size=12),
)
def test_where_it_is_cut_does_not_matter(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(part + end for part, end in lines)
    places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    pieces = [stream[begin:end] for begin, end in pairwise(places)]

    assert read(*pieces) == read(*(stream[n : n + 1] for n in range(len(stream)))) == read(stream)
