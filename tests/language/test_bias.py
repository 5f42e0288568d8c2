"""What masking does to a distribution, found by going through all values, and drawn."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lmprog as lp
from lmprog import gen, program
from lmprog.cli import app
from lmprog.testing import RandomModel, TableModel

UNIFORM = TableModel(["0", "1"], lambda ids: [0.5, 0.5, 0.0] if len(ids) < 5 else [0.0, 0.0, 1.0])
FIVE = gen(regex="00000|1[01]{4}")


def test_going_through_all_values_is_exact() -> None:
    fill = program(lambda p, where=None: p(gen(regex="00000|1[01]{4}", where=where)))
    run = fill.run(model=UNIFORM, decoder=lp.Exhaustive())

    assert 17 == len(run.captures[0].particles)
    assert all(abs(particle.share - 1 / 17) < 1e-12 for particle in run.captures[0].particles)
    assert {"00000": 0.5} == {p.text: p.masked for p in run.captures[0].particles if (p.masked or 0) > 0.04}
    assert abs((run.logZ or 0) - math.log(17 / 32)) < 1e-12
    assert (run.logZ, run.logZ) == run.logZ_bounds
    assert 0 == run.bias
    few = [fill(lambda x: "1" < x < "10010", model=UNIFORM, decoder=lp.Exhaustive(), seed=s) for s in range(9)]
    assert {"10000", "10001"} == set(few)
    with pytest.raises(lp.TooManyValues, match="more than 10"):
        fill(model=UNIFORM, decoder=lp.Exhaustive(10))


def test_bias_compares_distributions() -> None:
    found = lp.bias(UNIFORM, "", FIVE, samples=150)

    assert ["exact", "masking", "ASAp", "SMC(16)"] == list(found.shares)
    assert abs((found.mass or 0) - 17 / 32) < 1e-12
    assert abs((found.distance("masking") or 0) - (0.5 - 1 / 17)) < 1e-9
    assert (found.distance("ASAp") or 1) < 0.3
    assert abs(sum(found.shares["masking"].values()) - 1) < 1e-12


def test_bias_of_a_language_of_many_values(model: RandomModel, tmp_path: Path) -> None:
    found = lp.plot_bias(model, "a", lp.regex("[a-z]{5,9}"), tmp_path / "bias.png", samples=8)

    assert "exact" not in found.shares
    assert found.distance("masking") is None
    assert (tmp_path / "bias.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_draws(tmp_path: Path) -> None:
    out = tmp_path / "bias.svg"
    wanted = ["plot-bias", "Topic:", "-o", str(out), "--model", "random:0", "--samples", "20"]
    done = CliRunner().invoke(app, [*wanted, "--regex", " (sea|moon|time)"])

    assert 0 == done.exit_code, done.output
    assert "masking: total variation" in done.stdout
    assert out.read_text().count("<svg") == 1
    assert 2 == CliRunner().invoke(app, wanted).exit_code
