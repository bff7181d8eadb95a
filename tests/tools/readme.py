"""Writes the parts of the README that follow from the code: `python -m tests.tools.readme`."""

from __future__ import annotations

from pathlib import Path

from edgemoe_appliance.schema.metrics import METRICS
from tests.tools.appendix import appendix_blocks

README = Path(__file__).resolve().parents[2] / "README.md"


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
    """Return the README with the content of one marked block replaced."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    before, rest = text.split(begin)
    return f"{before}{begin}{content}\n{end}{rest.split(end)[1]}"


def rendered(text: str) -> str:
    """Return the README as it should be."""
    for name, content in {"metrics": metrics_table(), **appendix_blocks()}.items():
        text = with_block(text, name, content)
    return text


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
