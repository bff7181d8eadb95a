from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.schema import roots as module
from edgemoe_appliance.schema.configs import DirectorySource
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.roots import (
    LOCAL_NAME,
    Roots,
    discreet_plan,
    named_plan,
    plan_roots,
    read_roots,
    resolved_plan,
)

from .builders import a_plan

FOLDERS = {
    "WORK": "/home/ada/edgemoe",
    "MODELS": "/home/ada/edgemoe/data/models",
    "CACHE": "/scratch/cache",
    "INSIDE": "/models",
}
ADA = Roots(folders=FOLDERS, user="ada", host="adas-laptop")


def test_the_example_of_the_module_holds() -> None:
    assert doctest.testmod(module).attempted == 3
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("/home/ada/edgemoe/data/models/a.gguf", "$MODELS/a.gguf"),
        ("/home/ada/edgemoe", "$WORK"),
        ("/home/ada/edgemoe-other/x", "$HOME/edgemoe-other/x"),
        ("loaded from /scratch/cache/builds/b: done", "loaded from $CACHE/builds/b: done"),
        ("-m=/models/a.gguf", "-m=$INSIDE/a.gguf"),
        ("/srv/models/a.gguf", "/srv/models/a.gguf"),
        ("two: /scratch/cache and '/home/grace/x y'", "two: $CACHE and '$HOME/x y'"),
        ("/Users/grace/a", "$HOME/a"),
        ("/root/a", "$HOME/a"),
        ("/var/home/ada/a", "$HOME/a"),
        ("/media/ada/disk/a", "/media/$USER/disk/a"),
        ("27.5 at ssh://ada@board.lan:22/x", "27.5 at ssh://$HOST/x"),
        ("busy: adas-laptop answers", "busy: $HOST answers"),
        ("adas-laptop", "adas-laptop"),  # an identifier: it may be the name of a target
        ("from https://github.com/ggml-org", "from https://github.com/ggml-org"),
        ("/sys/class/thermal", "/sys/class/thermal"),
        ("ada", "ada"),
    ],
)
def test_a_text_tells_no_folder_no_user_and_no_host(text: str, hidden: str) -> None:
    assert ADA.hide(text) == hidden
    assert ADA.hide({"a": [text, 1, None]}) == {"a": [hidden, 1, None]}
    assert ADA.hide(hidden) == hidden


@pytest.mark.parametrize("host", ["", "vm", "jetson", "localhost"])
def test_a_host_whose_name_tells_nothing_is_left_in_texts(host: str) -> None:
    text = f"{host} is the word here"
    assert Roots(host=host).hide(text) == text


def test_a_folder_is_found_by_its_path_with_and_without_links(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    roots = Roots().having(CACHE=tmp_path / "link")
    for name in ("link", "there"):
        assert roots.hide(str(tmp_path / name / "a")) == "$CACHE/a"


def with_paths(plan: Plan, folder: str) -> Plan:
    models = {
        key: model.model_copy(update={"path": f"{folder}/models/{model.file_name}"})
        for key, model in plan.models.items()
    }
    return plan.model_copy(update={"models": models})


def test_a_session_s_plan_names_roots_and_can_be_resolved(tmp_path: Path) -> None:
    plan = with_paths(a_plan(), "/home/ada")
    roots = plan_roots(plan, tmp_path / "s", {"MODELS": Path("/home/ada/models")})
    named = named_plan(plan, roots)
    assert b"/home/ada" not in named.document
    assert {model.path.partition("/")[0] for model in named.models.values()} == {"$MODELS"}
    assert named.digest == plan.digest
    assert resolved_plan(named, roots) == plan


def test_a_path_below_no_root_gets_one_of_its_own(tmp_path: Path) -> None:
    plan = with_paths(a_plan(), "/home/ada")
    roots = plan_roots(plan, tmp_path / "s", {})
    text = named_plan(plan, roots).document
    assert b"ada" not in text and b"$OTHER" in text
    assert resolved_plan(named_plan(plan, roots), roots) == plan


def test_texts_of_a_plan_tell_nothing(tmp_path: Path) -> None:
    finding = Finding(check="disk", level=Level.OK, seen="room in /home/ada/x", hint="/home/ada")
    plan = a_plan().model_copy(update={"findings": (finding,)})
    (build,) = plan.engines.values()
    local = build.model_copy(
        update={
            "source": DirectorySource(kind="directory", path="/home/ada/llama"),
            "why": "as /home/ada/llama is there",
        }
    )
    plan = plan.model_copy(update={"engines": {build.pin: local}})
    discreet = discreet_plan(plan, ADA)
    assert b"ada" not in discreet.document.replace(build.binary.encode(), b"")
    assert discreet.digest == plan.digest
    assert discreet.engines[build.pin].binary == build.binary


def test_a_plan_from_elsewhere_says_which_folder_is_not_known() -> None:
    plan = with_paths(a_plan(), "$MODELS")
    with pytest.raises(HostError, match=r"nothing tells where \$MODELS lies.*--root MODELS="):
        resolved_plan(plan, Roots())


@pytest.mark.parametrize("content", [b"", b"[]", b'{"MODELS": 1}', b"\xff"])
def test_a_damaged_list_of_folders_is_said_to_be_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCAL_NAME).write_bytes(content)
    with pytest.raises(RecordError):
        read_roots(tmp_path)


def test_a_home_is_hidden_that_lies_where_no_home_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/srv/people/ada")
    assert read_roots(tmp_path).hide("in /srv/people/ada/x") == "in $HOME/x"
    monkeypatch.setenv("HOME", "/tmp")
    assert read_roots(tmp_path).hide("in /tmp/x") == "in /tmp/x"
