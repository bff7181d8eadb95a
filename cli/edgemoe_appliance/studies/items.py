"""Items of multiple choice made by seeded programs: small questions with four answers, one right.

Each kind asks for something that a language model of a hundred million weights can do at 16 bits:
find again what stands in the context, agree with the subject of a sentence, add small numbers, go
on with a line of code. No text of others is in them, and chance is one in four. An item is six
lines, as the engine's tool reads them: context, number of the right answer from 0, four answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.configs import ITEM_ANSWERS, ItemKind, Prompt

_NAMES: Final = (
    *("Anna", "Bruno", "Clara", "David", "Emma", "Frank", "Greta", "Henry"),
    *("Irene", "Jacob", "Karen", "Louis", "Maria", "Nora", "Oscar", "Paula"),
)
_THINGS: Final = (
    *("lamp", "rope", "drum", "kettle", "ladder", "basket", "hammer", "mirror"),
    *("clock", "bottle", "candle", "blanket", "bucket", "pencil", "shovel", "trumpet"),
)
_WOMEN: Final = ("woman", "girl", "queen", "mother", "sister", "aunt")
_MEN: Final = ("man", "boy", "king", "father", "brother", "uncle")
_PLURALS: Final = {
    **{one: f"{one}s" for one in ("girl", "queen", "mother", "sister", "aunt")},
    **{one: f"{one}s" for one in ("boy", "king", "father", "brother", "uncle")},
    "woman": "women",
    "man": "men",
}
_PLACES: Final = ("near", "behind", "beside", "next to", "in front of")
_HAPPENINGS: Final = ("hurt", "saw", "blamed", "washed", "taught", "introduced")
_SUBJECTS: Final = ("letter", "book", "picture", "cup", "chair", "stone", "coat", "window")
_ENDS: Final = ("lost", "found", "sold", "broken", "painted", "moved")
_VARIABLES: Final = ("count", "width", "height", "price", "total", "index", "size", "speed")
_LISTS: Final = ("names", "rows", "words", "values", "files", "points", "users", "lines")
_VERBS: Final = ("add", "join", "merge", "mix", "pair", "combine", "collect", "gather")
_SHOWN_SUMS: Final = 3
# A program that has twice as many different items as are asked for finds them in far fewer.
_TRIES: Final = 100

Item = tuple[str, str, tuple[str, str, str]]


def with_items(prompt: Prompt) -> Prompt:
    """Return a prompt with the text of its items, where it is made of such."""
    if prompt.items is None:
        return prompt
    made = _MAKERS[prompt.items.kind]
    # Not for secrets: the same seed must give the same items on every machine and for ever.
    chance = random.Random(f"{prompt.items.kind.value} {prompt.items.seed}")  # noqa: S311
    lines = [line for item in _different(made, prompt.items.count, chance) for line in item]
    return prompt.model_copy(update={"text": "\n".join(lines)})


def _different(
    made: Callable[[random.Random], Item], count: int, chance: random.Random
) -> Iterator[list[str]]:
    """Yield items no two of which have one context, each with its answers in an order by chance.

    Raises ConfigError where the program has not so many.
    """
    seen: set[str] = set()
    tries_left = _TRIES * count
    while len(seen) < count:
        context, right, wrong = made(chance)
        tries_left -= 1
        if tries_left < 0:
            raise ConfigError(
                f"this kind of items has some {len(seen)} different ones, {count} are asked for",
                where="prompts.yaml",
                hint="ask for fewer, or for several kinds",
            )
        if context in seen:
            continue
        seen.add(context)
        answers = [right, *wrong]
        chance.shuffle(answers)
        yield [context, str(answers.index(right)), *answers]


def _recall(chance: random.Random) -> Item:
    names = chance.sample(_NAMES, ITEM_ANSWERS)
    things = chance.sample(_THINGS, ITEM_ANSWERS)
    told = [f"{name} has the {thing}." for name, thing in zip(names, things, strict=True)]
    asked = chance.randrange(ITEM_ANSWERS)
    context = " ".join([*told, *told[:asked], f"{names[asked]} has the"])
    right, *wrong = things[asked : asked + 1] + things[:asked] + things[asked + 1 :]
    return context, f"{right}.", _three(f"{each}." for each in wrong)


def _agreement(chance: random.Random) -> Item:
    return chance.choice((_reflexive, _number))(chance)


def _reflexive(chance: random.Random) -> Item:
    own, other = chance.sample((_WOMEN, _MEN), 2)
    subject, beside = chance.choice(own), _PLURALS[chance.choice(other)]
    several = chance.random() < 1 / 2
    right = "themselves" if several else "herself" if own is _WOMEN else "himself"
    if several:
        subject, beside = _PLURALS[subject], chance.choice(other)
    place, verb = chance.choice(_PLACES), chance.choice(_HAPPENINGS)
    wrong = [each for each in ("themselves", "herself", "himself", "itself") if each != right]
    return f"The {subject} {place} the {beside} {verb}", f"{right}.", _three(f"{w}." for w in wrong)


def _number(chance: random.Random) -> Item:
    several = chance.random() < 1 / 2
    subject, beside = chance.sample(_SUBJECTS, 2)
    subject, beside = (f"{subject}s", beside) if several else (subject, f"{beside}s")
    right, wrong = ("were", ("was", "is", "am")) if several else ("was", ("were", "are", "am"))
    end = chance.choice(_ENDS)
    context = f"Yesterday the {subject} {chance.choice(_PLACES)} the {beside}"
    return context, f"{right} {end}.", _three(f"{each} {end}." for each in wrong)


def _arithmetic(chance: random.Random) -> Item:
    shown = [(chance.randint(1, 9), chance.randint(1, 9)) for _ in range(_SHOWN_SUMS)]
    first, second = chance.randint(1, 5), chance.randint(1, 4)
    total = first + second
    near = [each for each in range(total - 3, total + 4) if each > 0 and each != total]
    told = " ".join(f"{a} + {b} = {a + b}." for a, b in shown)
    wrong = chance.sample(near, ITEM_ANSWERS - 1)
    return f"{told} {first} + {second} =", f"{total}.", _three(f"{each}." for each in wrong)


def _code(chance: random.Random) -> Item:
    a, b, c, d = chance.sample(_VARIABLES, ITEM_ANSWERS)
    one, *lists = chance.sample(_LISTS, ITEM_ANSWERS)
    verb = chance.choice(_VERBS)
    forms: tuple[Item, ...] = (
        (f"def {verb}({a}, {b}): return {a} +", b, (a.upper(), c, d)),
        (f"def {verb}({one}): return max(", f"{one})", _three(f"{each})" for each in lists)),
        (f"{one} = []; for {a} in", f"{one}:", _three(f"{each}:" for each in lists)),
        (f"{a} = 3; {b} = {a} + 1; print(", f"{b})", (f"{c})", f"{d})", f"{one})")),
        (f"{b} = {verb}({a}); if {b} is not", "None:", ("none:", f"{c}:", "null:")),
        (f"while {a} < {b}: {a} +=", "1", ("True", f"{c}", "None")),
    )
    return chance.choice(forms)


def _three(answers: Iterator[str] | Sequence[str]) -> tuple[str, str, str]:
    first, second, third = answers
    return first, second, third


_MAKERS: Final[Mapping[ItemKind, Callable[[random.Random], Item]]] = {
    ItemKind.RECALL: _recall,
    ItemKind.AGREEMENT: _agreement,
    ItemKind.ARITHMETIC: _arithmetic,
    ItemKind.CODE: _code,
}
