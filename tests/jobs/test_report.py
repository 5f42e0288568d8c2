import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmprog.jobs import JobError
from lmprog.jobs.documents import Document
from lmprog.jobs.marks import pieces
from lmprog.jobs.report import LONGEST, doubt, read_pairs, report
from lmprog.jobs.report_figures import Figures, Step, histogram, reliability
from lmprog.visible import visible

from .conftest import Run

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202e{{7*7}}"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TEXT = "𝒳 Acme Ltd, total 12 EUR. " + HOSTILE


def span(text: str, part: str) -> dict[str, Any]:
    start = text.index(part)
    return {"start": start, "end": start + len(part), "text": part}


GOOD: dict[str, Any] = {
    "id": "good",
    "data": {"vendor": "Acme Ltd", "total": 12, "notes": [HOSTILE, None]},
    "error": None,
    "usage": {"prompt_tokens": 90, "output_tokens": 20},
    "confidence": {"/vendor": 0.93, "/total": 0.41, "/notes/0": 0.7, "/notes/1": 0.2},
    "evidence": {"/vendor": span(TEXT, "Acme Ltd"), "/total": span(TEXT, "12"), "/notes/0": span(TEXT, HOSTILE)},
    "abstained": {"/notes/1": "confidence 0.20 is below 0.3"},
    "chunks": 3,
}
BAD: dict[str, Any] = {
    "id": HOSTILE,
    "data": None,
    "error": {"type": HOSTILE, "message": HOSTILE, "input": "{"},
    "usage": None,
}
DOCS = [Document("good", TEXT, {"vendor": "Acme Ltd", "total": 13}), Document(HOSTILE, HOSTILE)]


class Page(HTMLParser):
    """The elements of a page, and the data for its script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text = ""
        self.blocks: list[str] = []
        self.feed(html)
        self.records = json.loads(self.blocks[0])["records"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1] == "script":
            self.blocks.append(data)
        self.text += data


def make(records: list[Any] | None = None, docs: Any = DOCS) -> str:
    rows = [GOOD, BAD] if records is None else records
    return report("out", lambda: zip(rows, docs, strict=True), lambda record, doc: doc and doc.truth)


@given(st.text("ab\n\u202e𝒳", max_size=300), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=6))
def test_pieces_are_the_text_and_say_what_they_are_evidence_for(text: str, starts: list[tuple[int, int]]) -> None:
    spans = sorted(
        (start, start + size, n) for n, (start, size) in enumerate(starts) if size and start + size <= len(text)
    )
    for limit in (300, 50):
        at = 0
        for piece in pieces(text, spans, limit):
            if isinstance(piece, int):
                assert limit < len(text)
                at += piece
                continue
            part, fields = piece
            assert visible(text[at : at + len(part)]) == part
            for place in range(at, at + len(part)):
                assert [n for start, end, n in spans if start <= place < end] == fields
            at += len(part)
        assert len(text) == at


def test_a_long_document_is_shortened_around_its_evidence() -> None:
    text = "x" * 50_000 + "Acme" + "y" * 50_000
    shown = pieces(text, [(50_000, 50_004, 7)], 1000)

    assert ("Acme", [7]) in shown
    assert sum(len(piece[0]) for piece in shown if not isinstance(piece, int)) <= 1500
    assert len(pieces(text, [(0, 100_000, 0)], 1000)[0][0]) <= 1500  # type: ignore[index]


def test_evidence_is_marked_at_its_characters() -> None:
    page = Page(make())
    good = next(record for record in page.records if record["id"] == "good")
    marked = {n: part for part, fields in good["text"] for n in fields}

    assert ["/vendor", "/total", "/notes/0", "/notes/1"] == [field[0] for field in good["fields"]]
    assert {0: "Acme Ltd", 1: "12", 2: visible(HOSTILE)} == marked
    assert visible(TEXT) == "".join(part for part, _ in good["text"])
    assert ["/total", "12", 0.41, "", False, "12", "13", False] == good["fields"][1]
    assert ["confidence 0.20 is below 0.3", True] == good["fields"][3][3:5]
    assert [True, False, None, None] == [field[7] for field in good["fields"]]


def test_nothing_in_the_records_becomes_a_part_of_the_page() -> None:
    html = make()
    page = Page(html)

    assert 2 == page.elements.count("script")
    assert "img" not in page.elements
    assert "\u202e" not in html
    assert "http" not in re.sub(r"<meta http-equiv", "", html)
    assert "content_policy" not in html
    assert "script-src 'sha256-" in html


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_in_a_browser(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(make([GOOD], DOCS[:1]))
    done = opened(page, tmp_path)

    assert "<title>out</title>" in done
    assert '<mark title="/vendor">Acme Ltd</mark>' in done
    assert '<mark title="/total">12</mark>' in done
    assert "withheld: confidence 0.20 is below 0.3" in done
    assert "1 of 1 records" in done
    page.write_text(make())
    assert "<title>out</title>" in opened(page, tmp_path)


def opened(page: Path, profile: Path) -> str:
    assert BROWSER is not None
    flags = "--headless --no-sandbox --disable-gpu --virtual-time-budget=2000"
    command = [BROWSER, *flags.split(), f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_without_documents_the_evidence_is_told() -> None:
    good = next(record for record in Page(make(docs=[None, None])).records if record["id"] == "good")

    assert None is good["text"]
    assert "Acme Ltd" == good["fields"][0][5]


def test_evidence_in_another_document_is_told_with_its_name() -> None:
    record = {**GOOD, "evidence": {"/vendor": {"start": 0, "end": 4, "text": "Acme", "document": "d9"}}}
    (good,) = Page(make([record], DOCS[:1])).records

    assert "d9: Acme" == good["fields"][0][5]
    assert [[visible(TEXT), []]] == good["text"]


def test_evidence_that_is_not_there_is_not_marked() -> None:
    html = make([{**GOOD, "evidence": {"/vendor": {"start": 0, "end": 3, "text": "Acm"}}}], DOCS[:1])

    assert "1 pieces of evidence do not stand where they should" in html
    assert [[visible(TEXT), []]] == Page(html).records[0]["text"]


def test_figures() -> None:
    figures = Figures()
    for record, doc in zip([GOOD, BAD], DOCS, strict=True):
        figures.add(record, doc.truth)

    assert (2, {HOSTILE: 1}) == (figures.records, figures.errors)
    assert [(0.93, True), (0.41, False)] == figures.rated
    notes = figures.fields["/notes/*"]
    assert (2, 1, 1, 1, 2, 0) == (notes.total, notes.empty, notes.abstained, notes.evidence, notes.rated, notes.known)


def test_a_reliability_diagram() -> None:
    rated = [(0.95, True), (0.93, False), (0.3, False), (1.0, True), (0.0, False)]
    steps = reliability(rated)

    assert [Step(0.0, 0.0, 1), Step(0.3, 0.0, 1)] == steps[:2]
    assert [0.96, 2 / 3, 3] == pytest.approx([steps[2].confidence, steps[2].right, steps[2].count])
    assert [] == reliability([])


def test_a_histogram() -> None:
    bars = histogram([0, 0.1, 0.5, 1], 0, 1, 4)

    assert [2, 0, 1, 1] == [bar.count for bar in bars]
    assert [1, 0, 0.5, 0.5] == [bar.height for bar in bars]
    assert [3] == [bar.count for bar in histogram([5, 5, 5], 5, 5, 1)]


def test_doubt() -> None:
    assert 2 == doubt(BAD)
    assert 0.8 == doubt(GOOD)
    plain = {"data": {"a": 1}, "error": None}
    assert 0 == doubt(plain)
    assert 1 == doubt(plain, {"a": 2})
    assert 1 == doubt({**plain, "abstained": {"/a": "why"}})


def test_a_large_job_gives_a_page_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """More records than are shown, all with long documents and many values: the most doubtful ones are there."""
    monkeypatch.setattr("lmprog.jobs.report.MOST", 200)
    monkeypatch.setattr("lmprog.jobs.report.ROOM", 200_000)
    rows = [
        {"id": n, "data": ["v" * 100] * 50, "error": None, "confidence": {"/0": 1 - n / 20_000}} for n in range(300)
    ]
    html = make(rows, [Document(n, "word " * 2000) for n in range(300)])

    assert "100 less doubtful records are not in this page" in html
    assert list(range(100, 300)) == [record["n"] for record in Page(html).records]
    assert len(html) < 4 * 200_000


def test_a_document_is_cut_where_it_is_long() -> None:
    (record,) = Page(make([{**GOOD, "evidence": {}}], [Document("good", "x" * 3 * LONGEST)])).records

    assert [int] == [type(piece) for piece in record["text"] if not isinstance(piece, list)]
    assert 3 * LONGEST == record["size"]


def test_command_line(lmprog: Run, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("\n".join(map(json.dumps, [GOOD, BAD])))
    (tmp_path / "docs.jsonl").write_text("\n".join(json.dumps({"id": d.id, "text": d.text}) for d in DOCS))
    (tmp_path / "truth.jsonl").write_text(json.dumps({"id": "good", "data": {"vendor": "X"}}))
    done = lmprog("report", "out.jsonl", "--docs", "docs.jsonl", "--truth", "truth.jsonl")

    assert 0 == done.returncode, done.stderr
    page = Page((tmp_path / "out.jsonl.html").read_text())
    assert "X" == page.records[0]["fields"][0][6]


def test_other_documents_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("\n".join(map(json.dumps, [GOOD, BAD])))

    with pytest.raises(JobError, match="line 1 is of 'good', the document is 'x'"):
        list(read_pairs(out, lambda: iter([Document("x", "")]))())
    with pytest.raises(JobError, match="line 2 has no document"):
        list(read_pairs(out, lambda: iter([DOCS[0]]))())


def test_the_input_is_found_by_the_job(lmprog: Run, tiny: Path, schema: Path, docs: Path, tmp_path: Path) -> None:
    lmprog("extract", docs, "--schema", schema, "-o", "out.jsonl", "--model", tiny, "--id-field", "text")
    (tmp_path / "elsewhere").mkdir()
    done = lmprog("report", "../out.jsonl", "-o", "page.html", cwd=tmp_path / "elsewhere")

    assert 0 == done.returncode, done.stderr
    records = Page((tmp_path / "elsewhere" / "page.html").read_text()).records
    assert 40 == len(records)
    assert all(record["id"] == "".join(part for part, _ in record["text"]) for record in records if not record["error"])
    docs.write_text("\n".join(docs.read_text().splitlines()[1:]))
    done = lmprog("report", "out.jsonl")
    assert 2 == done.returncode
    assert "name the input of this very job" in done.stderr


def test_without_an_input(lmprog: Run, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text(json.dumps(GOOD))
    done = lmprog("report", "out.jsonl")

    assert 0 == done.returncode
    assert "without texts: name the input as --docs" in done.stderr
