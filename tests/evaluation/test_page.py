"""The page of an evaluation, what it says, and that nothing in it can be made to run."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import lmprog as lp
from lmprog import EvaluationError, gen, program
from lmprog.evaluation import Evaluation
from lmprog.testing import Scripted

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202e{{7*7}}"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name == "src"]

    def handle_data(self, data: str) -> None:
        self.text += data


@program
def echo(p: Any, topic: str) -> str:
    said: str = p(f"<b>{topic}</b>", gen(regex="(?s).*", name="said"))
    if said == "fail":
        raise LookupError(HOSTILE)
    return said


@program
def calls(p: Any, topic: str) -> str:
    def half(of: int) -> float:
        return 1 / of

    made = p("Call: ") or p.tool_call([half])
    return made.text


def result(*answers: str, expected: str = HOSTILE) -> Evaluation:
    data = [{"topic": HOSTILE, "expected": expected} for _ in answers]
    return lp.evaluate(echo, data, ["exact", "f1"], model=Scripted(answers), concurrency=1)


def test_what_it_says(tmp_path: Path) -> None:
    first, second = result(HOSTILE, HOSTILE, "fail", HOSTILE), result("x", HOSTILE, "x", "fail")
    html = first.html(tmp_path / "page.html", against=second)
    page = Page(html)

    assert html == (tmp_path / "page.html").read_text("utf-8")
    assert (2, 0, 2) == (page.tags.count("script"), page.tags.count("img"), page.tags.count("circle"))
    for said in ("+0.500", "exact McNemar", "2 wins, 0 losses, 2 ties", "75.0%", "3 of 4", "The interval holds 0"):
        assert said in page.text, said
    block = html.split('id="rows">')[1].split("</script>")[0]
    rows = json.loads(block)["rows"]
    assert [0, 1, 2, 3] == [row["index"] for row in rows]
    assert "LookupError (run): " in rows[2]["runs"][0][3]
    assert "\u202e" not in html


def test_without_others() -> None:
    page = Page(result("a", "b").html())

    assert ("p = " in page.text, "difference" in page.text) == (False, False)
    with pytest.raises(EvaluationError, match="3 rows, the other 2"):
        result("a", "b", "c").html(against=result("a", "b"))


def test_large_rows_are_shortened() -> None:
    data = [{"topic": "x" * 100_000, "expected": "y"}]
    page = lp.evaluate(echo, data, "exact", model=Scripted(["z"]), concurrency=1).html()

    assert len(page) < 60_000
    assert r"[\u2026]" in page


def test_figures() -> None:
    found = result(HOSTILE, "x", "fail").figures

    assert (2, 3) == (found.valid.part, found.valid.whole)
    assert found.valid.interval == lp.evaluation.statistics.wilson(2, 3)
    assert found.tokens > len(HOSTILE)
    assert 0 < found.p50 <= found.p95
    assert math.isnan(found.executed.value)
    assert math.inf == result("x").figures.tokens
    assert math.isnan(result("fail").figures.p50)


def test_calls_of_tools(tmp_path: Path) -> None:
    answers = ['{"name":"half","arguments":{"of":2}}', '{"name":"half","arguments":{"of":0}}']
    data = [{"topic": "t", "expected": "0.5"}] * 2
    found = lp.evaluate(calls, data, "exact", model=Scripted(answers), concurrency=1)
    found.save(tmp_path / "r.json")

    assert [(1, 1), (1, 0)] == [(row.calls, row.executed) for row in found.rows]
    assert (1, 2) == (found.figures.executed.part, found.figures.executed.whole)
    assert "1 of 2" in found.html()
    assert found.figures == Evaluation.load(tmp_path / "r.json").figures


def test_calls_of_tools_are_kept(tmp_path: Path) -> None:
    def one(of: int) -> float:
        return 1 / of

    @program
    def sure(p: Any, topic: str) -> str:
        return p.tool_call([one], max_tokens=60).text

    with lp.testing.RandomModel(0) as model:
        how: dict[str, Any] = {"model": model, "cache": tmp_path / "c.sqlite"}
        results = [lp.evaluate(sure, [{"topic": t, "expected": ""} for t in "abc"], "exact", **how) for _ in range(2)]

    assert all(row.cached for row in results[1].rows)
    assert (3, 3) == tuple(result.figures.executed.whole for result in results)
    assert results[0].figures == results[1].figures


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_in_a_browser(tmp_path: Path) -> None:
    first, second = result(HOSTILE, HOSTILE, "fail", HOSTILE), result("x", HOSTILE, "x", "fail")
    first.html(tmp_path / "page.html", against=second)
    dom = {show: in_browser(tmp_path / "page.html", show, tmp_path / "profile") for show in ("all", "won", "failed")}

    assert all("<title>owned" not in source and "<img" not in source for source in dom.values())
    counts = {show: source.count('class="record"') for show, source in dom.items()}
    assert {"all": 4, "won": 2, "failed": 2} == counts
    assert "4 of 4 rows" in Page(dom["all"]).text


def in_browser(page: Path, show: str, profile: Path) -> str:
    """The page as it is after its scripts have run."""
    assert BROWSER is not None
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-extensions --no-first-run"
    command = [BROWSER, *flags.split(), f"--user-data-dir={profile}", "--dump-dom", f"{page.as_uri()}#{show}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
