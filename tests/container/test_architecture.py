"""Images for another processor than the engine's machine has: bases, emulation, launching."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import docker.errors
import pytest

from edgemoe_appliance.bench.runtime import ImageOptions, open_runtime
from edgemoe_appliance.container.basepull import (
    check_architectures,
    require_base,
    require_emulation,
)
from edgemoe_appliance.container.client import DockerEngine, ImageStore, engine_errors
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.launcher import ContainerLauncher
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.schema.choices import ImageArchitecture, RuntimeKind
from edgemoe_appliance.schema.configs import Configs, ContainerProfile
from edgemoe_appliance.schema.imagelock import LockedBase, PinnedBy
from tests.container.plans import plan

DIGEST = "sha256:" + "1" * 64


class FakeFacts:
    """What an x86 machine's engine says of itself."""

    architecture = "x86_64"
    image_architecture = "amd64"
    image_store = ImageStore.CONFIG_ADDRESSED


class FakeEngine:
    """An engine whose registry has some images for several processors."""

    host = "unix:///fake"
    facts = FakeFacts()

    def __init__(self, here: str | None, published: tuple[str, ...] = ()) -> None:
        self.here, self.published = here, published
        self.pulled: list[str | None] = []
        self.fails: Exception | None = None

    @property
    def api(self) -> FakeEngine:
        return self

    client = containers = api

    def errors(self, doing: str) -> contextlib.AbstractContextManager[None]:
        return engine_errors(doing, self.host)

    def inspect_image(self, reference: str) -> dict[str, Any]:
        if self.here is None:
            raise docker.errors.ImageNotFound("no such image")
        return {"Id": DIGEST, "Architecture": self.here}

    def pull(self, _: str, *, platform: str | None, **__: object) -> Iterator[dict[str, str]]:
        self.pulled.append(platform)
        wanted = platform.removeprefix("linux/") if platform else "amd64"
        self.here = wanted if wanted in self.published else self.published[0]
        return iter(())

    def run(self, *_: object, **__: object) -> None:
        if self.fails is not None:
            raise self.fails


def as_engine(fake: FakeEngine) -> DockerEngine:
    return cast("DockerEngine", fake)


def base(pinned_by: PinnedBy = PinnedBy.BASES_FILE) -> LockedBase:
    return LockedBase(tag="debian:12", digest=None, pinned_by=pinned_by)


BOTH = ("amd64", "arm64")


@pytest.mark.parametrize(
    ("here", "wanted", "pulled"),
    [
        (None, "arm64", ["linux/arm64"]),
        ("amd64", "arm64", ["linux/arm64"]),  # the same name, another processor's content
        ("arm64", "arm64", []),
        ("amd64", None, []),
        (None, None, [None]),
    ],
)
def test_a_base_is_of_the_architecture_that_is_asked_for(
    here: str | None, wanted: str | None, pulled: list[str | None]
) -> None:
    fake = FakeEngine(here, BOTH)
    found = require_base(as_engine(fake), base(), print, wanted)
    assert (found.architecture, fake.pulled) == (wanted or "amd64", pulled)


def test_a_base_that_the_user_names_is_taken_as_it_is() -> None:
    fake = FakeEngine("amd64", BOTH)
    found = require_base(as_engine(fake), base(PinnedBy.OVERRIDE), print, "arm64")
    assert (found.architecture, fake.pulled) == ("amd64", [])


def test_a_base_that_does_not_exist_for_a_processor_is_refused() -> None:
    with pytest.raises(HostError, match="debian:12 is for amd64, not for arm64"):
        require_base(as_engine(FakeEngine(None, ("amd64",))), base(), print, "arm64")


def identity(architecture: str) -> ImageIdentity:
    return ImageIdentity(
        reference="debian:12",
        image_id=DIGEST,
        store=ImageStore.CONFIG_ADDRESSED,
        config_sha256=DIGEST,
        diff_ids=(),
        repo_digests=(),
        architecture=architecture,
        size_bytes=1,
        labels={},
        settings_sha256="1" * 64,
    )


FAILURES = [
    docker.errors.ContainerError(
        cast("Any", None), 1, "/bin/true", "debian:12", "exec format error"
    ),
    docker.errors.APIError("exec format error"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_machine_without_an_emulator_is_told_in_one_line(failure: Exception) -> None:
    fake = FakeEngine("arm64")
    require_emulation(as_engine(fake), identity("arm64"))
    fake.fails = failure
    require_emulation(as_engine(fake), identity("amd64"))
    with pytest.raises(HostError, match="do not run on this x86_64 machine") as caught:
        require_emulation(as_engine(fake), identity("arm64"))
    assert caught.value.exit_code == 3
    assert "qemu-user-static" in caught.value.hint


def test_nothing_is_measured_under_emulation(tmp_path: Path) -> None:
    engine = as_engine(FakeEngine("arm64"))
    launcher = ContainerLauncher(engine=engine, image=identity("arm64"), say=print)
    with pytest.raises(HostError, match="the image is for arm64") as caught:
        launcher.launch(plan(), tmp_path)
    assert "board" in caught.value.hint


@pytest.mark.parametrize(
    ("wanted", "build", "run", "told"),
    [
        (None, "amd64", "amd64", None),
        (None, "arm64", "arm64", None),
        ("arm64", "arm64", "arm64", None),
        ("arm64", "arm64", "amd64", "is for amd64, the image is to be for arm64"),
        # Its Python packages would be for the wrong processor.
        ("arm64", "amd64", "arm64", "is for amd64, the image is to be for arm64"),
        (None, "amd64", "arm64", "is for amd64, the image is to be for arm64"),
    ],
)
def test_both_stages_are_for_one_processor(
    wanted: str | None, build: str, run: str, told: str | None
) -> None:
    if told is None:
        check_architectures(wanted, build=identity(build), run=identity(run))
        return
    with pytest.raises(ConfigError, match=told):
        check_architectures(wanted, build=identity(build), run=identity(run))


ARM64, AMD64 = ImageArchitecture.ARM64, ImageArchitecture.AMD64


@pytest.mark.parametrize(
    ("asked", "runtime_image", "targets", "expected"),
    [
        (None, None, None, None),
        (None, None, ARM64, "arm64"),
        (AMD64, None, ARM64, "amd64"),
        (None, "mine:1", ARM64, None),  # the base decides
        (ARM64, "mine:1", None, "arm64"),
    ],
)
def test_who_decides_about_the_architecture(
    asked: ImageArchitecture | None,
    runtime_image: str | None,
    targets: ImageArchitecture | None,
    expected: str | None,
) -> None:
    options = ImageOptions(architecture=asked, runtime=runtime_image)
    profile = ContainerProfile(dockerfile="d", runtime="runc", architecture=targets)
    assert options.architecture_for(profile) == expected


def test_a_board_s_image_is_for_its_processor_wherever_it_is_built(configs: Configs) -> None:
    profile = configs.target("jetson").container
    assert profile is not None and profile.architecture is ARM64


def test_bare_engines_are_not_built_for_other_processors() -> None:
    options = ImageOptions(architecture=ARM64)
    with (
        pytest.raises(ConfigError, match="--arch is of an image"),
        open_runtime(RuntimeKind.NATIVE, cast("Any", None), options, None),
    ):
        pass
