"""Writes what the documents take from the code: `python -m tests.tools.documents`."""

from __future__ import annotations

from pathlib import Path

from edgemoe_appliance.schema.metrics import METRICS
from tests.tools.appendix import appendix_blocks

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def documents() -> dict[Path, str]:
    """Return the README and every page of `docs` by path."""
    paths = [README, *sorted((ROOT / "docs").rglob("*.md"))]
    return {path: path.read_text(encoding="utf-8") for path in paths}


def metrics_table() -> str:
    """Return the metric page: what each metric is and where it misleads."""
    lines = [
        "Every figure of a run is one of these. Percentages of processor time are of one core.",
        "",
        "| metric | what | unit | from | resolution | what it does not see |",
        "|---|---|---|---|---|---|",
    ]
    for metric in METRICS.values():
        cells = (
            f"`{metric.key}`",
            metric.title,
            metric.unit.value,
            metric.source,
            metric.resolution,
            metric.blind_spot,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def with_block(text: str, name: str, content: str) -> str:
    """Return a document with the content of one marked block replaced, where it has that block."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    if begin not in text:
        return text
    before, rest = text.split(begin)
    return f"{before}{begin}{content}\n{end}{rest.split(end)[1]}"


def blocks() -> dict[str, str]:
    """Return the content of every generated block by name."""
    return {"metrics": metrics_table(), **appendix_blocks()}


def rendered() -> dict[Path, str]:
    """Return the documents as they should be."""
    found = documents()
    for name, content in blocks().items():
        found = {path: with_block(text, name, content) for path, text in found.items()}
    return found


if __name__ == "__main__":
    for document, text in rendered().items():
        document.write_text(text, encoding="utf-8")
