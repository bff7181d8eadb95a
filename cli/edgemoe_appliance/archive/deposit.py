"""What a public repository of data is told of an archive: the record of a deposit, not sent.

The description in the archive (RO-Crate) gives the metadata of InvenioRDM, on which Zenodo and many
repositories of universities run. Source of the fields: InvenioRDM's reference of metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.reading import no_archive, read_file
from edgemoe_appliance.archive.results import Verification, VerificationLevel
from edgemoe_appliance.errors import ConfigError, VerificationError

_DAY_LETTERS = 10


def build_deposit(
    path: Path, verified: Verification, study_title: str | None, creators: Sequence[str]
) -> dict[str, Any]:
    """Return the record of a deposit: metadata of InvenioRDM, and the file with its digest.

    `study_title` is None where the numbers of an archive could not be checked. `creators` are
    people as `Family, Given`, or organisations; the archive itself names nobody.
    Raises VerificationError for an archive that does not verify or could not be checked,
    ConfigError without creators.
    """
    if not verified.is_good:
        if not verified.files:
            raise no_archive(path, verified.mismatches)
        raise VerificationError(
            "does not verify, so it is not described",
            where=str(path),
            hint=f"edgemoe-appliance verify {path} lists what is wrong",
        )
    if study_title is None:
        numbers = next(each for each in verified.levels if each.level is VerificationLevel.NUMBERS)
        raise VerificationError(
            f"is not described: {numbers}",
            where=str(path),
            hint="use the appliance that made it, or a newer one",
        )
    if not all(name.strip(" ,") for name in creators or ("",)):
        raise ConfigError("a deposit names who made it", hint='give --creator "Family, Given"')
    crate = json.loads(b"".join(read_file(path, layout.CRATE)))
    by_id: Mapping[str, dict[str, Any]] = {each["@id"]: each for each in crate["@graph"]}
    root = by_id["./"]
    licence = by_id.get(root.get("license", {}).get("@id", ""), {})
    return {
        "access": {"record": "public", "files": "public"},
        "files": {"enabled": True},
        "metadata": {
            "resource_type": {"id": "dataset"},
            "title": f'Rerun of "{study_title}": session {verified.session}',
            "description": root["description"],
            "publication_date": root["datePublished"][:_DAY_LETTERS],
            "creators": [{"person_or_org": _creator(name)} for name in creators],
            "rights": [{"title": {"en": licence["name"]}}] if "name" in licence else [],
        },
        "to_upload": [
            {"key": path.name, "size": verified.archive_bytes, "sha256": verified.sha256},
        ],
    }


def _creator(name: str) -> dict[str, str]:
    family, comma, given = (part.strip() for part in name.partition(","))
    if not comma:
        return {"type": "organizational", "name": family}
    return {"type": "personal", "family_name": family, "given_name": given}
