"""A small second study, in a configuration of its own: three models under other names."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from edgemoe_appliance.schema.resources import resource_folder

NAME = "pocket"
FOLDER = Path(__file__).parent / NAME
# The shapes are those of known models, so that twins can be written; the names are not.
SHAPES = {
    "mixture": "olmoe-1b-7b",
    "dense-small": "llama-3.2-1b",
    "dense-large": "qwen2.5-1.5b",
}


def write_root(root: Path) -> Path:
    """Write a configs folder that holds this study and no other, and return it."""
    shipped = resource_folder("configs")
    root.mkdir()
    for name in ("engines.yaml", "devices.yaml", "evaluation.yaml"):
        shutil.copyfile(shipped / name, root / name)
    entries = yaml.safe_load((shipped / "models.yaml").read_text(encoding="utf-8"))["models"]
    models = {name: {**entries[shape], "name": name} for name, shape in SHAPES.items()}
    (root / "models.yaml").write_text(yaml.safe_dump({"models": models}, sort_keys=False))
    shutil.copytree(FOLDER, root / "studies" / NAME)
    return root
