"""What every benchmark prints and appends to docs/benchmarks.md: a Markdown table with the machine and the versions."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def machine(threads: int) -> str:
    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {threads} of {len(names)} cores"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def versions(*packages: str) -> str:
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} absent")
    return ", ".join([f"Python {platform.python_version()}", *found])


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def report(title: str, setting: str, body: str, write: bool) -> None:
    """Print a result; with `write`, append it to docs/benchmarks.md too."""
    text = f"\n## {title}, {datetime.now(UTC):%Y-%m-%d}\n\n{setting}\n\n{body}\n"
    print(text)
    if write:
        with DOCS.open("a", encoding="utf-8") as file:
            file.write(text)
