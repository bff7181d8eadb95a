from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemoe_appliance.schema.base import canonical_json, digest_of
from edgemoe_appliance.schema.text import on_one_line


def test_equal_values_have_one_digest_whatever_their_order() -> None:
    assert digest_of({"b": [1, 2.5], "a": "ä"}) == digest_of({"a": "ä", "b": [1, 2.5]})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})


def test_the_digest_does_not_change_with_versions() -> None:
    assert canonical_json({"b": None, "a": [True, 1.5, "ä"]}) == '{"a":[true,1.5,"ä"],"b":null}'
    assert digest_of({"b": None, "a": [True, 1.5, "ä"]}) == (
        "3b728f70ca4a75d926640c31c4776b21aa71d47cbda6cc617431e3ab56031d50"
    )


def test_a_figure_that_is_not_finite_has_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})


def test_text_of_others_cannot_break_a_message() -> None:
    assert on_one_line("a\nb\x1b[31m\u202e") == "a\\nb\\x1b[31m\\u202e"
    assert on_one_line("x" * 121) == "x" * 120 + "..."
    assert on_one_line("x" * 120) == "x" * 120


@given(st.text())
def test_every_text_becomes_one_printable_line(text: str) -> None:
    shown = on_one_line(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
