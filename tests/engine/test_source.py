from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from edgemoe_appliance.engine import source as source_module
from edgemoe_appliance.engine.source import PreparedSource, choose_pin, prepare_source
from edgemoe_appliance.engine.tools import ToolResult, run_tool
from edgemoe_appliance.engine.tree import is_work, tree_digest
from edgemoe_appliance.errors import ConfigError, DigestError, HostError
from edgemoe_appliance.schema.configs import (
    DirectorySource,
    EnginesConfig,
    EngineSource,
    GitSource,
    Pin,
    SdistSource,
    number_in_name,
)
from tests.engine.small_source import write_small_source

PACKAGE, VERSION = "small-llama", "1.0"

BACKEND = """\
from pathlib import Path
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = Path(folder) / "small_llama-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: small-llama\\nVersion: 1.0\\n")
    return info.name
"""
PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_small_source(tmp_path / "upstream")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def git_pin(tree: Path) -> GitSource:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (
        ["init", "-q"],
        ["add", "."],
        [*identity, "commit", "-q", "-m", "first"],
        [*identity, "commit", "-q", "--allow-empty", "-m", "later"],
    ):
        subprocess.run(["git", "-C", str(tree), *command], check=True)
    first = ["git", "-C", str(tree), "rev-parse", "HEAD~1"]
    commit = subprocess.run(first, check=True, capture_output=True, text=True).stdout.strip()
    return GitSource(kind="git", repository=tree.as_uri(), commit=commit)


@pytest.fixture
def index(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from, through the user's own settings."""
    root = tmp_path / f"small_llama-{VERSION}"
    shutil.copytree(tree, root / "vendor" / "llama.cpp")
    (root / "backend.py").write_text(BACKEND)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: small-llama\nVersion: 1.0\n")
    folder = tmp_path / "index"
    folder.mkdir()
    with tarfile.open(folder / f"small_llama-{VERSION}.tar.gz", "w:gz") as tar:
        tar.add(root, root.name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def sdist_pin(index: Path, sha256: str | None = None) -> SdistSource:
    archive = next(index.glob("*.tar.gz"))
    return SdistSource(
        kind="sdist",
        package=PACKAGE,
        version=VERSION,
        sha256=sha256 or hashlib.sha256(archive.read_bytes()).hexdigest(),
        subdirectory="vendor/llama.cpp",
    )


def directory_pin(folder: Path) -> DirectorySource:
    return DirectorySource(kind="directory", path=str(folder))


def prepare(source: EngineSource, cache: Path) -> PreparedSource:
    return prepare_source("b1", Pin(source=source, note=""), cache, why="asked for")


def engines(default: EngineSource, fallback: EngineSource) -> EnginesConfig:
    pins = {"b1": Pin(source=default, note=""), "b2": Pin(source=fallback, note="")}
    return EnginesConfig(default="b1", fallback="b2", pins=pins)


def left_in(cache: Path) -> list[str]:
    return sorted(p.name for p in (cache / "sources").iterdir() if not p.name.endswith(".lock"))


def test_a_folder_is_used_as_it_lies(tree: Path, cache: Path) -> None:
    prepared = prepare(directory_pin(tree), cache)
    assert prepared.folder == tree
    assert prepared.sha256 == tree_digest(tree, is_work(tree))
    assert not cache.exists()


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_that_is_no_llama_cpp(tmp_path: Path, cache: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"not a llama\.cpp source tree"):
        prepare(directory_pin(tmp_path / name), cache)


def test_exactly_the_pinned_commit_is_fetched(git_pin: GitSource, tree: Path, cache: Path) -> None:
    prepared = prepare(git_pin, cache)
    assert prepared.sha256 == tree_digest(tree)
    assert not (prepared.folder / ".git").exists()
    assert os.access(prepared.folder, os.R_OK)


def test_a_source_in_the_cache_needs_no_network(
    git_pin: GitSource, tree: Path, cache: Path
) -> None:
    first = prepare(git_pin, cache)
    shutil.rmtree(tree)
    assert prepare(git_pin, cache) == first


def test_a_caller_s_repository_is_not_touched(
    git_pin: GitSource, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As inside a git hook, where GIT_DIR and others are set."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "callers.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "callers.index"))
    prepare(git_pin, cache)
    assert not (tmp_path / "callers.git").exists()
    assert not (tmp_path / "callers.index").exists()


def test_a_commit_that_is_not_there(git_pin: GitSource, cache: Path) -> None:
    missing = git_pin.model_copy(update={"commit": "0" * 40})
    with pytest.raises(HostError, match="could not be fetched"):
        prepare(missing, cache)
    assert left_in(cache) == []


def test_another_commit_than_pinned_is_refused(
    git_pin: GitSource, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(argv: list[str], **options: object) -> ToolResult:
        if "rev-parse" in argv:
            return ToolResult(exit_code=0, timed_out=False, lines=("f" * 40,))
        return run_tool(argv, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(source_module, "run_tool", lying)
    with pytest.raises(DigestError, match="instead of commit"):
        prepare(git_pin, cache)
    assert left_in(cache) == []


def commits(tree: Path) -> tuple[str, str]:
    """Return the second and the first commit of the test's repository."""
    shown = subprocess.run(
        ["git", "-C", str(tree), "rev-list", "HEAD"], check=True, capture_output=True, text=True
    )
    later, first = shown.stdout.split()
    return later, first


@pytest.mark.parametrize("name", ["b4404", "annotated", "8", "12", "39"])
def test_a_name_is_resolved_and_the_commit_recorded(
    git_pin: GitSource, tree: Path, cache: Path, name: str
) -> None:
    """A tag, light or annotated, and the beginning of a commit: that of no tag among them."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for arguments in (("b4404",), ("-a", "-m", "x", "annotated")):
        subprocess.run(
            ["git", "-C", str(tree), *identity, "tag", *arguments, git_pin.commit], check=True
        )
    later, first = commits(tree)
    wanted = later if name.isdigit() else first
    asked = wanted[: int(name)] if name.isdigit() else name
    prepared = prepare(git_pin.model_copy(update={"commit": asked}), cache)
    assert isinstance(prepared.source, GitSource)
    assert prepared.source.commit == wanted
    assert f"{asked} is commit {wanted}" in prepared.why
    # The second time it is what it was the first time, even where the tag has moved.
    subprocess.run(["git", "-C", str(tree), "tag", "-f", "b4404", later], check=True)
    assert prepare(git_pin.model_copy(update={"commit": asked}), cache) == prepared
    assert sorted(path.name for path in prepared.folder.parent.iterdir()) == ["source.json", "tree"]


def test_a_commit_that_is_in_no_ref_is_found_by_its_beginning(
    git_pin: GitSource, tree: Path, cache: Path
) -> None:
    _, first = commits(tree)
    prepared = prepare(git_pin.model_copy(update={"commit": first[:9]}), cache)
    assert isinstance(prepared.source, GitSource)
    assert prepared.source.commit == first


@pytest.mark.parametrize("name", ["b9999", "0000000", "fedcba98765"])
def test_a_name_that_is_nothing_there(git_pin: GitSource, cache: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is no tag, branch or commit there"):
        prepare(git_pin.model_copy(update={"commit": name}), cache)
    assert left_in(cache) == []


class TestBuildNumber:
    """llama.cpp's own count of commits: declared, in the name, or counted where that is cheap."""

    def test_a_whole_repository_of_this_machine_is_counted(
        self, git_pin: GitSource, tree: Path, cache: Path
    ) -> None:
        numbers = []
        for commit in commits(tree):
            pin = Pin(source=git_pin.model_copy(update={"commit": commit}), note="")
            numbers.append(prepare_source("mine", pin, cache, why="").build_number)
            again = prepare_source("mine", pin, cache, why="")
            assert again.build_number == numbers[-1], "kept with the source"
        assert numbers == [2, 1]

    def test_what_is_declared_or_in_the_name_comes_first(
        self, git_pin: GitSource, cache: Path
    ) -> None:
        plain = Pin(source=git_pin, note="")
        assert prepare_source("b4404", plain, cache, why="").build_number == 4404
        declared = plain.model_copy(update={"build_number": 6000})
        assert prepare_source("b4404", declared, cache, why="").build_number == 6000

    def test_a_shallow_repository_is_not_counted(
        self, git_pin: GitSource, tree: Path, cache: Path, tmp_path: Path
    ) -> None:
        clone = ["git", "clone", "-q", "--depth=1", tree.as_uri(), str(tmp_path / "shallow")]
        subprocess.run(clone, check=True)
        later, _ = commits(tree)
        update = {"repository": str(tmp_path / "shallow"), "commit": later}
        pin = Pin(source=git_pin.model_copy(update=update), note="")
        assert prepare_source("mine", pin, cache, why="").build_number is None

    @pytest.mark.parametrize(
        "name", ["b", "b0", "b4404x", "xb4404", "b-1", "aug2025", "b1234567890"]
    )
    def test_names_that_are_no_build_number(self, name: str) -> None:
        assert number_in_name(name) is None


def test_a_whole_commit_is_not_told_again(git_pin: GitSource, cache: Path) -> None:
    assert "is commit" not in prepare(git_pin, cache).why


@pytest.mark.parametrize("name", ["-x", "a b", "--upload-pack=x", "", "a", "x;y"])
def test_what_is_no_name_of_a_commit(name: str) -> None:
    with pytest.raises(ValidationError):
        GitSource(kind="git", repository="https://host/x", commit=name)


def test_work_in_a_checkout_does_not_change_its_digest(tree: Path, cache: Path) -> None:
    before = prepare(directory_pin(tree), cache).sha256
    for name in ("build/bin/llama-cli", "build-cuda/x.o", ".cache/clangd/x", "models/big.gguf"):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not source")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tree / "debug.sock"))
    os.mkfifo(tree / "pipe")
    assert prepare(directory_pin(tree), cache).sha256 == before
    (tree / "ggml" / "build").mkdir()
    (tree / "ggml" / "build" / "new.c").write_text("int x;")
    assert prepare(directory_pin(tree), cache).sha256 != before


def test_a_git_host_that_cannot_be_reached(cache: Path) -> None:
    nobody = GitSource(kind="git", repository="https://127.0.0.1:9/x", commit="0" * 40)
    with pytest.raises(HostError, match=r"https://127.0.0.1:9/x cannot be reached"):
        prepare(nobody, cache)


@pytest.fixture
def silent_host() -> Iterator[str]:
    """A host that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x"


def test_a_git_host_that_hangs(
    silent_host: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_GIT_ANSWER_S", 0.5)
    hanging = GitSource(kind="git", repository=silent_host, commit="0" * 40)
    with pytest.raises(HostError, match="no answer in time"):
        prepare(hanging, cache)


def test_no_git(git_pin: GitSource, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(HostError, match="git is not installed") as caught:
        prepare(git_pin, cache)
    assert "apt-get install git" in caught.value.hint or sys.platform == "darwin"


def test_a_source_distribution_comes_through_pip(index: Path, tree: Path, cache: Path) -> None:
    prepared = prepare(sdist_pin(index), cache)
    assert prepared.sha256 == tree_digest(tree)
    assert sorted(path.name for path in prepared.folder.parent.iterdir()) == ["source.json", "tree"]


def test_another_source_distribution_than_pinned_is_refused(index: Path, cache: Path) -> None:
    seen = sdist_pin(index).sha256
    told = rf"the index offers another small-llama 1\.0: sha256 {seen}, pinned is 0{{64}}"
    with pytest.raises(DigestError, match=told):
        prepare(sdist_pin(index, "0" * 64), cache)
    assert left_in(cache) == []


def test_a_package_that_cannot_be_had(index: Path, cache: Path) -> None:
    absent = sdist_pin(index).model_copy(update={"version": "2.0"})
    with pytest.raises(HostError, match=r"small-llama 2.0 could not be downloaded .*small-llama"):
        prepare(absent, cache)


def test_a_python_without_pip(index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ToolResult(exit_code=1, timed_out=False, lines=("python: No module named pip",))
    monkeypatch.setattr(source_module, "run_tool", lambda *_, **__: told)
    with pytest.raises(HostError, match="has no pip") as caught:
        prepare(sdist_pin(index), cache)
    assert "ensurepip" in caught.value.hint


def test_a_file_that_pip_let_pass_is_checked_again(
    index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(argv: list[str], **_: object) -> ToolResult:
        downloads = Path(argv[-1])
        downloads.mkdir()
        (downloads / "small.tar.gz").write_bytes(b"something else")
        return ToolResult(exit_code=0, timed_out=False, lines=())

    monkeypatch.setattr(source_module, "run_tool", careless)
    with pytest.raises(DigestError, match="pinned is"):
        prepare(sdist_pin(index), cache)
    assert left_in(cache) == []


def test_a_changed_tree_in_the_cache_is_refused(git_pin: GitSource, cache: Path) -> None:
    prepared = prepare(git_pin, cache)
    (prepared.folder / "main.cpp").write_text("int main() {}")
    with pytest.raises(DigestError, match="when it was unpacked") as caught:
        prepare(git_pin, cache)
    assert f"remove {prepared.folder.parent}" in caught.value.hint


@pytest.mark.parametrize("record", [b"", b"{}", b"\xff", None])
def test_a_cache_entry_without_a_good_record_is_refused(
    git_pin: GitSource, cache: Path, record: bytes | None
) -> None:
    path = prepare(git_pin, cache).folder.parent / "source.json"
    path.unlink()
    if record is not None:
        path.write_bytes(record)
    with pytest.raises(DigestError, match="not a source of ours"):
        prepare(git_pin, cache)


def test_leavings_of_a_killed_process_are_removed(git_pin: GitSource, cache: Path) -> None:
    entry = prepare(git_pin, cache).folder.parent
    stale = entry.with_name(f".{entry.name}.partial-abc")
    entry.rename(stale)
    prepare(git_pin, cache)
    assert left_in(cache) == [entry.name]


def test_two_that_want_one_source_get_one(git_pin: GitSource, cache: Path) -> None:
    found: list[PreparedSource] = []
    threads = [
        threading.Thread(target=lambda: found.append(prepare(git_pin, cache))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert len(left_in(cache)) == 1


def test_no_space(git_pin: GitSource, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "_SPACE_BYTES", 10**18)
    with pytest.raises(HostError, match=r"free, .* needed") as caught:
        prepare(git_pin, cache)
    assert caught.value.exit_code == 3


def test_a_disk_that_fills_up_on_the_way(
    git_pin: GitSource, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device", "source.json")

    monkeypatch.setattr(source_module, "write_atomically", full)
    with pytest.raises(HostError, match="No space left on device"):
        prepare(git_pin, cache)
    assert left_in(cache) == []


def test_the_default_is_used_where_it_can_be_had(git_pin: GitSource, cache: Path) -> None:
    chosen = choose_pin(engines(git_pin, directory_pin(cache)), cache)
    assert (chosen.pin, chosen.why) == ("b1", "b1 is the default")


NOBODY = GitSource(kind="git", repository="https://127.0.0.1:9/x", commit="0" * 40)


def test_the_fallback_is_used_where_the_default_cannot_be_reached(tree: Path, cache: Path) -> None:
    chosen = choose_pin(engines(NOBODY, directory_pin(tree)), cache)
    assert chosen.pin == "b2"
    assert chosen.why.startswith(
        "b2 from a local folder, because b1 could not be downloaded: https://127.0.0.1:9/x cannot"
    )
    assert "\n" not in chosen.why


def test_a_pin_that_is_asked_for_never_falls_back(tree: Path, cache: Path) -> None:
    configured = engines(NOBODY, directory_pin(tree))
    with pytest.raises(HostError, match="cannot be reached"):
        choose_pin(configured, cache, "b1")
    assert choose_pin(configured, cache, "b2").why == "b2 was asked for"


def test_a_wrong_digest_never_falls_back(index: Path, tree: Path, cache: Path) -> None:
    configured = engines(sdist_pin(index, "0" * 64), directory_pin(tree))
    with pytest.raises(DigestError):
        choose_pin(configured, cache)


def test_neither_can_be_had(cache: Path) -> None:
    with pytest.raises(HostError, match="was tried because b1 could not be downloaded"):
        choose_pin(engines(NOBODY, NOBODY), cache)


def test_an_unknown_pin(tree: Path, cache: Path) -> None:
    with pytest.raises(ConfigError, match="b1, b2"):
        choose_pin(engines(NOBODY, directory_pin(tree)), cache, "b3")
