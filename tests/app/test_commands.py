import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgemoe_appliance import __version__
from tests.analysis.journals import Synthetic, write_session
from tests.app.programme import run

COMMAND = [sys.executable, "-c", "from edgemoe_appliance.app import main; main()"]


def test_the_version_is_told() -> None:
    done = subprocess.run([*COMMAND, "--version"], stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, __version__)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("bench", "--target", "toaster"), 2, ("unknown target 'toaster'", "host, jetson")),
        (
            ("bench", "--experiment", "x", "--twins", "tiny", "--force"),
            2,
            ("unknown experiment 'x'",),
        ),
        (("bench", "--twins", "huge"), 2, ("tiny",)),
        (("bench", "--until-precise", "2"), 2, ("no percentage", "2%")),
        (("bench", "--until-precise", "0%"), 2, ("is out of range", "more than 0 %")),
        (("bench", "--until-precise", "2%", "--at-most", "1"), 2, ("is out of range",)),
        (("evaluate", "--sessions", "1.5"), 2, ("'1.5' is not a whole number from 1 to 99",)),
        (("evaluate", "--sessions", "100"), 2, ("'100' is not a whole number from 1 to 99",)),
        (("evaluate", "--minutes", "nan"), 2, ("'nan' is not a number of at least 1",)),
        (("evaluate", "--minutes", "1e999"), 2, ("'1e999' is not a number of at least 1",)),
        (("verify", "cli"), 3, ("cli: is a folder",)),
        (("deposit", "cli"), 3, ("cli: is a folder",)),
        (("kit", "take", "README.md"), 8, ("README.md: is no parcel of a visit: it has",)),
        (("kit", "make", "--python", "2.7"), 2, ("no kit for Python '2.7'", "3.10 or newer")),
        (("kit", "make", "--python", "3.9"), 2, ("no kit for Python '3.9'",)),
        (("models", "quantise", "gemma-2-2b"), 2, ("gemma-2-2b is no model that is made here",)),
        (("bench", "--models", "nope.yaml"), 2, ("nope.yaml: no such file; check its name",)),
        (("kit", "take", "cli"), 2, ("cli: no visit was made there",)),
        (("bench", "--at-most", "5"), 2, ("says nothing without --until-precise",)),
        (("report", "--figures", "svg,gif"), 2, ("'gif'", "svg, png, pdf")),
        (("build", "--pin", "b1"), 2, ("unknown pin 'b1'", "b4404")),
        (("report", "cli"), 7, ("cli: no such session: no session.json is there",)),
        (("report", "README.md"), 2, ("README.md: is a file, not a session",)),
        (("report", "--figures", ""), 2, ("--figures '': no figure is written as ''",)),
        (("report", "--study", ""), 2, ("unknown study ''",)),
        (("report", "--study", "cli"), 2, ("cli: is no folder of a study", "study.yaml")),
        (("verify", "README.md"), 8, ("README.md: is no archive: it has a damaged header",)),
        (("deposit", "README.md"), 8, ("README.md: is no archive: it has a damaged header",)),
        (("compare", "README.md", "README.md"), 8, ("README.md: is no archive: it has",)),
        (("report", "no-such-session"), 7, ("no such session",)),
        (("claims", "no-such-session"), 7, ("no such session",)),
        (("claims", "--show", "c99"), 2, ("'c99': neither a claim nor an audit", "c1 to c47")),
        (("models", "twin", "gpt-5"), 2, ("unknown model 'gpt-5'", "olmoe-1b-7b")),
        (("nonsense",), 2, ("No such command",)),
    ],
)
def test_a_mistake_gets_one_line_and_its_exit_code(
    arguments: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    if done.stderr.startswith("error:"):
        assert done.stderr.count("\n") == 1


def test_a_session_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    assert "edgemoe-appliance demo" in run("claims", "x", EDGEMOE_WORK=str(tmp_path)).stderr
    (tmp_path / "data/raw/night-1").mkdir(parents=True)
    (tmp_path / "data/raw/night-1/session.json").write_text("{}")
    done = run("claims", "x", EDGEMOE_WORK=str(tmp_path))
    assert (done.returncode, "there are night-1\n" in done.stderr) == (7, True)


def test_doctor_prints_one_document() -> None:
    done = run("doctor", "--json")
    document = json.loads(done.stdout)
    assert document["target"] == "host"
    assert {"disk", "memory", "cgroup", "other load"} <= {f["check"] for f in document["findings"]}


def test_doctor_of_another_machine_s_target_fails_and_says_so() -> None:
    done = run("doctor", "--target", "jetson")
    assert done.returncode == 3
    assert "L4T release" in done.stderr


def test_models_that_are_missing_fail_their_verification(tmp_path: Path) -> None:
    done = run("models", "verify", "--json", EDGEMOE_WORK=str(tmp_path))
    assert {finding["verdict"] for finding in json.loads(done.stdout)} == {"missing"}
    assert done.returncode == 3
    assert "4 models missing: olmoe-1b-7b" in done.stderr
    assert "models fetch" in done.stderr


def test_the_help_has_a_first_step_and_no_inner_program() -> None:
    told = run("--help").stdout
    assert "evaluate --kick-the-tires" in told
    assert "│ bench " in told
    assert "│ measure " not in told


def test_models_are_listed_as_one_document() -> None:
    listed = json.loads(run("models", "list", "--json").stdout)
    assert [model["id"] for model in listed][:4] == [
        "olmoe-1b-7b",
        "llama-3.2-1b",
        "qwen2.5-1.5b",
        "gemma-2-2b",
    ]


def test_the_reference_report_needs_no_session(tmp_path: Path) -> None:
    done = run("report", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("models", [("olmoe-1b-7b", "llama-3.2-1b"), ("olmoe-1b-7b",)])
def test_rates_are_set_against_the_baseline_where_it_was_measured(
    tmp_path: Path, models: tuple[str, ...]
) -> None:
    session = write_session(tmp_path, Synthetic(models=models, repetitions=1))
    done = run("report", str(session), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    heads = done.stdout.splitlines()[:2]
    assert ("Llama-3.2-1B" in " ".join(heads)) is ("llama-3.2-1b" in models)
    assert "absent" not in done.stdout


def test_claims_print_one_document_whatever_the_verdicts() -> None:
    done = run("claims", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert set(document) == {"claims", "audits", "causes"}
    assert {"id", "verdict"} <= set(document["claims"][0])
    assert {"id", "verdict", "numbers"} <= set(document["audits"][0])


def test_one_claim_is_told_in_full() -> None:
    done = run("claims", "--show", "c6c")
    assert done.returncode == 0
    assert done.stdout.startswith("c6c  not consistent  (section 4.2)\n")
    assert "c7" not in done.stdout
    assert len(json.loads(run("claims", "--show", "roofline", "--json").stdout)["audits"]) == 10
