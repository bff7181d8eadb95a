"""Which appliance is at work: its version and, in a checkout, the commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgemoe_appliance import __version__
from edgemoe_appliance.schema.plan import ApplianceIdentity
from edgemoe_appliance.schema.resources import checkout_root

_GIT_TIMEOUT_S = 20


def read_identity() -> ApplianceIdentity:
    """Return the identity; git facts are None outside a checkout or without git."""
    root = checkout_root()
    head = _git(root, "rev-parse", "HEAD") if root else None
    changes = _git(root, "status", "--porcelain", "--untracked-files=no") if root and head else None
    return ApplianceIdentity(
        version=__version__, git_head=head, git_dirty=None if changes is None else bool(changes)
    )


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],  # noqa: S607  (the user's own git)
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()
