"""YAML files as typed documents, with errors that name file, line, key and what is allowed.

Duplicate keys, which YAML readers accept silently, are errors here. So are aliases, a few of
which can stand for gigabytes, and tags, which can stand for programs: nobody needs them here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.base import INT64_MAX
from edgemoe_appliance.schema.choices import guessed_name
from edgemoe_appliance.schema.text import on_one_line

KeyPath = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)
# Every key is taken as the text that stands there: `4404` and `on` are names, not values.
_TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True, kw_only=True)
class YamlDocument:
    """The data of a file and the line on which each key stands."""

    path: Path
    data: Any
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def line_of(self, key_path: KeyPath) -> int:
        """Return the line of a key, or of the nearest key above it."""
        while key_path and key_path not in self.lines:
            key_path = key_path[:-1]
        return self.lines.get(key_path, 1)


class _RefusingComposer(Composer):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[attr-defined]
        refused = ""
        if isinstance(event, yaml.AliasEvent):
            refused = f"alias *{event.anchor}: write the value out"
        elif getattr(event, "tag", None) is not None:
            refused = f"tag {event.tag}: leave it out"
        if refused:
            raise yaml.MarkedYAMLError(problem=refused, problem_mark=event.start_mark)
        return super().compose_node(parent, index)


class _Loader(_RefusingComposer, yaml.SafeLoader):
    """Reads YAML in Python, and says best what is wrong with it."""


_loaders: list[type[Any]] = [_Loader]
if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class _FastLoader(_RefusingComposer, CParser, SafeConstructor, Resolver):
        """Takes events from libyaml, ten times as fast; nodes are composed and refused as above."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    _loaders.insert(0, _FastLoader)


def _bounded_int(loader: SafeConstructor, node: yaml.ScalarNode) -> int:
    """Return a whole number; one past 64 bits is a slip that nothing could be computed with."""
    try:
        value: int = loader.construct_yaml_int(node)
    except ValueError:  # Python reads no more than some thousand digits
        value = INT64_MAX + 1
    if abs(value) > INT64_MAX:
        what = f"number {on_one_line(node.value, 20)} has more than 64 bits"
        raise yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark)
    return value


for _loader in _loaders:
    _loader.add_constructor("tag:yaml.org,2002:int", _bounded_int)


def read_yaml(path: Path) -> YamlDocument:
    """Read a YAML file.

    Raises ConfigError where it is missing, not UTF-8, not YAML, or names a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            "no such file", where=str(path), hint="check its name, or restore it"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError("not UTF-8", where=f"{path}:{line}", hint="save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=str(path)) from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> YamlDocument:
    """Parse YAML text; `path` only names it in messages."""
    lines: dict[KeyPath, int] = {}
    try:
        node, loader = _compose(text)
        if node is not None:
            _note_lines(node, (), lines, path)
        data = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"not valid YAML ({on_one_line(error.problem)})", where=where) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"not valid YAML (character #x{error.character:04x})"
        raise ConfigError(what, where=f"{path}:{line}") from error
    except RecursionError as error:
        raise ConfigError("not valid YAML (nested too deeply)", where=str(path)) from error
    except ValueError as error:  # a date or number that has the form but no value
        raise ConfigError(f"not valid YAML ({on_one_line(error)})", where=str(path)) from error
    return YamlDocument(path=path, data=data, lines=lines)


def compose_yaml(text: str) -> yaml.Node | None:
    """Return the root of a text that was read well, for what only its digits tell."""
    return _compose(text)[0]


def _compose(text: str) -> tuple[yaml.Node | None, Any]:
    """Return the root of a text and its loader; what is wrong is said by the last loader."""
    for kind in _loaders[:-1]:
        with contextlib.suppress(yaml.YAMLError):
            loader = kind(text)
            return loader.get_single_node(), loader
    loader = _loaders[-1](text)
    return loader.get_single_node(), loader


def _note_lines(node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int], path: Path) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*at, index), lines, path)
    elif isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError("a key must be plain text", where=f"{path}:{line}")
            key_node.tag = _TEXT_TAG
            key = (*at, key_node.value)
            if key in lines:
                raise ConfigError(
                    f"{_dotted(key)}: named twice (first on line {lines[key]})",
                    where=f"{path}:{line}",
                    hint="remove one",
                )
            lines[key] = line
            _note_lines(value_node, key, lines, path)


def validate(document: YamlDocument, model: type[ModelT]) -> ModelT:
    """Return the document as a typed value.

    Raises ConfigError that names the first wrong key, its line and what is allowed there.
    """
    if not isinstance(document.data, dict):
        found = "is empty" if document.data is None else "is not a mapping of keys to values"
        allowed = ", ".join(model.model_fields)
        raise ConfigError(f"the file {found}", where=f"{document.path}:1", hint=f"keys: {allowed}")
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise _as_config_error(document, model, error) from error


def _as_config_error(
    document: YamlDocument, model: type[BaseModel], error: ValidationError
) -> ConfigError:
    details = error.errors(include_url=False)
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    key_path = _key_path(first, document.data)
    same = [d for d in details if _key_path(d, document.data) == key_path]
    more = len(details) - len(same)
    parts = (_hint(first, model), f"and {more} more to mend" if more else "")
    return ConfigError(
        f"{_dotted(key_path) or 'the file'}: {_complaint(first, same)}",
        where=f"{document.path}:{document.line_of(key_path)}",
        hint="; ".join(part for part in parts if part),
    )


def _complaint(first: ErrorDetails, same: Sequence[ErrorDetails]) -> str:
    """Return what is wrong with a key; `same` holds all that was said of it (unions)."""
    if first["type"] == "extra_forbidden":
        return "unknown key"
    if first["type"] == "missing":
        return "missing"
    if first["type"] == "union_tag_not_found":
        return f"needs the key {first['ctx']['discriminator']}"
    said = " or ".join(dict.fromkeys(map(_said, same)))
    given = first["input"]
    shown = "" if isinstance(given, dict | list) else f" (got {on_one_line(repr(given), 60)})"
    return f"{on_one_line(said, 300)}{shown}"


def _said(detail: ErrorDetails) -> str:
    """Return what is wrong with a value, in words of YAML and not of Python."""
    if detail["type"] in {"dict_type", "model_type", "model_attributes_type"}:
        return "is not a mapping of keys to values"
    if detail["type"] == "too_short" and isinstance(detail["input"], dict | list):
        return f"needs at least {detail['ctx']['min_length']}"
    return detail["msg"].removeprefix("Value error, ")


def _hint(detail: ErrorDetails, model: type[BaseModel]) -> str:
    location = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return _allowed_keys(model, location)
    if detail["type"] in {"model_type", "model_attributes_type"}:
        owner = _step_through(model, location)
        return f"keys: {', '.join(owner.model_fields)}" if _is_model(owner) else ""
    if detail["type"] == "union_tag_not_found":
        return f"allowed: {', '.join(_tags(_step_through(model, location)))}"
    if detail["type"] == "string_type" and isinstance(detail["input"], bool | int | float | date):
        return "put it in quotes"
    return ""


def _key_path(detail: ErrorDetails, data: Any) -> KeyPath:
    """Return the keys that lead to an error: pydantic adds parts that are no keys of the data."""
    kept: list[str | int] = []
    for part in detail["loc"]:
        if isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif isinstance(data, dict) and part in data:
            data = data[part]
        else:
            continue
        kept.append(part)
    return (*kept, detail["loc"][-1]) if detail["type"] == "missing" else tuple(kept)


def _dotted(key_path: KeyPath) -> str:
    return ".".join(on_one_line(part, 64) for part in key_path)


def _allowed_keys(model: type[BaseModel], location: Sequence[str | int]) -> str:
    owner = _step_through(model, location[:-1])
    if not _is_model(owner):
        return ""
    names = list(owner.model_fields)
    return f"{guessed_name(str(location[-1]), names)}allowed: {', '.join(names)}"


def _is_model(annotation: Any) -> bool:
    # Python 3.10 takes dict[str, X] for a type, and only fails at issubclass.
    is_class = isinstance(annotation, type) and get_origin(annotation) is None
    return is_class and issubclass(annotation, BaseModel)


def _step_through(annotation: Any, location: Sequence[str | int]) -> Any:
    """Return the type that owns a location, following mappings, lists and tagged unions."""
    for part in location:
        annotation = _step(_without_none(annotation), str(part))
    return _without_none(annotation)


def _step(annotation: Any, part: str) -> Any:
    if _is_model(annotation):
        info = annotation.model_fields.get(part)
        return None if info is None else info.annotation
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1]
    if get_origin(annotation) in {tuple, list}:
        return arguments[0]
    return next(
        (choice for choice in arguments if _is_model(choice) and part in _tags(choice)), None
    )


def _tags(annotation: Any) -> list[str]:
    """Return the values of the literal fields of a model, or of the models of a union."""
    models = [annotation] if _is_model(annotation) else filter(_is_model, get_args(annotation))
    fields = [info.annotation for model in models for info in model.model_fields.values()]
    return [tag for kind in fields if get_origin(kind) is Literal for tag in get_args(kind)]


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) not in {Union, UnionType}:
        return annotation
    choices = [choice for choice in get_args(annotation) if choice is not type(None)]
    return choices[0] if len(choices) == 1 else annotation
