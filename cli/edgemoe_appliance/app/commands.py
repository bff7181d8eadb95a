"""The form of every command: its help names what can be named, and a slip costs next to nothing.

Typer converts each value by an adapter of pydantic, which takes longer to load than the program to
say that a name is mistyped. Here text is taken as the text that it is, a choice by its word and a
number by its digits; what needs more than that is left to Typer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from edgemoe_appliance.app.names import with_names

if TYPE_CHECKING:
    _Base = TyperCommand
else:
    _Base = object


# How numbers are written: 12, 1.5, -2, 1e3; not 1_000, nan or inf.
_NUMBERS: Final[Mapping[type, tuple[re.Pattern[str], str]]] = {
    int: (re.compile(r"[+-]?[0-9]{1,18}"), "a whole number"),
    float: (re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?", re.I), "a number"),
}


class _Value:
    """Takes the values of one parameter in place of Typer's own adapter, which it asks in need."""

    def __init__(self, param: Any) -> None:
        self._adapter: Callable[[], Any] = param.get_runtime_param
        annotation = param.type_descriptor.annotation
        self._is_list = annotation not in (str, Path) and bool(get_args(annotation))
        self._kind = get_args(annotation)[0] if self._is_list else annotation

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return a value in its type. Raises a usage error for one that has not its form."""
        if value is None:
            return () if self._is_list else None
        values = list(value) if self._is_list else [value]
        if self._kind not in _NUMBERS and all(isinstance(each, self._kind) for each in values):
            taken = values
        elif self._kind is Path:
            taken = [Path(each) for each in values]
        elif issubclass(self._kind, Enum):
            taken = [self._choice(each, param, ctx) for each in values]
        elif self._kind in _NUMBERS:
            taken = [self._number(each, param, ctx) for each in values]
        else:
            return self._adapter().coerce(value, param=param, ctx=ctx)
        return taken if self._is_list else taken[0]

    def _choice(self, value: Any, param: Any, ctx: Any) -> Any:
        known = [each.value for each in self._kind]
        if isinstance(value, self._kind) or value in known:
            return self._kind(value)
        said = f"{value!r} is not one of {', '.join(known)}"
        raise typer.BadParameter(said, ctx=ctx, param=param)

    def _number(self, value: Any, param: Any, ctx: Any) -> Any:
        form, noun = _NUMBERS[self._kind]
        low, high = getattr(param, "min", None), getattr(param, "max", None)
        number = self._kind(value) if form.fullmatch(str(value)) else math.nan
        if (-math.inf if low is None else low) <= number <= (math.inf if high is None else high):
            return number
        said = f"{str(value)!r} is not {noun}{_range_in_words(low, high)}"
        raise typer.BadParameter(said, ctx=ctx, param=param)


def _range_in_words(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if low is not None:
        return f" of at least {low:g}"
    return "" if high is None else f" of at most {high:g}"


class _Slim(_Base):
    # What a class of Typer's is mixed with.

    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)
        for param in params:
            # Not in every version of Typer: those before had no pydantic in them.
            if hasattr(param, "get_runtime_param") and "get_runtime_param" not in vars(param):
                value = _Value(param)
                param.get_runtime_param = lambda value=value: value
        return params

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # So that the hint names the command whose help tells more.
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for param in self.get_params(ctx):
            text = getattr(param, "help", None)
            if text and "{" in text:
                param.help = with_names(text)
            if getattr(param, "is_flag", False):
                param.metavar = ""
        super().format_help(ctx, formatter)


class _Command(_Slim, TyperCommand):
    pass


class _Group(_Slim, TyperGroup):
    pass


class Commands(typer.Typer):
    """A group of commands; alone it prints its help."""

    def __init__(self, *, name: str | None = None, help: str) -> None:  # noqa: A002 (Typer's word)
        """Make an empty group; completion and what is shown of faults are the program's own."""
        super().__init__(
            name=name,
            help=help,
            cls=_Group,
            no_args_is_help=True,
            add_completion=False,
            pretty_exceptions_enable=False,
            context_settings={"help_option_names": ["-h", "--help"]},
        )

    def command(  # type: ignore[override]
        self, name: str | None = None, *, hidden: bool = False
    ) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Return what makes a function a command."""
        return super().command(name, cls=_Command, hidden=hidden)
