"""Runs in files, and what the command line says of them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lmprog as lp
from lmprog import Captures, Run, RunError, Sample, gen, program, select
from lmprog.cli import app
from lmprog.testing import RandomModel


@dataclass
class Pair:
    left: int
    right: bytes


@program(trace=True)
def card(p: Any) -> Any:
    kind = p("Thema:\nKind: ", select(["math", "poem"], name="kind"), "\n")
    return {"kind": kind, "pair": Pair(p("é", gen(regex="[ab]{9}é|日", name="é")), b"\xff"), "self": p}


@pytest.fixture(scope="module")
def run(model: RandomModel) -> Run[Any]:
    return card.run(model=model, decoder=Sample(), seed=5)


@pytest.fixture
def saved(run: Run[Any], tmp_path: Path) -> Path:
    run.save(tmp_path / "run.json")
    return tmp_path / "run.json"


def test_a_run_comes_back(run: Run[Any], saved: Path) -> None:
    back = Run.load(saved)

    for name in ("text", "usage", "trace", "requests", "messages"):
        assert getattr(run, name) == getattr(back, name), name
    assert run.captures.all() == back.captures.all()
    assert repr(run.tokens) == repr(back.tokens)  # nan is not equal to itself
    assert run.value["kind"] == back.value["kind"]
    assert run.value["pair"].left == back.value["pair"]["left"]
    assert run.html()[-500:] == back.html()[-500:]


def test_it_is_read_by_people_and_by_other_programs(run: Run[Any], saved: Path) -> None:
    lines = saved.read_text(encoding="utf-8").splitlines()
    data = json.loads(saved.read_text(encoding="utf-8"))

    assert '{"format": "lmprog run",' == lines[0]
    assert len(run.tokens) == len(data["tokens"])
    assert len(lines) == 8 + 6 * 2 + sum(
        len(data[key]) for key in ("captures", "trace", "requests", "tokens", "causes", "verdicts")
    )
    assert run.tokens[0].data.decode() == data["tokens"][0]["data"]


DECODERS = [
    lp.ASAp(2),
    lp.Rejection(),
    lp.SMC(3, bounds=True),
    lp.SMC(3, lambda x: 2.0 if "a" in x else 0.0),
    lp.Beam(2),
    lp.BestOf(2),
    lp.Exhaustive(100),
    lp.Arithmetic(3),
    lp.Abstain("Text", "aa"),
    lp.Contrast("Text"),
]


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: type(decoder).__name__)
def test_certificates(model: RandomModel, tmp_path: Path, decoder: Any) -> None:
    run = program(lambda p: p("Text: ", gen(regex="[ab]{2}|é", name="x"), "\n")).run(
        model=model, decoder=decoder, seed=0
    )
    run.save(tmp_path / "run.json")
    back = Run.load(tmp_path / "run.json")

    assert back.captures["x"].certificate == run.captures["x"].certificate
    assert back.captures["x"].particles == run.captures["x"].particles
    for name in ("logZ", "logZ_bounds", "acceptance", "bias"):
        assert getattr(back, name) == getattr(run, name)
    assert back.html() == run.html()


def test_what_is_infinite_comes_back(run: Run[Any], tmp_path: Path) -> None:
    known = lp.Certificate(
        -math.inf, (-math.inf, math.inf), 0.0, math.inf, particles=(lp.Particle("é", (3,), 0.0, -math.inf),)
    )
    captures = [replace(capture, certificate=known) for capture in run.captures.all()]
    replace(run, captures=Captures(captures)).save(tmp_path / "run.json")
    back = Run.load(tmp_path / "run.json")

    assert [known] * len(captures) == [capture.certificate for capture in back.captures.all()]
    assert back.logZ_bounds == (-math.inf, math.inf)


def test_files_from_before_there_were_certificates(run: Run[Any], saved: Path) -> None:
    assert "certificate" not in saved.read_text(encoding="utf-8")  # nothing is known of what was sampled
    assert all([capture.certificate is None for capture in Run.load(saved).captures.all()])


def test_bytes_that_are_no_text(model: RandomModel, tmp_path: Path) -> None:
    half = next(i for i, b in enumerate(model.vocab.token_bytes) if b == "日".encode()[:2])
    hole = gen(regex="日|旦", temperature=1, logit_bias={half: 100.0})
    run = program(lambda p: p(hole)).run(model=model, trace=True)
    run.save(tmp_path / "run.json")

    assert '"data": {"hex": "e697"}' in (tmp_path / "run.json").read_text()
    assert run.text.encode() == b"".join(token.data for token in Run.load(tmp_path / "run.json").tokens)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: "no", "is not a saved run"),
        (lambda data: json.dumps([]), "is not a saved run"),
        (lambda data: json.dumps(data | {"format": "x"}), '"format": "lmprog run"'),
        (lambda data: json.dumps(data | {"version": 2}), "version 2"),
        (lambda data: json.dumps(data | {"tokens": 3}), "tokens is not a list"),
        (lambda data: json.dumps(data | {"tokens": [{"id": 3}]}), r"tokens\[0\] cannot be read"),
        (lambda data: json.dumps(data | {"requests": []}), r"tokens\[\d+\] is about"),
        (lambda data: json.dumps(data | {"tokens": [data["tokens"][0] | {"span": [3, 1]}]}), r"tokens\[0\] is about"),
        (lambda data: json.dumps(data | {"trace": [{"event": "Done"}]}), r"trace\[0\] cannot be read"),
        (lambda data: json.dumps(data | {"captures": [{"odd": 1}]}), r"captures\[0\] cannot be read: .*'odd'"),
        (lambda data: json.dumps(data | {"captures": [data["captures"][0] | {"certificate": {"logZ": "a"}}]}), "'a'"),
        (lambda data: json.dumps(data | {"captures": [data["captures"][0] | {"certificate": {"X": 1}}]}), "field 'X'"),
        (lambda data: json.dumps(data | {"captures": [data["captures"][0] | {"logprob": 10**400}]}), "too large"),
        (lambda data: json.dumps(data | {"captures": [data["captures"][0] | {"certificate": 3}]}), "cannot be read"),
        (lambda data: json.dumps(data | {"usage": {"requests": "many"}}), "usage cannot be read: .*'many'"),
    ],
)
def test_other_files_are_refused(saved: Path, change: Any, message: str) -> None:
    saved.write_text(change(json.loads(saved.read_text(encoding="utf-8"))))

    with pytest.raises(RunError, match=message):
        Run.load(saved)


def lmprog(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return f"{done.exit_code} {done.output}"


def test_explanations(run: Run[Any], saved: Path) -> None:
    first = run.tokens[0]
    begin = first.span[0]
    forced = next(i for i, token in enumerate(run.tokens) if token.forced)

    whole = lmprog("explain", saved, "--at", "kind")
    one = lmprog("explain", saved, "--at", begin)

    assert "one of 'math', 'poem'" in whole
    assert "forced" in lmprog("explain", saved, "--at", "é")
    assert whole == lmprog("explain", saved, "--at", "kind[0]")
    assert one == lmprog("explain", saved, "--at", "token:0")
    assert f"{first.allowed} tokens were allowed" in one
    assert "of what was allowed" in " ".join(one.split())  # of a choice nothing else was asked
    assert "model alone" in one
    assert "Forced" in lmprog("explain", saved, "--at", f"token:{forced}")
    assert "program's own text" in lmprog("explain", saved, "--at", 2)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("9999", "characters: there is none"),
        ("token:999", "no token 999"),
        ("nobody", "there are: kind, é"),
        ("kind[1]", "there are"),
    ],
)
def test_nothing_to_explain(saved: Path, at: str, message: str) -> None:
    assert lmprog("explain", saved, "--at", at).startswith("2 lmprog: RunError: ")
    assert message in lmprog("explain", saved, "--at", at)


def test_without_records(model: RandomModel) -> None:
    run = card.run(model=model, trace=False)

    run.explain("kind")
    with pytest.raises(RunError, match="trace=True"):
        run.explain("token:0")


def test_show(run: Run[Any], saved: Path, tmp_path: Path) -> None:
    text = lmprog("show", saved)
    page = lmprog("show", saved, "--html", tmp_path / "out.html")

    assert text.startswith("0 ")
    assert run.captures["kind"].text in text
    assert "0 " == page
    assert "<!DOCTYPE html>" in (tmp_path / "out.html").read_text(encoding="utf-8")
    assert lmprog("show", tmp_path / "none.json").startswith("2 lmprog: FileNotFoundError")


def test_a_terminal_is_not_steered_by_a_model(capsys: pytest.CaptureFixture[str], model: RandomModel) -> None:
    run = program(lambda p: p("\x1b]0;owned\x07", gen(choices=["\x1b[2J"], name="\x1b[1m"))).run(model=model)
    run.show()
    run.explain("\x1b[1m")
    run.explain(0)

    assert "\x1b" not in capsys.readouterr().out
