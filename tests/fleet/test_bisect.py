"""Where a number moved, found by halving."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgemoe_appliance.analysis.claims import Number, Verdict
from edgemoe_appliance.analysis.claims.estimates import Basis
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.fleet.bisect import (
    USUAL_MARGIN,
    Bisection,
    Move,
    PinReading,
    bisect,
    check_pins,
    margin_of,
    pins_document,
    pins_of_commits,
    read_sdists,
    with_known_numbers,
)
from edgemoe_appliance.fleet.hub import FleetJournal
from edgemoe_appliance.schema.configs import Catalogue, SdistSource, read_configs
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import read_study
from tests.app.programme import run
from tests.fleet.engines import write_history

_REPOSITORY = Path(__file__).resolve().parents[2]


def reading(pin: str, value: float, width: float | None = 0.001) -> PinReading:
    number = Number(
        key="rate",
        label="rate, A / B",
        unit="ratio",
        value=value,
        low=None if width is None else value - width,
        high=None if width is None else value + width,
        basis=Basis.INTERVAL,
    )
    return PinReading(pin=pin, number=number, verdict=Verdict.NOT_TESTED)


def search(values: list[float], margin: float = 0.05, width: float = 0.001) -> Bisection:
    pins = [f"b{number}" for number in range(len(values))]
    read = {pin: reading(pin, value, width) for pin, value in zip(pins, values, strict=True)}
    return bisect(pins, read.__getitem__, margin, lambda *_: None)


@pytest.mark.parametrize("where", range(1, 16))
def test_the_place_is_found_wherever_it_is_in_few_steps(where: int) -> None:
    found = search([0.9] * where + [0.7] * (16 - where))
    assert (found.last_same, found.first_moved) == (f"b{where - 1}", f"b{where}")
    assert len(found.steps) <= 6


def test_without_a_move_two_readings_are_enough() -> None:
    found = search([0.90, 0.5, 0.91])
    assert (found.first_moved, len(found.steps)) == (None, 2)
    assert found.why == "no move beyond 5.0% between b0 and b2"


def test_a_rise_is_a_move_too() -> None:
    assert search([0.7, 0.7, 0.9]).first_moved == "b2"


@pytest.mark.parametrize(
    ("value", "width", "move"),
    [
        (0.70, 0.001, Move.SAME),
        (0.73, 0.001, Move.SAME),
        (0.73, 0.02, Move.OPEN),
        (0.60, 0.02, Move.MOVED),
        (0.67, 0.02, Move.OPEN),
        (0.10, None, Move.OPEN),
    ],
)
def test_a_step_counts_only_with_its_whole_interval(value: float, width: float, move: Move) -> None:
    assert reading("b", value, width).move_from(reading("a", 0.70), 0.05) is move


def test_the_first_readings_interval_counts_as_well() -> None:
    sharp, wide = (reading("a", 0.70, width) for width in (0.001, 0.05))
    assert reading("b", 0.65, 0.001).move_from(sharp, 0.05) is Move.MOVED
    assert reading("b", 0.65, 0.001).move_from(wide, 0.05) is Move.OPEN


def test_a_step_that_decides_nothing_ends_the_search() -> None:
    found = search([0.9, 0.9, 0.86, 0.7, 0.7], width=0.02)
    assert found.first_moved is None
    assert found.why.startswith("b2 leaves it open")


def test_two_ends_that_cannot_be_told_apart_are_no_answer() -> None:
    found = search([0.9, 0.9, 0.86], width=0.02)
    assert (found.first_moved, len(found.steps)) == (None, 2)
    assert found.why.startswith("b2 leaves it open")


@pytest.mark.parametrize("pins", [[], ["a"], ["a", "a"], ["a", "b", "a"]])
def test_two_different_pins_are_needed(pins: list[str]) -> None:
    with pytest.raises(ConfigError, match="at least two pins"):
        check_pins(pins, "ab")


def test_a_pin_that_nobody_knows_is_named_before_anything_is_measured() -> None:
    with pytest.raises(ConfigError, match="unknown pin 'b4474'; did you mean b4447"):
        check_pins(["b4404", "b4474"], ["b4404", "b4447"])


def test_a_source_distribution_that_is_a_known_pin_has_its_build_number(tmp_path: Path) -> None:
    known = read_study("moe-edge").configs.engines.pins
    file = tmp_path / "sdists.txt"
    source = known["b5763"].source
    assert isinstance(source, SdistSource)
    lines = [f"{source.package}=={source.version} --hash=sha256:{source.sha256}"]
    file.write_text("\n".join([*lines, f"{source.package}==9.9 --hash=sha256:{'a' * 64}"]))
    found = with_known_numbers(read_sdists(file), known)
    assert [pin.build_number for pin in found.values()] == [5763, None]


def test_the_margin_is_the_claims_own() -> None:
    study = read_study("moe-edge")
    assert margin_of(study, "c1") == pytest.approx(0.05 / 0.9)
    assert margin_of(study, "c3") == USUAL_MARGIN
    with pytest.raises(ConfigError, match="unknown claim 'c99'"):
        margin_of(study, "c99")


def test_source_distributions_are_pins_in_the_order_of_their_file(tmp_path: Path) -> None:
    file = tmp_path / "sdists.txt"
    digests = ["a" * 64, "b" * 64]
    lines = [f"llama-cpp-python==0.3.{n} --hash=sha256:{d}" for n, d in enumerate(digests)]
    file.write_text("\n".join(["# from old to new", "", *lines]) + "\n")
    pins = read_sdists(file)
    assert list(pins) == ["llama-cpp-python-0.3.0", "llama-cpp-python-0.3.1"]
    own = tmp_path / "engines.yaml"
    own.write_bytes(pins_document(pins))
    configs = read_configs(resource_folder("configs"), Catalogue(engines=(own,)))
    assert configs.pin("llama-cpp-python-0.3.1") == pins["llama-cpp-python-0.3.1"]
    file.write_text("llama-cpp-python>=0.3\n")
    with pytest.raises(ConfigError, match=r"sdists\.txt:1: is no source distribution"):
        read_sdists(file)


def test_commits_of_a_local_git_are_pins_from_old_to_new(tmp_path: Path) -> None:
    commits = write_history(tmp_path / "git", [90, 80, 70])
    pins = pins_of_commits(tmp_path / "git", "HEAD~2", "HEAD")
    assert list(pins) == [f"commit-{commit[:12]}" for commit in commits]
    for old, new in (("HEAD", "HEAD~2"), ("HEAD", "nowhere"), ("--all", "HEAD")):
        with pytest.raises(ConfigError):
            pins_of_commits(tmp_path / "git", old, new)


@pytest.mark.slow
def test_the_commit_is_found_where_an_engine_became_slower(tmp_path: Path) -> None:
    """Fetched, built, measured, archived, verified and read for each step; then asked again."""
    commits = write_history(tmp_path / "git", [90, 70])
    program = tmp_path / "edgemoe-appliance"
    program.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={_REPOSITORY}/cli\n"
        f'exec {sys.executable} -c "from edgemoe_appliance.app.main import main; main()" "$@"\n'
    )
    program.chmod(0o755)
    (tmp_path / "boards.yaml").write_text(f"boards:\n  here: {{command: {program}}}\n")
    words = ["c1", "--git", str(tmp_path / "git"), "--old", commits[0], "--new", commits[-1]]
    words += [f"--argument=--{each}" for each in ("twins=tiny", "experiment=demo_length", "force")]
    cache = str(tmp_path / "cache")

    def search() -> str:
        ended = run("fleet", "bisect", *words, EDGEMOE_WORK=str(tmp_path), EDGEMOE_CACHE=cache)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    told = search()
    names = [f"commit-{commit[:12]}" for commit in commits]
    assert told.splitlines()[-1] == f"moved between {names[0]} and {names[1]}"
    journal = FleetJournal(tmp_path / "data" / "fleets" / "bisect-here").path
    before = journal.read_bytes()
    assert search() == told
    assert journal.read_bytes() == before, "nothing is measured again"
