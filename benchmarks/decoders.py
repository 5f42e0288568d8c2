"""Likelihood and cost of decoders on a schema task, on the embedded default model.

    python benchmarks/decoders.py [--model PATH] [--subjects 8] [--seeds 3] [--samples 600] [--write]

Each decoder fills the same JSON hole behind the same prompts. `log p` is the log-probability of the whole value, forced
text included, in the tokenizer's own spelling, under the model without a mask. Costs are CPU seconds of the process and
rows of the model (prompt tokens computed and tokens sampled) for each value, without those of distilling the HMM of
`Lookahead` from texts behind the same prompts, which is done once and kept.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

from report import machine, report, table, versions

import lmprog as lp
from lmprog import gen, program
from lmprog.runtime.model import Model
from lmprog.runtime.request import Request, asks_of

SUBJECTS = (
    "a spider",
    "the cat",
    "a sparrow",
    "an ant",
    "the whale",
    "a horse",
    "an octopus",
    "the frog",
    "a snake",
    "a crab",
)
SCHEMA = {
    "type": "object",
    "properties": {
        "group": {"enum": ["mammal", "bird", "insect", "fish", "other"]},
        "food": {"type": "string", "maxLength": 8, "pattern": "^[a-z ]+$"},
        "home": {"type": "string", "maxLength": 8, "pattern": "^[a-z ]+$"},
        "legs": {"type": "integer", "minimum": 0, "maximum": 8},
    },
    "required": ["group", "food", "home", "legs"],
    "additionalProperties": False,
}
EXAMPLE = 'About a dog:\n{"group":"mammal","food":"meat","home":"a house","legs":4}\n'
DECODERS: dict[str, lp.Decoder] = {
    "Sample (masking)": lp.Sample(),
    "ASAp(8)": lp.ASAp(8),
    "Rejection(1000)": lp.Rejection(1000),
    "SMC(4)": lp.SMC(4),
    "SMC(16)": lp.SMC(16),
}


@program(boundary="token")
def about(p: lp.Prompt, subject: str) -> Any:
    return p(EXAMPLE, f"About {subject}:\n", gen(json=SCHEMA, name="value", max_tokens=64), "\n")


def loglikelihood(model: Model, run: lp.Run[Any]) -> float:
    """Of the value, given the text before it."""
    capture = run.captures["value"]
    begin = [] if model.bos is None else [model.bos]
    before = begin + model.encode(run.text[: capture.span[0]])
    ids = [*before, *model.encode(capture.text)]
    (result,) = model.engine.generate([Request(ids, 0, asks=asks_of(ids, len(before)))])
    return float(sum(answer[0] for answer in result.answers))


def measured(model: Model, decoder: lp.Decoder, subjects: Sequence[str], seeds: int) -> list[object]:
    runs: list[lp.Run[Any]] = []
    failed = 0
    began = time.process_time()
    for subject in subjects:
        for seed in range(seeds):
            try:
                runs.append(about.run(subject, model=model, decoder=decoder, seed=seed))
            except lp.NoSample:
                failed += 1
    seconds = (time.process_time() - began) / (len(subjects) * seeds)
    values = [loglikelihood(model, run) for run in runs]
    rows = [run.usage.prompt_tokens_computed + run.usage.sampled_tokens for run in runs]
    masses = [run.logZ for run in runs if run.logZ is not None]
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    mass = f"{statistics.mean(masses):.1f}" if masses else ""
    likelihood = f"{statistics.mean(values):.2f} ± {error:.2f}"
    return [likelihood, mass, f"{seconds:.2f}", f"{statistics.mean(rows):.0f}", failed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    model = lp.load(args.model)
    subjects = SUBJECTS[: args.subjects]
    measured(model, lp.Sample(), subjects[:1], 1)  # warms up
    prompts = [EXAMPLE + f"About {subject}:\n" for subject in SUBJECTS]
    hmm = lp.distill(model, states=64, samples=args.samples, tokens=40, prompts=prompts, progress=True)
    ahead = lp.Lookahead(hmm)
    about.run(subjects[0], model=model, decoder=ahead)  # makes the table of the hole
    decoders = {**DECODERS, "Lookahead": ahead, "SMC(4, Lookahead)": lp.SMC(4, potential=ahead)}
    lines = [[name, *measured(model, decoder, subjects, args.seeds)] for name, decoder in decoders.items()]
    setting = (
        f"{model.name}, float32, {len(subjects)} prompts × {args.seeds} seeds, an object of a choice, two texts of at\n"
        f"most 8 characters and a number; HMM: {hmm.note};\n"
        f"{machine(1)}; {versions('lmprog', 'torch')}. The machine was shared with other work."
    )
    header = ["decoder", "log p of the value", "log Z", "CPU s a value", "rows a value", "failed"]
    report("Decoders: likelihood and cost", setting, table(header, lines), args.write)


if __name__ == "__main__":
    main()
