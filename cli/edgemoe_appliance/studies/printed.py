"""Printed figures with the rounding of their digits: a printed 1.26 means 1.255 to 1.265.

The digits are read from the text of the file that holds the study's figures, as numbers lose
them (12.30). Figures are named by their keys, joined by `/`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property

import yaml

from edgemoe_appliance.schema.yamlfile import compose_yaml

# Whole things are counted, not rounded.
_COUNTED = re.compile(
    r"(^|_)(runs|nodes|prompts|repetitions|layers|experts|experts_used|runs_per_cell)$"
)
_RANGE_KEYS = ("low", "high")


@dataclass(frozen=True, kw_only=True)
class PrintedNumber:
    """A printed number and the least and greatest one that is printed so.

    The ends of a count are the count itself; a range has no value of its own.
    """

    value: float | None
    low: float
    high: float

    @property
    def is_counted(self) -> bool:
        """Return whether it is a count, which nobody rounds."""
        return self.low == self.high


@dataclass(frozen=True, kw_only=True)
class PrintedFigures:
    """The digits of every number of a file, by the keys that lead to it."""

    digits: Mapping[str, str]

    def find(self, name: str) -> PrintedNumber | None:
        """Return a figure, None where the study does not print it.

        A figure of the text is a mapping: its value, or its range, is taken.
        """
        for key in (name, f"{name}/value"):
            if key in self.digits:
                return _number(name, self.digits[key])
        low, high = (self.digits.get(f"{name}/{key}") for key in _RANGE_KEYS)
        if low is None or high is None:
            return None
        return PrintedNumber(value=None, low=_rounded(low)[0], high=_rounded(high)[1])

    def in_table(
        self, table: str, device: str | None, row: str, figure: str
    ) -> PrintedNumber | None:
        """Return a figure of a row of a table; `table` may join its words by `-`, as files do."""
        return self.find(f"tables/{table.replace('-', '_')}/cells/{device}/{row}/{figure}")

    def text(self, name: str) -> str:
        """Return a figure in the digits it is printed with: `12.30`, `5 to 10`."""
        low, high = (self.digits.get(f"{name}/{key}") for key in _RANGE_KEYS)
        if low is not None and high is not None:
            return f"{low} to {high}"
        return self.digits.get(name) or self.digits[f"{name}/value"]

    @cached_property
    def _names(self) -> Collection[str]:
        """Return the names of all figures, those of ranges before their ends."""
        return dict.fromkeys((*map(_without_range_key, self.digits), *self.digits))

    def matching(self, pattern: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the names that a pattern fits, with what each `*` stands for.

        The ends of a range, NAME/low and NAME/high, are figures of their own too.
        """
        expression = re.compile(re.escape(pattern).replace(r"\*", "([^/]+)"))
        for name in self._names:
            found = expression.fullmatch(name)
            if found:
                yield name, found.groups()


def parse_printed(text: str) -> PrintedFigures:
    """Return the digits of a file that was read well: its form is not checked again."""
    return PrintedFigures(digits=dict(_numbers(compose_yaml(text), ())))


def _numbers(node: yaml.Node | None, at: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _numbers(value, (*at, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from _numbers(value, (*at, str(place)))
    elif isinstance(node, yaml.ScalarNode) and _is_plain_number(node):
        yield "/".join(at), str(node.value)


def _is_plain_number(node: yaml.ScalarNode) -> bool:
    if node.style:  # quoted, or a block; a plain one is None or empty by the loader
        return False
    try:
        return Decimal(node.value).is_finite()
    except InvalidOperation:
        return False


def _number(name: str, digits: str) -> PrintedNumber:
    value = float(digits)
    if _COUNTED.search(name.rsplit("/", 1)[-1]):
        return PrintedNumber(value=value, low=value, high=value)
    low, high = _rounded(digits)
    return PrintedNumber(value=value, low=low, high=high)


def _rounded(digits: str) -> tuple[float, float]:
    """Return the least and greatest number that is printed with these digits."""
    value = Decimal(digits)
    exponent = value.as_tuple().exponent
    half = Decimal(5).scaleb(int(exponent) - 1)
    return float(value - half), float(value + half)


def _without_range_key(name: str) -> str:
    head, _, last = name.rpartition("/")
    return head if last in (*_RANGE_KEYS, "value") else name
