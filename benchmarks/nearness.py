"""Drafts made to fit, near to what they were: what it helps to know which edits a language still demands.

    python benchmarks/nearness.py [--model PATH] [--seeds 2] [--write]

`lp.constrain`'s search for values by refiner × exp(-near × edits), with open strings, by 8 particles. Once these look
ahead to the draft alone (every token that is no piece of it counts as one edit), and once to the nearest value that
goes on from each text so far, and to what it must still write. `log Z` is the mean of the estimates: from below, the
higher the better they are led.
"""

import argparse
import statistics
import time
from functools import partial

import numpy as np
from report import machine, report, table, versions

import lmprog as lp
from lmprog import gen
from lmprog.decoders.method import Problem
from lmprog.decoders.nearness import Mind, Sight, distance
from lmprog.runtime.model import Model

FIELDS = {"name": {"type": "string"}, "year": {"type": "integer"}, "job": {"type": "string"}}
SCHEMA = {"type": "object", "properties": FIELDS, "required": [*FIELDS], "additionalProperties": False}
DRAFTS = {
    "a number in quotes": '{"name": "Ada Lovelace", "year": "1843", "job": "mathematician"}',
    "no JSON": "name: Grace Hopper, year: 1952, job: programmer",
    "cut off": '{"name": "Emmy Noether", "ye',
}
HOLE = gen(json=SCHEMA, name="value", max_tokens=64)


class DraftAlone(lp.Near):
    """Knows nothing of the language."""

    def start(self, problem: Problem) -> Mind:
        sight = Sight(self.draft, problem)
        sight.remaining, sight.foreign = None, np.ones(problem.model.vocab.size, np.int64)
        return sight.start


@lp.program(boundary="token")
def rewrite(p: lp.Prompt, draft: str) -> object:
    return p(f"Rewrite the draft in the right form. Keep what it says.\nDraft: {draft}\nAnswer: ", HOLE)


def measured(model: Model, kind: type[lp.Near], draft: str, near: float, seeds: int) -> list[str]:
    run = partial(rewrite.run, draft, model=model, decoder=lp.SMC(8, kind(draft, near).potential))
    edits, masses, began = [], [], time.process_time()
    for seed in range(seeds):
        try:
            found = run(seed=seed)
        except lp.NoSample:
            continue
        edits.append(distance(draft, found.captures["value"].text))
        masses.append(found.logZ or 0.0)
    seconds = (time.process_time() - began) / seeds
    mean = (f"{statistics.mean(edits):.1f}", f"{statistics.mean(masses):.1f}") if edits else ("none", "")
    return [*mean, f"{seconds:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    lines = []
    with lp.load(args.model) as model:
        measured(model, lp.Near, DRAFTS["cut off"], 2.0, 1)  # warms up
        for name, draft in DRAFTS.items():
            for near in (0.5, 2.0):
                alone = measured(model, DraftAlone, draft, near, args.seeds)
                lines.append([name, near, *alone, *measured(model, lp.Near, draft, near, args.seeds)])
        setting = (
            f"{model.name}, float32, {args.seeds} seeds, an object of two open texts and a number, 64 tokens at most;\n"
            f"{machine(1)}; {versions('lmprog', 'torch')}. The machine was shared with other work."
        )
    header = ["draft", "near", "edits, by the draft alone", "log Z", "CPU s"]
    header += ["edits, by what is demanded", "log Z", "CPU s"]
    report("Drafts made to fit: looking ahead", setting, table(header, lines), args.write)


if __name__ == "__main__":
    main()
