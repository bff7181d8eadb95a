"""Small synthetic sessions with raw files, their archives, and archives that were tampered with.

Nothing here was measured: see `tests.analysis.journals`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.about import Maker, read_maker
from edgemoe_appliance.archive.bundle import ArchiveReceipt, ArchiveRequest, write_archive
from edgemoe_appliance.archive.layout import FileEntry, build_manifest, json_bytes
from edgemoe_appliance.archive.tarball import Member, TarReader, TarWriter
from edgemoe_appliance.schema.journal import SAMPLES_FOLDER
from edgemoe_appliance.schema.plan import ApplianceIdentity, RunSpec
from edgemoe_appliance.schema.records import SampleFile
from edgemoe_appliance.studies import Study, read_study
from tests.analysis.journals import Synthetic, write_session

SMALL = Synthetic(
    session="small",
    models=("olmoe-1b-7b", "llama-3.2-1b"),
    prompts=("prompt-01", "prompt-02"),
    length_prompts=("length-short",),
    repetitions=2,
)
IDENTITY = ApplianceIdentity(version="0.1.0", git_head="a" * 40, git_dirty=False)


@cache
def shipped_study() -> Study:
    return read_study()


@cache
def maker() -> Maker:
    return read_maker(IDENTITY)


def raw_content(spec: RunSpec) -> bytes:
    return gzip.compress(json.dumps({"run_id": spec.id}).encode(), mtime=0)


def with_samples(_: int, spec: RunSpec) -> Mapping[str, Any]:
    content = raw_content(spec)
    digest = hashlib.sha256(content).hexdigest()
    name = f"{spec.id}-1.json.gz"
    return {"samples": SampleFile(name=name, sha256=digest, bytes=len(content))}


def write_small_session(root: Path, synthetic: Synthetic = SMALL) -> Path:
    """Write a session whose runs all have a raw file, and return its folder."""
    folder = write_session(root, synthetic, with_samples)
    samples = folder / SAMPLES_FOLDER
    samples.mkdir()
    for spec in specs_of(folder):
        (samples / f"{spec.id}-1.json.gz").write_bytes(raw_content(spec))
    return folder


def specs_of(folder: Path) -> list[RunSpec]:
    data = json.loads((folder / "session.json").read_text())
    return [RunSpec.model_validate(run) for run in data["runs"]]


def request(folder: Path, out: Path, **more: Any) -> ArchiveRequest:
    images = more.pop("images", folder.parent / "images")
    study = more.pop("study", None) or shipped_study()
    return ArchiveRequest(folder=folder, study=study, images=images, out=out, maker=maker(), **more)


def archive(folder: Path, out: Path, **more: Any) -> ArchiveReceipt:
    return write_archive(request(folder, out, **more))


def contents(path: Path) -> dict[str, bytes]:
    """Return the files of an archive by the name inside its folder."""
    data = path.read_bytes()
    reader = TarReader(io.BytesIO(data), len(data))
    return {member.name.partition("/")[2]: b"".join(reader.chunks()) for member in reader.members()}


def pack(files: Mapping[str, bytes], out: Path, root: str = "small") -> Path:
    """Write files as an archive, in the order that archives have."""
    last = [name for name in (layout.CRATE, layout.MANIFEST) if name in files]
    with out.open("wb") as file:
        writer = TarWriter(file)
        for name in [*sorted(set(files) - set(last)), *last]:
            member = Member(name=f"{root}/{name}", size=len(files[name]))
            writer.add(member, [files[name]])
        writer.finish()
    return out


def with_digests(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return files whose description and manifest an attacker has brought into line."""
    changed = {name: data for name, data in files.items() if name != layout.MANIFEST}
    crate = json.loads(changed.pop(layout.CRATE))
    described = {entity["@id"]: entity for entity in crate["@graph"]}
    for name in [key for key, entity in described.items() if entity["@type"] == "File"]:
        if name not in changed:
            crate["@graph"].remove(described[name])
            described["./"]["hasPart"].remove({"@id": name})
    for name, data in changed.items():
        if name not in described:
            described[name] = {"@id": name, "@type": "File"}
            crate["@graph"].append(described[name])
            described["./"]["hasPart"].append({"@id": name})
        described[name]["sha256"] = hashlib.sha256(data).hexdigest()
        described[name]["contentSize"] = str(len(data))
    changed[layout.CRATE] = json_bytes(crate)
    entries = [
        FileEntry(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in changed.items()
    ]
    return {**changed, layout.MANIFEST: build_manifest(entries)}
