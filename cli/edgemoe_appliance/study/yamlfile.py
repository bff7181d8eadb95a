"""YAML files as typed documents, with errors that name file, line, key and what is allowed.

Duplicate keys, which YAML readers accept silently, are errors here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from edgemoe_appliance.errors import ConfigError

KeyPath = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


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


def read_yaml(path: Path) -> YamlDocument:
    """Read a YAML file.

    Raises ConfigError where it is missing, not UTF-8, not YAML, or names a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError("no such file", where=str(path), hint="restore it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read ({error})", where=str(path)) from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> YamlDocument:
    """Parse YAML text; `path` only names it in messages."""
    lines: dict[KeyPath, int] = {}
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            _note_lines(node, (), lines, path)
        data = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"not valid YAML ({error.problem})", where=where) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"not valid YAML ({error})", where=str(path)) from error
    finally:
        loader.dispose()
    return YamlDocument(path=path, data=data, lines=lines)


def _note_lines(node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int], path: Path) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*at, index), lines, path)
    elif isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key = (*at, str(key_node.value))
            line = key_node.start_mark.line + 1
            if key in lines:
                name = ".".join(map(str, key))
                raise ConfigError(
                    f"{name}: named twice (first on line {lines[key]})",
                    where=f"{path}:{line}",
                    hint="remove one",
                )
            lines[key] = line
            _note_lines(value_node, key, lines, path)


def validate(document: YamlDocument, model: type[ModelT]) -> ModelT:
    """Return the document as a typed value.

    Raises ConfigError that names the first wrong key, its line and what is allowed there.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise _as_config_error(document, model, error) from error


def _as_config_error(
    document: YamlDocument, model: type[BaseModel], error: ValidationError
) -> ConfigError:
    details = error.errors(include_url=False)
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    key_path = _without_union_tags(first["loc"], document.data)
    name = ".".join(map(str, key_path)) or "the document"
    allowed = ""
    if first["type"] == "extra_forbidden":
        what = f"{name}: unknown key"
        allowed = _allowed_keys(model, first["loc"])
    else:
        given = first.get("input")
        shown = "" if isinstance(given, dict | list) else f" (got {given!r})"
        what = f"{name}: {first['msg']}{shown}"
    more = len(details) - 1
    hint = "; ".join(part for part in (allowed, f"and {more} more to mend" if more else "") if part)
    where = f"{document.path}:{document.line_of(key_path)}"
    return ConfigError(what, where=where, hint=hint)


def _without_union_tags(location: Sequence[str | int], data: Any) -> KeyPath:
    """Drop the parts of a pydantic location that are not keys of the data."""
    kept: list[str | int] = []
    for index, part in enumerate(location):
        is_last = index == len(location) - 1
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif not is_last:
            continue
        kept.append(part)
    return tuple(kept)


def _allowed_keys(model: type[BaseModel], location: Sequence[str | int]) -> str:
    owner = _model_at(model, location[:-1])
    if owner is None:
        return ""
    names = list(owner.model_fields)
    near = difflib.get_close_matches(str(location[-1]), names, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"{guess}allowed: {', '.join(names)}"


def _model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the model class that owns a location, following mappings, lists and unions."""
    candidates = [model]
    for part in location:
        following: list[type[BaseModel]] = []
        for candidate in candidates:
            info = candidate.model_fields.get(str(part))
            if info is not None:
                following = _models_within(info.annotation)
                break
        if following:
            candidates = following
    return candidates[0] if len(candidates) == 1 else None


def _models_within(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_within(part)]
