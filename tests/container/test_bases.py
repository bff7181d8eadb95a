from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from edgemoe_appliance.container.bases import (
    BaseImage,
    choose_base,
    parse_override,
    pin_bases,
    read_bases,
    write_lock,
)
from edgemoe_appliance.container.builders import BuildJob, build_error
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.errors import ConfigError, DigestError
from edgemoe_appliance.schema.configs import read_configs
from edgemoe_appliance.schema.imagelock import LockedBase, LockedBases, PinnedBy, read_lock
from edgemoe_appliance.schema.resources import checkout_root
from tests.schema.locks import a_lock

SEEN = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
UNPINNED = BaseImage(tag="registry.example/l4t:1", digest=None)
PINNED = BaseImage(tag="debian:bookworm-1-slim", digest=SEEN)


def known(tag: str, digest: str | None) -> LockedBase:
    return LockedBase(tag=tag, digest=digest, pinned_by=PinnedBy.FIRST_PULL)


def test_pinned_base_is_named_by_digest() -> None:
    chosen = choose_base(PINNED, known=None, override=None, locked=True)
    assert chosen.reference == f"debian:bookworm-1-slim@{SEEN}"
    assert chosen.pinned_by is PinnedBy.BASES_FILE


def test_file_wins_over_an_older_lock() -> None:
    old = known(PINNED.tag, OTHER)
    assert choose_base(PINNED, known=old, override=None, locked=False).digest == SEEN


def test_unpinned_base_is_refused_under_locked() -> None:
    with pytest.raises(DigestError, match="not pinned") as caught:
        choose_base(UNPINNED, known=None, override=None, locked=True)
    assert caught.value.exit_code == 4


def test_first_pull_pins_for_the_next_time() -> None:
    first = choose_base(UNPINNED, known=None, override=None, locked=False)
    assert first.digest is None
    said: list[str] = []
    pulled: list[str] = []

    def pull(tag: str) -> str:
        pulled.append(tag)
        return SEEN

    pinned = pin_bases(LockedBases(build=first, run=first), pull, said.append)
    assert pinned.build.reference == f"{UNPINNED.tag}@{SEEN}"
    assert pulled == [UNPINNED.tag], "one tag is pulled once for both stages"
    assert len(said) == 1 and SEEN in said[0] and "first use" in said[0]
    again = choose_base(UNPINNED, known=pinned.build, override=None, locked=True)
    assert again == pinned.build


def test_lock_of_another_tag_pins_nothing() -> None:
    old = known("registry.example/l4t:0", SEEN)
    assert choose_base(UNPINNED, known=old, override=None, locked=False).digest is None


def test_override_is_taken_as_it_is_and_never_pulled_by_us() -> None:
    chosen = choose_base(PINNED, known=None, override="mine:1", locked=False)
    assert (chosen.reference, chosen.pinned_by) == ("mine:1", PinnedBy.OVERRIDE)

    def never(tag: str) -> str:
        raise AssertionError(tag)

    bases = LockedBases(build=chosen, run=chosen)
    assert pin_bases(bases, never, print) == bases


def test_override_without_digest_is_refused_under_locked() -> None:
    with pytest.raises(DigestError):
        choose_base(PINNED, known=None, override="mine:1", locked=True)
    assert choose_base(PINNED, known=None, override=f"mine:1@{SEEN}", locked=True).digest == SEEN


@pytest.mark.parametrize("wrong", ["mine:1@sha256:12", "two words", "", "Upper:1", "-x:1"])
def test_impossible_override(wrong: str) -> None:
    with pytest.raises(ConfigError, match="name of an image"):
        parse_override(wrong)


def test_override_without_digest_is_pinned_by_what_the_lock_says_it_holds() -> None:
    locked = LockedBase(tag="mine:1", digest=None, pinned_by=PinnedBy.OVERRIDE, config_sha256=OTHER)
    chosen = choose_base(PINNED, known=locked, override="mine:1", locked=True)
    assert (chosen.reference, chosen.digest) == ("mine:1", None)
    with pytest.raises(DigestError):
        choose_base(PINNED, known=locked, override="other:1", locked=True)


def test_lock_comes_back_as_it_was_written(tmp_path: Path) -> None:
    lock = a_lock()
    assert write_lock(tmp_path, lock) == tmp_path / "lock" / "host.json"
    assert read_lock(tmp_path, "host") == lock


def test_wrong_bases_file_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "bases.yaml").write_text(
        "bases:\n  host:\n    build: {tag: 'debian:1', digest: 'sha256:12'}\n"
        "    run: {tag: 'debian:1', digest: null}\n"
    )
    with pytest.raises(ConfigError, match="digest"):
        read_bases(tmp_path)


def test_every_target_with_a_container_has_its_bases() -> None:
    root = checkout_root()
    assert root is not None
    bases = read_bases(root / "images").bases
    targets = read_configs(root / "configs").devices.targets
    assert {name for name, target in targets.items() if target.container} == set(bases)
    for stages in bases.values():
        for base in (stages.build, stages.run):
            assert not base.tag.endswith((":latest", "-slim:")), "a tag must be dated or versioned"


@pytest.mark.parametrize(
    ("said", "is_hinted"),
    [
        (
            "failed to set up container networking: ... Unable to enable DIRECT ACCESS FILTERING - "
            "DROP rule: (iptables failed: iptables --wait -t raw -A PREROUTING ...: can't "
            "initialize iptables table `raw': Table does not exist)",
            True,
        ),
        ("The command '/bin/sh -c make' returned a non-zero code: 2", False),
    ],
)
def test_a_build_that_cannot_bridge_says_what_to_do(said: str, is_hinted: bool) -> None:
    job = BuildJob(entries=[], tag="t:1", arguments={}, labels={})
    engine = cast("DockerEngine", SimpleNamespace(host="unix:///x"))
    assert ("--build-network host" in build_error(engine, job, said).hint) is is_hinted
    tried = replace(job, network="host")
    assert build_error(engine, tried, said).hint == ""
