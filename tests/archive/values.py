"""The values that a kept session gives, under the number that says what they mean.

`python -m tests.archive.values` writes them anew, after SEMANTICS was raised.
"""

from __future__ import annotations

import json
import lzma
import tempfile
from collections.abc import Mapping
from pathlib import Path

from edgemoe_appliance.analysis.semantics import SEMANTICS
from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.derived import DerivedInputs, derive_files
from edgemoe_appliance.archive.facts import read_journal_facts
from edgemoe_appliance.archive.values import has_values
from edgemoe_appliance.schema.plan import read_plan
from tests.archive.sessions import contents, shipped_study

DATA = Path(__file__).parent / "data"
VALUES = DATA / "values.json.xz"
SEMANTICS_HINT = "write the values anew with: python -m tests.archive.values"


def read_values() -> tuple[int, dict[str, bytes]]:
    """Return the number that the values belong to, and the files that hold them."""
    data = json.loads(lzma.decompress(VALUES.read_bytes()))
    return data["semantics"], {name: text.encode() for name, text in data["files"].items()}


def recompute(files: Mapping[str, bytes], folder: Path) -> dict[str, bytes]:
    """Return what has values and follows from the session of an archive."""
    for name in (layout.PLAN, layout.JOURNAL):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    basis = DerivedInputs(
        folder=folder / "session",
        plan=read_plan(folder / layout.PLAN),
        facts=read_journal_facts(folder / layout.JOURNAL),
        study=shipped_study(),
    )
    return {name: data for name, data in derive_files(basis).items() if has_values(name)}


def main() -> None:
    """Write the values anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = folder / "first-records.tar"
        archive.write_bytes(lzma.decompress((DATA / "first-records.tar.xz").read_bytes()))
        files = recompute(contents(archive), folder)
    texts = {name: content.decode() for name, content in sorted(files.items())}
    document = json.dumps({"semantics": SEMANTICS, "files": texts}, indent=0, sort_keys=True)
    VALUES.write_bytes(lzma.compress(document.encode(), preset=9))
    print(f"{VALUES}: {len(texts)} files, semantics {SEMANTICS}")


if __name__ == "__main__":
    main()
