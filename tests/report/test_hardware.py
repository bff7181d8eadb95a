from __future__ import annotations

from pathlib import Path

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.report.hardware import HARDWARE_NAME, render_hardware
from edgemoe_appliance.report.render import render_files
from edgemoe_appliance.schema.hardware import HardwareFacts
from edgemoe_appliance.schema.records import record_line
from edgemoe_appliance.studies import read_study
from tests.analysis.journals import (
    Synthetic,
    build_period,
    build_plan,
    journal_lines,
    unchanged,
    write_lines,
    write_session,
)
from tests.analysis.test_hardware import BARE, BOARD


def session_with(folder: Path, *periods: HardwareFacts) -> Path:
    """Write a session whose journal opens with measuring periods of the given hardware."""
    synthetic = Synthetic()
    plan = build_plan(synthetic)
    opened = [
        record_line(build_period(plan, synthetic).model_copy(update={"hardware": hardware}))
        for hardware in periods
    ]
    return write_lines(folder, plan, [*opened, *journal_lines(plan, synthetic, unchanged)[1:]])


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]


def test_it_says_what_the_machine_said_and_why_not_the_rest(tmp_path: Path) -> None:
    text = render_hardware(load_sessions([session_with(tmp_path / "s", BOARD)]))
    assert "| Board | A board |" in text
    assert "| Power mode | 15W (id 0) |" in text
    text = render_hardware(load_sessions([session_with(tmp_path / "t", BARE)]))
    assert "| Board | not told: no names in /sys |" in text


def test_engines_stand_with_compiler_flags_and_the_digest_of_every_file(tmp_path: Path) -> None:
    loaded = load_sessions([session_with(tmp_path / "s", BOARD)])
    text = render_hardware(loaded)
    for engine in loaded.sessions[0].plan.engines.values():
        assert engine.source_sha256 in text
        assert all(digest in text for digest in engine.files_sha256.values())
        assert all(name.replace("_", "\\_") in text for name in engine.cmake)
        assert "| Compiler |" in text


def test_a_later_period_says_only_what_is_otherwise(tmp_path: Path) -> None:
    warmer = BOARD.model_copy(update={"temps_c": {"tj": 60.0}})
    loaded = load_sessions([session_with(tmp_path / "s", BOARD, BOARD, warmer)])
    text = render_hardware(loaded)
    assert text.count("| Board |") == 1
    assert text.count("All as in measuring period 1.") == 1
    assert text.count("| Temperatures at the start |") == 2
    assert "tj 60.0 °C" in text


def test_text_of_strangers_is_text(tmp_path: Path) -> None:
    mean = BOARD.model_copy(
        update={"device": "</td>|x|\n# h <script>alert(1)</script> [a](b) `c` ![i](j) &amp;"}
    )
    plain = render_hardware(load_sessions([session_with(tmp_path / "s", BOARD)]))
    text = render_hardware(load_sessions([session_with(tmp_path / "t", mean)]))
    assert len(text.splitlines()) == len(plain.splitlines())
    (row,) = [line for line in rows(text) if line.startswith("| Board |")]
    assert "\\<script\\>" in row and "\\[a\\]" in row and "\\|x\\|" in row
    assert "<script" not in text.replace("\\<script", "")


def test_the_report_has_it_beside_the_page_and_in_its_table(tmp_path: Path) -> None:
    loaded = load_sessions([session_with(tmp_path / "s", BOARD)])
    files = render_files(loaded, read_study())
    assert files[HARDWARE_NAME] == render_hardware(loaded).encode()
    assert b"15W (id 0)" in files["tables/hardware.csv"]
    assert HARDWARE_NAME not in render_files(None, read_study())


def test_journals_of_before_say_that_they_are(tmp_path: Path) -> None:
    text = render_hardware(load_sessions([write_session(tmp_path / "s", Synthetic())]))
    assert "not told: the journal is of before this was recorded" in text
