"""What comes from elsewhere does not steer the terminal."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from parley_cli.clean import clean, clean_json, clean_line

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def harmful(text: str) -> list[str]:
    return [
        character
        for character in text
        if (unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n")
        or unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "LRI", "RLI", "FSI")
    ]


@given(ANY_TEXT)
def test_nothing_harmful_is_left_in_text(text: str) -> None:
    assert harmful(clean(text)) == []
    assert not set(clean_line(text)) & set("\t\n")


@given(st.recursive(ANY_TEXT, lambda inner: st.dictionaries(ANY_TEXT, inner)))
def test_json_means_the_same_without_it(value: object) -> None:
    value = json.loads(json.dumps(value))  # which puts surrogates that are a pair together

    cleaned = clean_json(json.dumps(value, ensure_ascii=False))

    assert harmful(cleaned) == []
    assert json.loads(cleaned) == value


def test_what_people_write_stays() -> None:
    text = "Grüße, 你好, שלום, 👩‍👩‍👧\n\tand so on"

    assert clean(text) == text
