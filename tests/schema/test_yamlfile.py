from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.yamlfile import parse_yaml, read_yaml, validate

FILE = Path("a.yaml")


class Circle(Frozen):
    kind: Literal["circle"]
    radius_m: float = Field(gt=0)


class Square(Frozen):
    kind: Literal["square"]
    side_m: float = Field(gt=0)


class Room(Frozen):
    title: str
    shape: Annotated[Circle | Square, Field(discriminator="kind")]
    doors: int | Literal["none"] = "none"
    spare: Circle | None = None
    steps: tuple[Square, ...] = ()


class House(Frozen):
    rooms: dict[str, Room]
    levels: list[Literal["cellar", "ground", "roof"]] = Field(default_factory=list)


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(parse_yaml(text, FILE), House)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def house(room: str) -> str:
    lines = "".join(f"    {line}\n" for line in room.splitlines())
    return f"rooms:\n  hall:\n    title: Hall\n    shape: {{kind: circle, radius_m: 2}}\n{lines}"


def test_a_good_file_becomes_a_typed_value() -> None:
    text = house("doors: 2\nsteps:\n  - {kind: square, side_m: 1}")
    value = validate(parse_yaml(text, FILE), House)
    assert value.rooms["hall"].shape == Circle(kind="circle", radius_m=2)
    assert value.rooms["hall"].steps == (Square(kind="square", side_m=1),)


def test_keys_are_the_text_that_stands_there() -> None:
    document = parse_yaml("4404: a\non: b\n1.50: c\n~: d\n", FILE)
    assert document.data == {"4404": "a", "on": "b", "1.50": "c", "~": "d"}


def test_every_key_knows_its_line() -> None:
    document = parse_yaml("a:\n  b: 1\n  c:\n    - x\n    - y\n", FILE)
    assert document.line_of(("a", "c", 1)) == 5
    assert document.line_of(("a", "nothing", "here")) == 1
    assert document.line_of(("b",)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.yaml:1: the file is empty; keys: rooms, levels"),
        ("# only a comment\n", "a.yaml:1: the file is empty; keys: rooms, levels"),
        ("- a\n", "a.yaml:1: the file is not a mapping of keys to values; keys: rooms, levels"),
        ("levels: []\n", "a.yaml:1: rooms: missing"),
        ("rooms: {}\nrooms: {}\n", "a.yaml:2: rooms: named twice (first on line 1); remove one"),
        (
            "rooms:\n  hall: {}\n  'hall': {}\n",
            "a.yaml:3: rooms.hall: named twice (first on line 2); remove one",
        ),
        ("rooms: {}\n? [a]\n: b\n", "a.yaml:2: a key must be plain text"),
        (
            "rooms: {}\nlevels:\n  - ground\n  - attic\n",
            "a.yaml:4: levels.1: Input should be 'cellar', 'ground' or 'roof' (got 'attic')",
        ),
        ("rooms: []\n", "a.yaml:1: rooms: is not a mapping of keys to values"),
        (
            "rooms:\n  hall: 3\n",
            "a.yaml:2: rooms.hall: is not a mapping of keys to values (got 3); "
            "keys: title, shape, doors, spare, steps",
        ),
    ],
)
def test_what_is_wrong_where_and_what_is_allowed(text: str, message: str) -> None:
    assert complaint(text) == message


@pytest.mark.parametrize(
    ("room", "message"),
    [
        (
            "stepps: []",
            "a.yaml:5: rooms.hall.stepps: unknown key; did you mean steps? "
            "allowed: title, shape, doors, spare, steps",
        ),
        (
            "colour: red",
            "a.yaml:5: rooms.hall.colour: unknown key; allowed: title, shape, doors, spare, steps",
        ),
        (
            "steps:\n  - kind: square\n    sid_m: 1",
            "a.yaml:7: rooms.hall.steps.0.sid_m: unknown key; did you mean side_m? "
            "allowed: kind, side_m; and 1 more to mend",
        ),
        (
            "spare:\n  kind: circle\n  radius_m: 1\n  colour: red",
            "a.yaml:8: rooms.hall.spare.colour: unknown key; allowed: kind, radius_m",
        ),
        (
            "spare: {kind: circle, radius_m: -1}",
            "a.yaml:5: rooms.hall.spare.radius_m: Input should be greater than 0 (got -1)",
        ),
        (
            "spare: {kind: circle, radius_m: .nan}",
            "a.yaml:5: rooms.hall.spare.radius_m: Input should be a finite number (got nan)",
        ),
        (
            "doors: many",
            "a.yaml:5: rooms.hall.doors: Input should be a valid integer, unable to parse string "
            "as an integer or Input should be 'none' (got 'many')",
        ),
        (
            "'a\\nb': 1",
            "a.yaml:5: rooms.hall.a\\nb: unknown key; allowed: title, shape, doors, spare, steps",
        ),
        (
            '"a\\nb\\e[31m": 1',
            "a.yaml:5: rooms.hall.a\\nb\\x1b[31m: unknown key; "
            "allowed: title, shape, doors, spare, steps",
        ),
    ],
)
def test_what_is_wrong_inside_a_room(room: str, message: str) -> None:
    assert complaint(house(room)) == message


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            "{kind: circle, radius: 2}",
            "a.yaml:4: rooms.hall.shape.radius: unknown key; did you mean radius_m? "
            "allowed: kind, radius_m; and 1 more to mend",
        ),
        (
            "{radius_m: 2}",
            "a.yaml:4: rooms.hall.shape: needs the key 'kind'; allowed: circle, square",
        ),
        (
            "{kind: star}",
            "a.yaml:4: rooms.hall.shape: Input tag 'star' found using 'kind' does not match any of "
            "the expected tags: 'circle', 'square'",
        ),
        (
            "{kind: square, side_m: wide}",
            "a.yaml:4: rooms.hall.shape.side_m: Input should be a valid number, unable to parse "
            "string as a number (got 'wide')",
        ),
    ],
)
def test_what_is_wrong_in_one_of_several_kinds(shape: str, message: str) -> None:
    text = f"rooms:\n  hall:\n    title: Hall\n    shape: {shape}\n"
    assert complaint(text) == message


def test_an_id_that_is_also_the_name_of_a_key_does_not_mislead() -> None:
    text = "rooms:\n  shape:\n    titel: x\n"
    assert complaint(text).startswith(
        "a.yaml:3: rooms.shape.titel: unknown key; did you mean title? allowed: title, shape, doors"
    )


def test_a_switch_that_yaml_takes_for_a_truth_value_is_to_be_quoted() -> None:
    text = "rooms:\n  hall:\n    title: ON\n    shape: {kind: circle, radius_m: 1}\n"
    assert complaint(text) == (
        "a.yaml:3: rooms.hall.title: Input should be a valid string (got True); put it in quotes"
    )
    assert complaint(text.replace("ON", "2024-01-31")).endswith("put it in quotes")
    assert complaint(text.replace("ON", "")).endswith("(got None)")


def test_a_very_long_value_is_cut() -> None:
    assert len(complaint(house(f"doors: {'x' * 100_000}"))) < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", "a.yaml:1: not valid YAML (expected ',' or ']', but got '<stream end>')"),
        ("a: 1\nb: c: d\n", "a.yaml:2: not valid YAML (mapping values are not allowed here)"),
        ("a: 1\n\tb: 2\n", "a.yaml:2: not valid YAML (found character '\\t' that cannot start"),
        ("a: 1\nb: \x00\n", "a.yaml:2: not valid YAML (character #x0000)"),
        ("a: 2024-13-45\n", "a.yaml: not valid YAML (month must be in 1..12)"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: not valid YAML (but found another document)"),
        (
            "a: !!python/name:os.system x\n",
            "a.yaml:1: not valid YAML (tag tag:yaml.org,2002:python/name:os.system: leave it out)",
        ),
        ("a: ! x\n", "a.yaml:1: not valid YAML (tag !: leave it out)"),
        ("a: =\n", "a.yaml:1: not valid YAML (could not determine a constructor"),
        ("a: &x [1]\nb: *x\n", "a.yaml:2: not valid YAML (alias *x: write the value out)"),
        ("a: &x {b: 1}\nc: {<<: *x}\n", "a.yaml:2: not valid YAML (alias *x: write the value out)"),
        ("a: &x [*x]\n", "a.yaml:1: not valid YAML (alias *x: write the value out)"),
        ("[" * 5_000, "a.yaml: not valid YAML (nested too deeply)"),
        ("{a: " * 5_000, "a.yaml: not valid YAML (nested too deeply)"),
        ("- " * 5_000, "a.yaml: not valid YAML (nested too deeply)"),
    ],
)
def test_what_is_no_yaml(text: str, message: str) -> None:
    assert complaint(text).startswith(message)


def test_a_few_aliases_cannot_fill_the_memory() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
    )
    began_s = time.process_time()
    assert "alias *a0" in complaint(bomb)
    assert time.process_time() - began_s < 5


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value) == f"{path}: no such file; check its name, or restore it"


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml(tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be read (Is a directory)"


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nb: Grüße\n".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value) == f"{path}:2: not UTF-8; save it as UTF-8"


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(path).data == {"a": 1, "b": 2}


@given(
    st.text(
        alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#%@? \n\t,<1.e_\\x\x00\ufeff\ud800"), max_size=60
    )
)
@example("? ? ? :")
@example("!!binary x: 1")
@example("a: !!float x")
@example("a: !!timestamp x")
@example("a: !!int ''")
def test_any_text_is_a_document_or_a_complaint(text: str) -> None:
    try:
        validate(parse_yaml(text, FILE), House)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
