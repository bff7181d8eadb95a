"""What the files of an archive say of one another, compared. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.about import About
from edgemoe_appliance.archive.facts import JournalFacts
from edgemoe_appliance.archive.image import belongs_to
from edgemoe_appliance.archive.layout import FileEntry
from edgemoe_appliance.archive.results import Mismatch, MismatchKind
from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.imagelock import ImageLock
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.text import on_one_line

Entries = Mapping[str, FileEntry]
# One document's statement about a file: its digest and, where it gives one, its size.
Stated = Mapping[str, tuple[str, int | None]]


def parse_crate_files(content: bytes) -> dict[str, tuple[str, int | None]]:
    """Return what a crate states of the files in it. Raises RecordError where it is no crate."""
    stated: dict[str, tuple[str, int | None]] = {}
    for entity in _graph(content):
        key = entity.get("@id")
        if entity.get("@type") != "File" or not isinstance(key, str):
            continue
        digest, size = entity.get("sha256"), entity.get("contentSize")
        if not isinstance(digest, str) or not isinstance(size, str) or not size.isdecimal():
            raise RecordError(f"gives no sha256 and size for {on_one_line(key)}")
        if key in stated:
            raise RecordError(f"describes {on_one_line(key)} twice")
        stated[key] = (digest, _as_size(size))
    return stated


def _as_size(text: str) -> int:
    return int(text) if len(text) < 19 else -1


def _graph(content: bytes) -> list[dict[str, Any]]:
    try:
        graph = json.loads(content)["@graph"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise RecordError("is not an RO-Crate: not JSON with an @graph") from error
    if not isinstance(graph, list) or not all(isinstance(entity, dict) for entity in graph):
        raise RecordError("is not an RO-Crate: its @graph is not a list of entities")
    return graph


def check_digests(entries: Entries, documents: Mapping[str, Stated]) -> Iterator[Mismatch]:
    """Yield each file whose size or digest is not what the documents state, and why."""
    for name, entry in entries.items():
        said = [
            f"{document} says {digest}"
            for document, stated in documents.items()
            if name in stated and (digest := stated[name][0]) != entry.sha256
        ]
        if said:
            what = f"sha256 is {entry.sha256}, but {' and '.join(said)}"
            yield Mismatch(file=name, kind=MismatchKind.DIGEST, what=what)
        for document, stated in documents.items():
            size = stated[name][1] if name in stated else None
            if size is not None and size != entry.size:
                what = f"has {entry.size} bytes, but {document} says {size}"
                yield Mismatch(file=name, kind=MismatchKind.DIGEST, what=what)


def check_listed(
    entries: Entries, document: str, stated: Stated, not_listed: Iterable[str]
) -> Iterator[Mismatch]:
    """Yield files that a document lists and the archive lacks, and the other way round."""
    there = set(entries) - set(not_listed)
    for name in sorted(set(stated) - there):
        yield Mismatch(file=name, kind=MismatchKind.FILES, what=f"is missing: {document} lists it")
    for name in sorted(there - set(stated)):
        yield Mismatch(file=name, kind=MismatchKind.FILES, what=f"is not listed in {document}")


def check_files(
    entries: Entries, wanted: Iterable[str], allowed: Iterable[str]
) -> Iterator[Mismatch]:
    """Yield files that an archive of this session must have, and those that it may not have."""
    needed = set(wanted)
    for name in sorted(needed - set(entries)):
        yield Mismatch(file=name, kind=MismatchKind.FILES, what="is missing")
    for name in sorted(set(entries) - needed - set(allowed)):
        what = "is one too many: nothing in an archive of this session has this name"
        yield Mismatch(file=name, kind=MismatchKind.FILES, what=what)


def check_raw_files(entries: Entries, facts: JournalFacts) -> Iterator[Mismatch]:
    """Yield raw files that are not those that the journal recorded."""
    for name, file in facts.raw.items():
        entry = entries.get(layout.SAMPLES + name)
        if entry is not None and (entry.sha256, entry.size) != (file.sha256, file.bytes):
            yield Mismatch(
                file=entry.name,
                kind=MismatchKind.CONTENT,
                what=f"is not the file that {layout.JOURNAL} recorded "
                f"({file.bytes} bytes, sha256 {file.sha256})",
            )


def check_about(about: About, plan: Plan, root: str | None) -> Iterator[Mismatch]:
    """Yield where what the archive says of itself and its plan differ."""
    if about.session != plan.session:
        what = f"session {about.session}, but {layout.PLAN} has {plan.session}"
        yield Mismatch(file=layout.ABOUT, kind=MismatchKind.CONTENT, what=what)
    if root != plan.session:
        what = f"session {plan.session}, but the folder of the archive is {root}"
        yield Mismatch(file=layout.PLAN, kind=MismatchKind.CONTENT, what=what)


def check_plan(plan: Plan, facts: JournalFacts) -> Iterator[Mismatch]:
    """Yield where plan and journal do not belong together."""
    digest = plan.digest
    for number, period in enumerate(facts.periods, start=1):
        if period.record.plan_digest != digest:
            what = (
                f"has digest {digest}; measuring period {number} of {layout.JOURNAL} names another"
            )
            yield Mismatch(file=layout.PLAN, kind=MismatchKind.CONTENT, what=what)


def check_image(plan: Plan, facts: JournalFacts, lock: ImageLock | None) -> Iterator[Mismatch]:
    """Yield where runs, plan and lock name different images."""
    for image in facts.images:
        if image != plan.image:
            what = f"a run names the image {image}, but {layout.PLAN} has {plan.image}"
            yield Mismatch(file=layout.JOURNAL, kind=MismatchKind.IMAGE, what=what)
    if lock is not None and not belongs_to(lock, plan):
        what = f"locks the image {lock.image.config_sha256}, but {layout.PLAN} has {plan.image}"
        yield Mismatch(file=layout.LOCK, kind=MismatchKind.IMAGE, what=what)
