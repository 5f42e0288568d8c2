"""Cascades whose steps are on servers."""

from __future__ import annotations

import pytest

import lmprog as lp
from lmprog import program, select
from lmprog.testing import RandomModel

from .server import serving


@program
def kind(p: lp.Prompt, text: str) -> str:
    return str(p("Text: ", text, "\nKind: ", select(["ab", "b", "cd"], name="kind"), "\n"))


def test_a_small_model_there_and_a_large_one_here(random_model: RandomModel) -> None:
    with RandomModel(8) as big, serving(random_model, "vllm") as server, lp.connect(server.url) as there:
        cascade = lp.cascade([there, big], program=kind, accept=lp.Confidence("kind"), prices=[1, 10])
        with pytest.raises(lp.ProgramError, match="say from which number on"):
            cascade("a")
        sure = [kind.run(text, model=there).captures["kind"] for text in "abc"]
        shares = [capture.dist[capture.value] for capture in sure]
        for text, share in zip("abc", shares, strict=True):
            run = cascade.at(0.6).run(text)

            assert share == pytest.approx(run.tried[0].confidence)
            assert run.step == int(share < 0.6)
        assert kind.map(list("abc"), model=there) == cascade.at(0).map(list("abc"))


@pytest.mark.parametrize(("fault", "error"), [(500, "BackendUnreachable"), (401, "BackendRefused")])
def test_a_server_that_fails_falls_through(random_model: RandomModel, fault: int, error: str) -> None:
    with RandomModel(8) as big, serving(random_model, "vllm") as server, lp.connect(server.url, retries=0) as there:
        cascade = lp.cascade([there, big], program=kind, accept=0)
        assert 0 == cascade.run("a").step
        server.faults.extend([fault] * 9)
        run = cascade.run("a")

        assert (kind("a", model=big), 1) == (run.value, run.step)
        assert f"{error}: " in str(run.tried[0].error)
