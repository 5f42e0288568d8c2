"""Regenerate `changelogs.jsonl` and `changelogs.shots.jsonl` from the Debian changelogs of an installed system.

    python examples/make_changelogs.py [/usr/share/doc] [examples]

Every document is one entry of a package's changelog as it was published. The ground truth comes from the small parser
below (the format is Debian Policy 4.4), never from a model. One entry is taken per source package, the rarer kinds with
more weight, so that no field is constant. The result depends on which packages are installed.
"""

import gzip
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

DOCUMENTS, SHOTS, SEED = 96, 6, 7
LENGTHS, SHOT_LENGTH, MOST_BUGS = range(150, 3000), 420, 5

HEAD = re.compile(
    r"(?P<package>[a-z0-9][a-z0-9+.-]*) \((?P<version>[^()\s]+)\) (?P<distribution>[\w-]+); urgency=(?P<urgency>\w+)"
)
FOOT = re.compile(
    r" -- (?P<maintainer>[^<>\"]+) <(?P<email>[^<>\s]+@[^<>\s]+)>  "
    r"(?P<date>\w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4})"
)
CLOSES = re.compile(r"closes:\s*(?:bug)?#?\s?\d+(?:,\s*(?:bug)?#?\s?\d+)*", re.IGNORECASE)
URGENCIES = {"low", "medium", "high", "critical", "emergency"}


def parse(entry: str) -> dict | None:
    """The fields of one changelog entry, None where it is not of the plain form."""
    lines = entry.splitlines()
    head, foot = HEAD.fullmatch(lines[0]), FOOT.fullmatch(lines[-1])
    if not head or not foot or head["urgency"] not in URGENCIES:
        return None
    bugs = [int(n) for closed in CLOSES.findall(entry) for n in re.findall(r"\d+", closed)]
    return {
        **head.groupdict(),
        "closes": list(dict.fromkeys(bugs)),
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


def usable(truth: dict | None, text: str) -> bool:
    return truth is not None and len(text) in LENGTHS and len(truth["closes"]) <= MOST_BUGS


def read(root: Path) -> dict[str, list[tuple[str, dict]]]:
    """Usable entries by source package."""
    found: dict[str, list[tuple[str, dict]]] = {}
    for path in sorted(root.glob("*/changelog.Debian.gz")):
        changelog = gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")
        for text in entries(changelog):
            truth = parse(text)
            if usable(truth, text) and "\ufffd" not in text:
                found.setdefault(truth["package"], []).append((text, truth))
    return found


def pick(found: dict[str, list[tuple[str, dict]]]) -> list[dict]:
    """One entry per source package, the rarer kinds with more weight."""
    rng = random.Random(SEED)
    common = Counter(kind(truth) for pool in found.values() for _, truth in pool)
    rows = []
    for package in rng.sample(sorted(found), DOCUMENTS + SHOTS):
        text, truth = rng.choices(found[package], [common[kind(truth)] ** -0.7 for _, truth in found[package]])[0]
        rows.append({"id": f"{package}_{truth['version']}", "text": text, "truth": truth})
    return rows


def kind(truth: dict) -> tuple:
    return truth["distribution"], truth["urgency"], len(truth["closes"])


def split(rows: list[dict]) -> tuple[list[dict], list[dict]]:
    """Short examples of different kinds for the prompt, and the documents of the job."""
    shots: dict[tuple, dict] = {}
    for row in rows:
        if len(row["text"]) < SHOT_LENGTH and len(shots) < SHOTS:
            shots.setdefault((len(row["truth"]["closes"]), row["truth"]["urgency"]), row)
    chosen = list(shots.values())
    return chosen, [row for row in rows if row not in chosen]


def main(root: str = "/usr/share/doc", out: str = str(Path(__file__).parent)) -> None:
    shots, documents = split(pick(read(Path(root))))
    for name, part in {"changelogs.shots.jsonl": shots, "changelogs.jsonl": documents}.items():
        with (Path(out) / name).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in part)


if __name__ == "__main__":
    main(*sys.argv[1:])
