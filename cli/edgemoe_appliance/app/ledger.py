"""`ledger`: which claims held where, from a folder of archives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import say

_group = Commands(help="Which claims held where, from archives.")


def register(app: Commands) -> None:
    """Add the commands."""
    app.add_typer(_group, name="ledger")


@_group.command()
def build(
    folder: Annotated[Path, typer.Argument(help="A folder of archives.")],
    out: Annotated[
        Path | None, typer.Option(help="Where the pages go.  (default: results/ledger)")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a folder that is no ledger.")
    ] = False,
) -> None:
    """Verify every archive, judge them together, and write static pages, JSON and CSV.

    Built again with more archives, it verifies the new ones alone.
    """
    from edgemoe_appliance.archive.about import read_maker
    from edgemoe_appliance.bench.identity import read_identity
    from edgemoe_appliance.bench.paths import default_folders
    from edgemoe_appliance.ledger.build import build_ledger
    from edgemoe_appliance.schema.text import counted

    out = out or default_folders().results / "ledger"
    found = build_ledger(folder, out, read_maker(read_identity()), say, is_forced=force)
    say(
        f"{counted(len(found.entries), 'archive')} in the ledger ({found.verified} verified now, "
        f"{found.known} known), {len(found.refusals)} refused"
    )
    say(f"ledger: {out / 'index.html'}")
