"""The page of a run, and that nothing in it can be made to run."""

from __future__ import annotations

import io
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import lmprog as lp
from lmprog import Captures, Run, gen, program, select
from lmprog.events import Retract, Text
from lmprog.show import show
from lmprog.testing import RandomModel, Scripted
from lmprog.view import branches, pieces
from lmprog.visible import inline, token_text, visible

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">{{7*7}}&lt;\"'"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@program(trace=True)
def card(p: Any, topic: str) -> Any:
    kind = p("Topic: ", topic, "\nKind: ", select(["math", "poem"], name="kind"), "\nline ü: ")
    return kind, p(gen(regex="[a-z ]{3,20}é", name="line"), "\nfree: ", gen(max_tokens=6, stop="e"), " end")


@program(trace=True)
def mirror(p: Any) -> Any:
    return p(f"<b>{HOSTILE}</b>", gen(regex=".*", name=HOSTILE), gen(choices=[HOSTILE, HOSTILE[::-1]]))


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@pytest.mark.parametrize("trace", [False, True])
def test_the_pieces_are_the_text(model: RandomModel, trace: bool) -> None:
    run = card.run("cäts", model=model, trace=trace)
    cut = pieces(run)

    assert run.text == "".join(piece.text for piece in cut)
    kinds = {"cached", "computed", "text", "sampled", "forced"} if trace else {"text", "value"}
    assert kinds >= {p.kind for p in cut}
    assert {0, 1, 2} == {piece.hole for piece in cut} - {None}
    seen = {token.span: i for i, token in enumerate(run.tokens) if token.span[0] < token.span[1]}  # the last of each
    assert set(seen.values()) == {piece.token for piece in cut} - {None}


def test_what_was_taken_back_stands_where_it_was(model: RandomModel) -> None:
    run = card.run("cats", model=model)
    events = (*run.trace, Retract(span=(7, 7), removed="one"), Retract(span=(5, 5), removed="two", reason="why"))
    cut = pieces(replace(run, trace=events))

    assert [("one", ""), ("two", "why")] == [(p.text, p.note) for p in cut if p.kind == "retracted"]
    assert run.text[:5] + "onetwo" + run.text[5:] == "".join(piece.text for piece in cut)


def test_branches(model: RandomModel) -> None:
    run = card.run("cats", model=model)
    first, nested = (0, 1), (0, 1, 0, 2)
    events = [
        Text(span=(7, 10), text="one", branch=first),
        Text(span=(10, 12), text="<b", branch=nested),
        Retract(span=(8, 8), removed="ne", branch=first),
        Text(span=(8, 9), text="x", branch=first),
    ]
    run = replace(run, trace=(*run.trace, *events))

    assert {first: "ox", nested: "<b"} == branches(run)
    assert run.text == "".join(piece.text for piece in pieces(run))
    assert "<td>0.1 / 0.2<td><code>&lt;b</code>" in run.html()


def test_messages(model: RandomModel) -> None:
    @program(model=model)
    def chat(p: Any) -> None:
        p.user("Hi")
        with p.assistant():
            p(gen(max_tokens=3))

    assert ["[user]\n", "\n\n[assistant]\n", "\n\n"] == [p.text for p in pieces(chat.run()) if p.kind == "role"]


def test_a_page_needs_nothing_else(model: RandomModel, tmp_path: Path) -> None:
    run = card.run("cats", model=model)
    page = run.html(tmp_path / "run.html")
    parsed = Elements(page)

    assert page == (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert [] == [a for _, attributes in parsed.elements for a in attributes if a in ("src", "href", "onclick")]
    assert len(run.requests) == page.count('class="row"')
    assert len(pieces(run)) == sum(name == "span" and "title" in a for name, a in parsed.elements if a.get("class")) + (
        sum(piece.kind == "text" for piece in pieces(run))
    )
    for capture in run.captures.all():
        assert repr(capture.value) in parsed.text


def test_a_run_without_records_has_no_script(model: RandomModel) -> None:
    page = Elements(card.run("cats", model=model, trace=False).html())

    assert 0 == page.count("script")
    assert "trace=True" in page.text


@pytest.fixture(scope="module")
def hostile() -> Run[Any]:
    return mirror.run(model=Scripted([HOSTILE, HOSTILE]))


def test_text_of_a_model_is_only_text(hostile: Run[Any]) -> None:
    page, fragment = Elements(hostile.html()), Elements(hostile._repr_html_())

    assert (2, 0, 0) == (page.count("script"), page.count("img"), page.count("b"))
    assert (0, 0, 0) == (fragment.count("script"), fragment.count("img"), fragment.count("b"))
    for parsed in (page, fragment):
        assert HOSTILE in parsed.text
        assert [] == [a for _, attributes in parsed.elements for a in attributes if a.startswith("on")]


def test_what_decoders_know_is_shown(model: RandomModel) -> None:
    run = program(lambda p: p("a", gen(regex="[ab]{2}", name="x"))).run(model=model, decoder=lp.ASAp(3), seed=0)
    console = Console(record=True, width=200, file=io.StringIO())
    show(run, console)
    for text in (console.export_text(), Elements(run.html()).text, Elements(run._repr_html_()).text):
        assert f"log Z {run.logZ:.4g}" in text
        assert "bounds of log Z " in text
        assert "acceptance " in text
        assert "bias at most " in text


def test_certificates_are_only_text(hostile: Run[Any]) -> None:
    particles = tuple([lp.Particle(HOSTILE, (1,), 0.5, -math.inf, score=1.0)] * 25)
    known = lp.Certificate(-1.0, (-math.inf, 0.0), 0.0, math.inf, particles=particles, support=(0.5, 0.2, 0.3))
    captures = Captures([replace(capture, certificate=known) for capture in hostile.captures.all()])
    run = replace(hostile, captures=captures)
    for page, scripts in ((Elements(run.html()), 2), (Elements(run._repr_html_()), 0)):
        assert (scripts, 0, 0) == (page.count("script"), page.count("img"), page.count("b"))
        assert [] == [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
        assert page.text.count(HOSTILE) >= 40
        assert "5 more are not shown" in page.text
        assert "document 50 %, model 20 %, none 30 %" in page.text
        assert "-∞ to 0" in page.text


def test_what_cannot_be_seen_is_shown() -> None:
    text = "a\x1b[31m\x00\r\u202eb\n\tc\u200d\x85\udc80"

    assert "a␛[31m␀␍�b\n\tc\u200d��" == visible(text)
    assert "⏎⇥" == inline("\n\t")
    tokens = (b"", b"\xe6\x97", "日".encode(), b"x" * 30, b" a b ", b"  ")
    assert ["‹special›", "‹e6 97›", "日", "x" * 23 + "…", "␣a b␣", "␣␣"] == [token_text(data) for data in tokens]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize("name", ["card", "hostile"])
def test_in_a_browser(name: str, model: RandomModel, hostile: Run[Any], tmp_path: Path) -> None:
    run = hostile if name == "hostile" else card.run("cats", model=model)
    run.html(tmp_path / "run.html")
    source = in_browser(tmp_path / "run.html", "#token-2", tmp_path / "profile")
    dom = Elements(source)

    assert "token 2 of" in dom.text  # the script ran
    assert f"hole {run.requests[run.tokens[2].request].hole}" in dom.text
    assert 0 == dom.count("img")
    assert "<title>owned" not in source
    chosen = [a for _, a in dom.elements if "chosen" in (a.get("class") or "").split()]
    assert {"2"} == {a.get("data-token") for a in chosen}


def in_browser(page: Path, fragment: str, profile: Path) -> str:
    """The page as it is after its scripts have run."""
    assert BROWSER is not None
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-extensions --no-first-run"
    command = [BROWSER, *flags.split(), f"--user-data-dir={profile}", "--dump-dom", f"{page.as_uri()}{fragment}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
