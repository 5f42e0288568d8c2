"""Draws docs/bias.svg: a model of five fair bits under the constraint `00000 | 1dddd`.

python benchmarks/bias_picture.py
"""

from pathlib import Path

import matplotlib as mpl

import lmprog as lp
from lmprog import gen
from lmprog.testing import TableModel

mpl.rcParams["svg.hashsalt"] = "lmprog"  # the same file every time
model = TableModel(["0", "1"], lambda ids: [0.5, 0.5, 0.0] if len(ids) < 5 else [0.0, 0.0, 1.0])
found = lp.bias(model, "", gen(regex="00000|1[01]{4}"), samples=2000)
title = "Five fair bits, given that they are 00000 or begin with 1: each value has 1/17, masking gives one of them 1/2"
found.figure(most=17, title=title).savefig(Path(__file__).parent.parent / "docs" / "bias.svg", metadata={"Date": None})
