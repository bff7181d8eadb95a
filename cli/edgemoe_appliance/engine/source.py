"""llama.cpp sources by pin: obtained, verified, unpacked into the cache, or refused.

Compiles nothing. A source is used only when its digest has just been checked.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.request import url2pathname

from pydantic import ValidationError

from edgemoe_appliance.engine.tools import ToolResult, require_tool, run_tool
from edgemoe_appliance.engine.tree import is_work, tree_digest, unpack_subdirectory
from edgemoe_appliance.errors import ConfigError, DigestError, HostError, host_error
from edgemoe_appliance.schema.base import CountFromOne, Frozen, canonical_json, digest_of
from edgemoe_appliance.schema.choices import unknown_name
from edgemoe_appliance.schema.configs import (
    DirectorySource,
    EnginesConfig,
    EngineSource,
    GitSource,
    Pin,
    SdistSource,
    Sha256,
)
from edgemoe_appliance.schema.files import (
    cache_lock,
    check_disk_space,
    file_sha256,
    write_atomically,
)

# How long a git host may take to say anything at all before the fallback is used.
_GIT_ANSWER_S: Final = 10.0
_DOWNLOAD_S: Final = 1800.0
# Archive, tree and the copy that is built, rounded up.
_SPACE_BYTES: Final = 600_000_000
# `    { LLM_ARCH_OLMOE,  "olmoe"  },` of llama-arch.cpp in b4404 to b11312.
_ARCHITECTURE: Final = re.compile(r'^\s*\{\s*LLM_ARCH_[A-Z0-9_]+,\s*"([^"]+)"\s*\}', re.MULTILINE)
_MARKS: Final = ("CMakeLists.txt", "common/CMakeLists.txt", "ggml/CMakeLists.txt")
_SPACE_HINT = "free some space or use another cache folder"


@dataclass(frozen=True, kw_only=True)
class PreparedSource:
    """A verified source tree; `sha256` is its tree digest, `why` says why this pin is used.

    `build_number` is llama.cpp's count of commits up to there, None where nobody has told it.
    """

    pin: str
    source: EngineSource
    folder: Path
    sha256: str
    build_number: int | None
    why: str


class _SourceRecord(Frozen):
    """source.json beside an unpacked tree: what it was when it was verified.

    `commits` is how many its git counts up to there, None where no whole history was at hand.
    """

    schema_version: Literal[1] = 1
    source: GitSource | SdistSource
    tree_sha256: Sha256
    commits: CountFromOne | None = None


def choose_pin(engines: EnginesConfig, cache: Path, asked: str | None = None) -> PreparedSource:
    """Return the source of the asked-for pin, else of the default one, else of the fallback.

    The fallback is for hosts that cannot reach the default's source; a wrong digest never falls
    back, nor does a pin that was asked for.
    Raises ConfigError for an unknown pin, HostError, DigestError.
    """
    if asked is not None:
        return prepare_source(asked, _pin(engines, asked), cache, why=f"{asked} was asked for")
    default, fallback = engines.default, engines.fallback
    try:
        return prepare_source(
            default, engines.pins[default], cache, why=f"{default} is the default"
        )
    except HostError as error:
        if fallback == default:
            raise
        reason = f"because {default} could not be downloaded: {error.what}"
    kind = engines.pins[fallback].source.kind
    origin = {"git": "git", "sdist": "a source distribution", "directory": "a local folder"}[kind]
    why = f"{fallback} from {origin}, {reason}"
    try:
        return prepare_source(fallback, engines.pins[fallback], cache, why=why)
    except HostError as error:
        raise HostError(
            f"{error.what}; {fallback} was tried {reason}", where=error.where, hint=error.hint
        ) from error


def _pin(engines: EnginesConfig, name: str) -> Pin:
    if name not in engines.pins:
        raise unknown_name("pin", name, engines.pins, "engines.yaml")
    return engines.pins[name]


def prepare_source(name: str, pin: Pin, cache: Path, *, why: str) -> PreparedSource:
    """Return the verified source of one pin, from the cache where it is there.

    Raises HostError where it cannot be had and DigestError where it is another than pinned.
    """
    source = pin.source
    if isinstance(source, DirectorySource):
        folder = Path(source.path).expanduser().resolve()
        _check_marks(folder, ConfigError)
        return PreparedSource(
            pin=name,
            source=source,
            folder=folder,
            sha256=tree_digest(folder, is_work(folder)),
            build_number=pin.build_number,
            why=why,
        )
    entry = cache.resolve() / "sources" / f"{name}-{digest_of(source.model_dump(mode='json'))[:16]}"
    with cache_lock(entry):
        if not entry.is_dir():
            _fill(entry, source)
        record = _verified(entry)
    if isinstance(source, GitSource) and isinstance(record.source, GitSource):
        why += _told_commit(source.commit, record.source.commit)
    return PreparedSource(
        pin=name,
        source=record.source,
        folder=entry / "tree",
        sha256=record.tree_sha256,
        build_number=pin.number_of(name) or record.commits,
        why=why,
    )


def _told_commit(asked: str, commit: str) -> str:
    if asked == commit:
        return ""
    return f" ({asked} is commit {commit}: in engines.yaml that pins it everywhere)"


def _fill(entry: Path, source: GitSource | SdistSource) -> None:
    """Obtain a source under a temporary name and rename it into place."""
    with partial_folder(entry, _SPACE_BYTES) as partial:
        tree = partial / "tree"
        commits = None
        if isinstance(source, GitSource):
            source = _fetch_git(source, tree)
            commits = _count_commits(source)
        else:
            _download_sdist(source, partial, tree)
        _check_marks(tree, DigestError)
        record = _SourceRecord(source=source, tree_sha256=tree_digest(tree), commits=commits)
        text = canonical_json(record.model_dump(mode="json")) + "\n"
        write_atomically(partial / "source.json", text.encode())
        partial.rename(entry)


@contextmanager
def partial_folder(entry: Path, space_bytes: int) -> Iterator[Path]:
    """Give a folder beside `entry` to fill and rename; what is left of it is removed.

    Call it under the entry's lock: older leavings of killed processes are removed too.
    Raises HostError where there is no room or writing fails.
    """
    for stale in entry.parent.glob(f".{entry.name}.partial-*"):
        shutil.rmtree(stale, ignore_errors=True)
    check_disk_space(entry.parent, space_bytes, _SPACE_HINT)
    try:
        partial = Path(tempfile.mkdtemp(prefix=f".{entry.name}.partial-", dir=entry.parent))
        partial.chmod(0o755)  # a container's user reads the cache too
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise HostError(
            f"cannot be written ({error.strerror or error})",
            where=str(error.filename or entry.parent),
            hint=_SPACE_HINT,
        ) from error


def _verified(entry: Path) -> _SourceRecord:
    """Return the record of a cache entry after checking the tree against it."""
    hint = f"remove {entry} and run again"
    try:
        record = _SourceRecord.model_validate_json((entry / "source.json").read_bytes())
        found = tree_digest(entry / "tree")
    except (FileNotFoundError, ValidationError) as error:
        raise DigestError("not a source of ours", where=str(entry), hint=hint) from error
    except OSError as error:  # too many open files, say, is no fault of the source
        raise host_error(error, where=str(entry)) from error
    if found != record.tree_sha256:
        raise DigestError(
            f"tree digest {found[:16]}..., was {record.tree_sha256[:16]}... when it was unpacked",
            where=str(entry),
            hint=hint,
        )
    return record


def _check_marks(tree: Path, error_type: type[ConfigError | DigestError]) -> None:
    for mark in _MARKS:
        if not (tree / mark).is_file():
            raise error_type(f"not a llama.cpp source tree: no {mark}", where=str(tree))


def _fetch_git(source: GitSource, tree: Path) -> GitSource:
    """Fetch exactly one commit, without history, hooks, prompts or the user's filters.

    Returns the source by its whole commit, which a tag or the beginning of a commit is resolved to.
    """
    git = require_tool("git", "git")
    answer = _git(git, "ls-remote", "--quiet", source.repository, "HEAD", timeout_s=_GIT_ANSWER_S)
    _check_git(answer, source, "cannot be reached")
    if not source.is_resolved:
        commit = _resolve(git, source, tree.with_name("history"))
        source = source.model_copy(update={"commit": commit})
    _check_git(_git(git, "init", "--quiet", str(tree)), source, "git init failed")
    fetch = ("fetch", "--quiet", "--depth=1", "--no-tags", source.repository, source.commit)
    _check_git(_git(git, "-C", str(tree), *fetch), source, "could not be fetched from")
    checkout = ("checkout", "--quiet", "--detach", "FETCH_HEAD")
    _check_git(_git(git, "-C", str(tree), *checkout), source, "could not be checked out")
    head = _git(git, "-C", str(tree), "rev-parse", "HEAD").lines
    if head != (source.commit,):
        raise DigestError(
            f"got {' '.join(head)[:60]} instead of commit {source.commit}", where=source.repository
        )
    shutil.rmtree(tree / ".git")
    return source


def _count_commits(source: GitSource) -> int | None:
    """Return how many commits there are up to one, of a repository on this machine that is whole.

    Elsewhere the history would have to be fetched for it.
    """
    git = require_tool("git", "git")
    repository = Path(url2pathname(source.repository.removeprefix("file://")))
    if not repository.is_dir():
        return None
    shallow = _git(git, "-C", str(repository), "rev-parse", "--is-shallow-repository")
    counted = _git(git, "-C", str(repository), "rev-list", "--count", source.commit)
    if shallow.lines != ("false",) or counted.exit_code != 0:
        return None
    return int(counted.lines[0])


def list_commits(repository: Path, old: str, new: str) -> tuple[str, ...]:
    """Return the commits of a local repository from one revision to a later one, both included.

    Of a merge the side that was merged into is followed. Raises ConfigError where a revision is not
    there or `old` is no ancestor of `new` on that side.
    """
    git = require_tool("git", "git")
    ends = []
    for revision in (old, new):
        named = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        told = _git(git, "-C", str(repository), *named, timeout_s=_GIT_ANSWER_S)
        if told.exit_code != 0:
            raise ConfigError(f"has no commit {revision!r}", where=str(repository))
        ends.append(told.lines[0])
    span = ("rev-list", "--reverse", "--first-parent", f"{ends[0]}..{ends[1]}")
    commits = _git(git, "-C", str(repository), *span).lines
    line = _git(git, "-C", str(repository), "rev-list", "--first-parent", ends[1]).lines
    if ends[0] not in line:
        raise ConfigError(
            f"{old} is no ancestor of {new}", where=str(repository), hint="give the older one first"
        )
    return (ends[0], *commits)


def _resolve(git: Path, source: GitSource, history: Path) -> str:
    """Return the commit that a tag, a branch or the beginning of a commit stands for there.

    The tags of llama.cpp name most of its commits; only where none of these begins so, the commits
    without their trees are fetched.
    """
    listed = _git(git, "ls-remote", "--quiet", "--tags", "--heads", source.repository)
    _check_git(listed, source, "cannot be reached")
    refs = {ref: commit for commit, _, ref in (line.partition("\t") for line in listed.lines)}
    for name in ("refs/tags/{}^{{}}", "refs/tags/{}", "refs/heads/{}"):
        commit = refs.get(name.format(source.commit))
        if commit is not None:
            return commit
    found = {commit for commit in refs.values() if commit.startswith(source.commit)}
    if not found and re.fullmatch(r"[0-9a-f]{7,39}", source.commit):
        found = _commits_beginning(git, source, history)
    if len(found) != 1:
        many = f"the beginning of {len(found)} commits" if found else "no tag, branch or commit"
        raise ConfigError(
            f"{source.commit!r} is {many} there",
            where=source.repository,
            hint="write the whole commit into engines.yaml",
        )
    return found.pop()


def _commits_beginning(git: Path, source: GitSource, history: Path) -> set[str]:
    clone = ("clone", "--quiet", "--bare", "--filter=tree:0", source.repository, str(history))
    _check_git(_git(git, *clone), source, "could not be fetched from")
    listed = _git(git, "-C", str(history), "rev-list", "--all")
    _check_git(listed, source, "could not be listed")
    shutil.rmtree(history)
    return {commit for commit in listed.lines if commit.startswith(source.commit)}


def _git(git: Path, *arguments: str, timeout_s: float = _DOWNLOAD_S) -> ToolResult:
    options = {
        "core.hooksPath": os.devnull,
        "core.autocrlf": "false",
        "core.symlinks": "true",
        "core.fsmonitor": "false",
        "credential.helper": "",
        "fetch.recurseSubmodules": "false",
        # git has no time limit of its own: give up where under 1 kB/s comes for 30 s.
        "http.lowSpeedLimit": "1000",
        "http.lowSpeedTime": "30",
        "protocol.ext.allow": "never",
    }
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return run_tool(
        [git, *flags, *arguments], env=_git_environment(os.environ), timeout_s=timeout_s
    )


def _git_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which git asks nobody and sees no repository of the caller."""
    local = (
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_PREFIX",
    )
    kept = {name: value for name, value in base.items() if name not in local}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": "", "LC_ALL": "C"}


def _check_git(result: ToolResult, source: GitSource, what: str) -> None:
    if result.exit_code != 0:
        told = "no answer in time" if result.timed_out else result.last_error
        raise HostError(
            f"{source.repository} {what} ({told})",
            hint="check the network, or name another pin with --pin",
        )


def _download_sdist(source: SdistSource, folder: Path, tree: Path) -> None:
    """Download a source distribution with the user's own pip and index settings, and unpack it."""
    requirements = folder / "requirements.txt"
    requirements.write_text(
        f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n", encoding="utf-8"
    )
    downloads = folder / "downloads"
    # Building is not isolated: pip would look for a build backend elsewhere, only to read the
    # package's metadata; the backend is among our own dependencies.
    options = (
        "--no-deps",
        "--no-binary",
        ":all:",
        "--no-build-isolation",
        "--require-hashes",
        "--no-input",
        "--disable-pip-version-check",
        "--quiet",
        "--progress-bar",
        "off",
    )
    result = run_tool(
        [sys.executable, "-m", "pip", "download", *options, "-r", requirements, "-d", downloads],
        env=os.environ,
        cwd=folder,  # python -m looks for pip in the working folder first
        timeout_s=_DOWNLOAD_S,
    )
    _check_pip(result, source)
    archives = sorted(downloads.iterdir())
    if len(archives) != 1:
        raise HostError(f"pip left {len(archives)} files instead of one archive")
    _check_archive(archives[0], source)
    unpack_subdirectory(archives[0], source.subdirectory, tree)
    shutil.rmtree(downloads)
    requirements.unlink()


def _check_pip(result: ToolResult, source: SdistSource) -> None:
    if result.exit_code == 0:
        return
    text = "\n".join(result.lines)
    name = f"{source.package} {source.version}"
    if "DO NOT MATCH THE HASHES" in text:
        raise DigestError(
            f"the index offers another {name}: {_seen_digest(text)}, pinned is {source.sha256}",
            hint="write the one you trust into engines.yaml",
        )
    if "No module named pip" in text:
        raise HostError(
            f"{name} cannot be downloaded: this Python has no pip",
            hint=f"{sys.executable} -m ensurepip",
        )
    told = "no end in time" if result.timed_out else result.last_error
    raise HostError(
        f"{name} could not be downloaded ({told})", hint="check the network and pip's settings"
    )


def _seen_digest(text: str) -> str:
    """Return the digest that pip was offered, out of its complaint."""
    seen = re.search(r"Got\s+([0-9a-f]{64})", text)
    return f"sha256 {seen[1]}" if seen else "its sha256 is not told"


def _check_archive(archive: Path, source: SdistSource) -> None:
    found = file_sha256(archive)
    if found != source.sha256:
        raise DigestError(f"sha256 is {found}, pinned is {source.sha256}", where=archive.name)


def read_architectures(source: Path) -> frozenset[str]:
    """Read which architectures of models a source tree knows; empty where it does not tell."""
    try:
        text = (source / "src" / "llama-arch.cpp").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    return frozenset(_ARCHITECTURE.findall(text))
