"""Regenerate `changelogs.jsonl` and `changelogs.shots.jsonl` from the Debian changelogs of an installed system.

    python examples/make_changelogs.py [/usr/share/doc] [examples]

Every document is one entry of a package's changelog as it was published. The ground truth comes from the small parser
below (the format is Debian Policy 4.4), never from a model. One entry is taken per source package, the rarer kinds with
more weight, so that no field is constant. The examples for the prompt are of other packages; they were chosen for their
accuracy on documents that are not in the job. The result depends on which packages are installed.
"""

import gzip
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

DOCUMENTS, SEED, LENGTHS = 96, 7, range(150, 3000)
SHOTS = [
    "alsa-topology-conf (1.2.1-2) unstable; urgency=medium",
    "libunistring (0.9.10-4) unstable; urgency=high",
    "gcc-11 (11-20210123-1) experimental; urgency=medium",
    "libde265 (1.0.11-1+deb12u2) bookworm; urgency=medium",
    "xz-utils (5.4.1-1) bookworm-security; urgency=medium",
    "libtasn1-6 (4.16.0-1) experimental; urgency=low",
]

HEAD = re.compile(
    r"(?P<package>[a-z0-9][a-z0-9+.-]*) \((?P<version>[^()\s]+)\) (?P<distribution>[\w-]+); urgency=(?P<urgency>\w+)"
)
FOOT = re.compile(
    r" -- (?P<maintainer>[^<>\"]+) <(?P<email>[^<>\s]+@[^<>\s]+)>  "
    r"(?P<date>\w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4})"
)
URGENCIES = {"low", "medium", "high", "critical", "emergency"}


def parse(entry: str) -> dict | None:
    """The fields of one changelog entry, None where it is not of the plain form."""
    lines = entry.splitlines()
    head, foot = HEAD.fullmatch(lines[0]), FOOT.fullmatch(lines[-1])
    if not head or not foot or head["urgency"] not in URGENCIES:
        return None
    return {
        **head.groupdict(),
        "maintainer": foot["maintainer"],
        "email": foot["email"],
        "date": parsedate_to_datetime(foot["date"]).date().isoformat(),
    }


def entries(changelog: str) -> Iterator[str]:
    """The entries of a changelog: from a line that starts in the first column to the ` -- ` line."""
    entry: list[str] = []
    for line in changelog.splitlines():
        if line[:1].strip():
            entry = []
        entry.append(line.rstrip())
        if line.startswith(" -- "):
            yield "\n".join(entry)


def read(root: Path) -> dict[str, list[tuple[str, dict]]]:
    """Usable entries by source package."""
    found: dict[str, list[tuple[str, dict]]] = {}
    for path in sorted(root.glob("*/changelog.Debian.gz")):
        changelog = gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")
        for text in entries(changelog):
            truth = parse(text)
            if truth is not None and len(text) in LENGTHS and "\ufffd" not in text:
                found.setdefault(truth["package"], []).append((text, truth))
    return found


def pick(found: dict[str, list[tuple[str, dict]]]) -> Iterator[tuple[str, dict]]:
    """One entry per source package, the rarer kinds with more weight."""
    rng = random.Random(SEED)
    common = Counter(kind(truth) for pool in found.values() for _, truth in pool)
    for package in rng.sample(sorted(found), DOCUMENTS):
        yield rng.choices(found[package], [common[kind(truth)] ** -1.1 for _, truth in found[package]])[0]


def kind(truth: dict) -> tuple:
    return truth["distribution"], truth["urgency"]


def write(path: Path, rows: Iterable[tuple[str, dict]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for text, truth in rows:
            row = {"id": f"{truth['package']}_{truth['version']}", "text": text, "truth": truth}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main(root: str = "/usr/share/doc", out: str = str(Path(__file__).parent)) -> None:
    found = read(Path(root))
    by_head = {text.splitlines()[0]: (text, truth) for pool in found.values() for text, truth in pool}
    shots = [by_head[head] for head in SHOTS]
    for _, truth in shots:
        found.pop(truth["package"])
    write(Path(out) / "changelogs.shots.jsonl", shots)
    write(Path(out) / "changelogs.jsonl", pick(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
