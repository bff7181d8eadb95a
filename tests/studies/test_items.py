"""Items of multiple choice: their form, that they are made alike, and that one answer fits."""

from __future__ import annotations

import pytest

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.configs import ITEM_LINES, ItemKind, Items, Prompt
from edgemoe_appliance.schema.plan import scaled_prompt
from edgemoe_appliance.studies.items import with_items


def prompt_of(kind: ItemKind, count: int, seed: int = 1) -> Prompt:
    return Prompt(set="q", category="c", items=Items(kind=kind, count=count, seed=seed))


def items_of(kind: ItemKind, count: int, seed: int = 1) -> list[list[str]]:
    lines = with_items(prompt_of(kind, count, seed)).text.split("\n")
    return [lines[start : start + ITEM_LINES] for start in range(0, len(lines), ITEM_LINES)]


@pytest.mark.parametrize("kind", ItemKind)
def test_each_item_has_four_answers_of_which_one_is_right(kind: ItemKind) -> None:
    found = items_of(kind, 400)
    assert len(found) == 400
    assert len({item[0] for item in found}) == 400
    for context, number, *answers in found:
        assert context == context.strip()
        assert len(set(answers)) == 4
        assert int(number) in range(4)
        assert all(answer.isascii() and answer.strip() == answer for answer in answers)


@pytest.mark.parametrize("kind", ItemKind)
def test_the_right_answer_stands_at_each_place_as_often(kind: ItemKind) -> None:
    places = [int(item[1]) for item in items_of(kind, 400)]
    assert all(70 <= places.count(place) <= 130 for place in range(4))


@pytest.mark.parametrize("kind", ItemKind)
def test_a_seed_gives_the_same_items_and_another_one_others(kind: ItemKind) -> None:
    assert items_of(kind, 20) == items_of(kind, 20)
    assert items_of(kind, 20) == items_of(kind, 40)[:20]
    assert items_of(kind, 20) != items_of(kind, 20, seed=2)


def test_right_answers_are_right() -> None:
    for context, number, *answers in items_of(ItemKind.ARITHMETIC, 200):
        first, _, second = context.rsplit(". ", 1)[1].removesuffix(" =").split()
        assert answers[int(number)] == f"{int(first) + int(second)}."
    for context, number, *answers in items_of(ItemKind.RECALL, 200):
        asked = context.rsplit(". ", 1)[1]
        assert f"{asked} {answers[int(number)]}" in context


def test_more_items_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgemoe_appliance.studies.items._TRIES", 3)
    with pytest.raises(ConfigError, match="different ones, 10000 are asked for"):
        with_items(prompt_of(ItemKind.CODE, 10_000))


def test_a_share_of_items_is_whole_items() -> None:
    prompt = with_items(prompt_of(ItemKind.RECALL, 100))
    planned = scaled_prompt("x", prompt, 0.15)
    assert planned.items == 15
    assert planned.text == "\n".join(prompt.text.split("\n")[: 15 * ITEM_LINES])
    assert scaled_prompt("x", prompt, 1.0).items == 100
