from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.imagelock import (
    ImageInputs,
    ImageLock,
    compare_inputs,
    compare_results,
    lock_path,
    parse_lock,
    read_lock,
)
from tests.schema.locks import a_base, a_lock, digest


def with_(value: Frozen, **changes: Any) -> Any:
    return value.model_copy(update=changes)


def test_a_lock_comes_back_from_its_text() -> None:
    lock = a_lock()
    assert parse_lock(lock.model_dump_json().encode(), "host.json") == lock


def test_no_lock_is_none_and_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    assert read_lock(tmp_path, "host") is None
    lock_path(tmp_path, "host").mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot be read"):
        read_lock(tmp_path, "host")


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        ('{"schema_version": 1}', "schema 1", "build again"),
        ('{"schema_version": 9}', "schema 9", "newer"),
        ("{}", "target", "build again"),
        ("", "JSON", "build again"),
        ("nonsense", "JSON", "build again"),
    ],
)
def test_lock_of_another_kind_is_refused_on_one_line(content: str, what: str, hint: str) -> None:
    with pytest.raises(RecordError, match="lock") as caught:
        parse_lock(content.encode(), "images/lock/host.json")
    assert caught.value.exit_code == 7
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert len(str(caught.value).splitlines()) == 1


def test_equal_locks_do_not_differ() -> None:
    assert compare_inputs(a_lock().inputs, a_lock().inputs) == []
    assert compare_results(a_lock(), a_lock()) == []


def test_time_tools_and_registries_are_not_results() -> None:
    other = a_lock(built_utc="2030-01-01T00:00:00+00:00")
    assert compare_results(a_lock(), other) == []


def test_base_of_another_name_with_the_same_content_is_the_same() -> None:
    inputs = a_lock().inputs
    mirror = with_(inputs.bases, build=a_base(tag="mirror.local/debian:1"))
    arguments = {**inputs.arguments, "BASE_IMAGE": "mirror.local/debian:1"}
    assert compare_inputs(inputs, with_(inputs, bases=mirror, arguments=arguments)) == []


@pytest.mark.parametrize(
    ("change", "item"),
    [
        (
            lambda i: with_(i, bases=with_(i.bases, build=a_base(letter="c"))),
            "base of the build stage",
        ),
        (
            lambda i: with_(i, bases=with_(i.bases, run=a_base(letter="c"))),
            "base of the runtime stage",
        ),
        (lambda i: with_(i, arguments={"CMAKE_FLAGS": "-DX=1"}), "build argument CMAKE_FLAGS"),
        (lambda i: with_(i, context={**i.context, "app": "9" * 64}), "build context app"),
        (
            lambda i: with_(i, context={**i.context, "sources/b1": "9" * 64}),
            "build context sources/b1",
        ),
    ],
)
def test_each_input_that_differs_is_named(
    change: Callable[[ImageInputs], ImageInputs], item: str
) -> None:
    inputs = a_lock().inputs
    assert [found.item for found in compare_inputs(inputs, change(inputs))] == [item]


def with_engine(**changes: Any) -> ImageLock:
    lock = a_lock()
    return a_lock(engines={"b4447": with_(lock.engines["b4447"], **changes)})


def with_image(**changes: Any) -> ImageLock:
    return a_lock(image=with_(a_lock().image, **changes))


def with_packages(**changes: Any) -> ImageLock:
    return a_lock(packages=with_(a_lock().packages, **changes))


@pytest.mark.parametrize(
    ("found", "items"),
    [
        (with_image(architecture="arm64"), ["architecture"]),
        (
            with_image(diff_ids=(digest("a"), digest("8"), digest("9"))),
            ["layer 1 (of the base)"],
        ),
        (with_image(diff_ids=(digest("7"), digest("8"), digest("a"))), ["layer 3"]),
        (with_image(diff_ids=(digest("7"), digest("8"))), ["layer 3"]),
        (with_image(settings_sha256="1" * 64), ["settings of the image"]),
        (with_image(config_sha256=digest("a")), ["config of the image"]),
        (with_engine(source_sha256="1" * 64), ["engine b4447: source"]),
        (with_engine(compiler="cc 13"), ["engine b4447: compiler"]),
        (
            with_engine(files_sha256={"llama-cli": "1" * 64, "libllama.so": "e" * 64}),
            ["engine b4447: llama-cli"],
        ),
        (with_engine(probe_sha256=None), ["engine b4447: probe"]),
        (with_packages(python={"psutil": "7.0.1"}), ["Python package psutil"]),
        (
            with_packages(system={"libc6:amd64": "2.36-9+deb12u10"}),
            ["system package libc6:amd64", "system package python3:amd64"],
        ),
    ],
)
def test_each_result_that_differs_is_named(found: ImageLock, items: list[str]) -> None:
    assert [difference.item for difference in compare_results(a_lock(), found)] == items


def test_a_difference_reads_as_one_line() -> None:
    (difference,) = compare_results(a_lock(), with_packages(python={}))
    assert str(difference) == "Python package psutil: locked 7.0.0, found not there"
