"""What a look ahead is worth: likelihood and cost of lines that must have a word in them, on the default model.

    python benchmarks/lookahead.py [--model PATH] [--samples 1000] [--values 24] [--write]

An HMM is distilled from lines that the model writes behind the same prompt; then each decoder fills the same hole,
lines of up to 40 characters with "moon" in them. `log p` is the log-probability of line and line break under the model
without a mask, by the tokenizer's own spelling. Costs are CPU seconds of the process and rows of the model for each
value; distilling, and the table of the hole that Lookahead makes when it is first reached, are counted by themselves.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from report import machine, report, table, versions

import lmprog as lp
from lmprog import gen, program
from lmprog.runtime.model import Model
from lmprog.runtime.request import Request, asks_of

PROMPT = "Lines of poems.\nthe sea is calm tonight\na bird sings in the old tree\n"
LINE = gen(regex="[a-z ]{1,40}", where="'moon' in x", max_tokens=14, name="line")


@program(boundary="token")
def line(p: lp.Prompt) -> Any:
    return p(PROMPT, LINE, "\n")


def loglikelihood(model: Model, text: str) -> float:
    before = ([] if model.bos is None else [model.bos]) + model.encode(PROMPT)
    ids = [*before, *model.encode(text + "\n")]
    (result,) = model.engine.generate([Request(ids, 0, asks=asks_of(ids, len(before)))])
    return float(sum(answer[0] for answer in result.answers))


def measured(model: Model, decoder: lp.Decoder, values: int) -> list[object]:
    began = time.process_time()
    runs = [line.run(model=model, decoder=decoder, seed=seed) for seed in range(values)]
    seconds = (time.process_time() - began) / values
    found = [loglikelihood(model, run.value) for run in runs]
    rows = [run.usage.prompt_tokens_computed + run.usage.sampled_tokens for run in runs]
    error = statistics.stdev(found) / len(found) ** 0.5
    masses = [run.logZ for run in runs if run.logZ is not None]
    mass = f"{statistics.mean(masses):.1f} ± {statistics.stdev(masses):.1f}" if masses else ""
    examples = "; ".join(run.value for run in runs[:2])
    likelihood = f"{statistics.mean(found):.1f} ± {error:.1f}"
    return [likelihood, mass, f"{seconds:.2f}", f"{statistics.mean(rows):.0f}", examples]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--states", type=int, default=64)
    parser.add_argument("--values", type=int, default=24)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    model = lp.load(args.model)
    measured(model, lp.Sample(), 2)  # warms up
    began = time.process_time()
    how: dict[str, Any] = {"states": args.states, "samples": args.samples, "tokens": 24, "prompts": [PROMPT]}
    hmm = lp.distill(model, **how, folder=args.folder, progress=True)
    distilled, began = time.process_time() - began, time.process_time()
    ahead = lp.Lookahead(hmm)
    line.run(model=model, decoder=ahead, seed=0)
    first = time.process_time() - began
    decoders: dict[str, lp.Decoder] = {
        "Sample (masking)": lp.Sample(),
        "Lookahead": ahead,
        "SMC(8)": lp.SMC(8),
        "SMC(8, Lookahead)": lp.SMC(8, potential=ahead),
        "SMC(32)": lp.SMC(32),
    }
    lines = [[name, *measured(model, decoder, args.values)] for name, decoder in decoders.items()]
    setting = (
        f'{model.name}, float32, lines of up to 40 characters with "moon" in them, {args.values} of each;\n'
        f"{machine(1)}; {versions('lmprog', 'torch')}. The machine was shared with other work.\n"
        f"HMM: {hmm.note}; its emissions take {hmm.emit.nbytes / 1e6:.1f} MB (over all of the vocabulary\n"
        f"it would be {hmm.states * hmm.size * 8 / 1e6:.0f} MB). Distilled in {distilled:.0f} CPU s, the first value "
        f"with the table of its hole in {first:.1f} CPU s."
    )
    header = ["decoder", "log p of the line", "log Z", "CPU s a value", "rows a value", "the first two"]
    report("Lookahead: likelihood and cost", setting, table(header, lines), args.write)


if __name__ == "__main__":
    main()
