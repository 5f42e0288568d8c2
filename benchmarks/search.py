"""Decoders that search and those for open text, on the embedded default model.

    python benchmarks/search.py [--model PATH] [--subjects 4] [--tokens 60] [--write]

Search: each decoder fills the JSON hole of `benchmarks/decoders.py` behind the same prompts; `log p` is that of the
whole value. Open text: each goes on with the same beginnings; rep-n is the share of n-grams of tokens that have come
before in the same text, `log p` the mean of a token's log-probability.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from typing import Any

from decoders import SUBJECTS, about, loglikelihood
from report import machine, report, table, versions

import lmprog as lp
from lmprog import gen, program
from lmprog.runtime.model import Model

BEGINNINGS = (
    "The old lighthouse keeper had not spoken to anyone for",
    "In the spring of 1921 the town council decided to",
    "Researchers have found that bees are able to",
    "The recipe begins with two onions, which are",
    "When the train stopped in the middle of the forest,",
    "The history of the bicycle starts in",
    "My grandmother always told me that the river",
    "A new museum was opened on Monday by",
)


def variety(text: str) -> float:
    """Of the letters, the share that are different ones."""
    return len(set(text)) / (len(text) + 1)


SEARCH: dict[str, lp.Decoder] = {
    "Argmax": lp.Argmax(),
    "Sample (masking)": lp.Sample(),
    "Beam(4)": lp.Beam(4),
    "BestFirst(50)": lp.BestFirst(50),
    "BestFirst(200)": lp.BestFirst(200),
    "BestOf(16)": lp.BestOf(16),
    "Confident(8)": lp.Confident(8),
    "BestOf(24, f)": lp.BestOf(24, lambda value: variety(json.dumps(value, separators=(",", ":")))),
    "MCTS(f, 24)": lp.MCTS(variety, 24),
}
OPEN: dict[str, lp.Decoder] = {
    "Argmax": lp.Argmax(),
    "Sample": lp.Sample(),
    "Sample(top_p=.95)": lp.Sample(top_p=0.95),
    "Argmax, penalty 1.2": lp.Sample(temperature=0, repetition_penalty=1.2),
    "FSD()": lp.FSD(),
    "FSD(.6, k=6, n=3)": lp.FSD(0.6, k=6, n=3),
    "Momentum()": lp.Momentum(),
}


@program(boundary="token")
def story(p: lp.Prompt, beginning: str, tokens: int) -> Any:
    return p(beginning, gen(max_tokens=tokens, name="value"))


def searched(model: Model, decoder: lp.Decoder, subjects: Sequence[str]) -> list[object]:
    began = time.process_time()
    runs = [about.run(subject, model=model, decoder=decoder, seed=0) for subject in subjects]
    seconds = (time.process_time() - began) / len(subjects)
    rows = [run.usage.prompt_tokens_computed + run.usage.sampled_tokens for run in runs]
    liked = [variety(run.captures["value"].text) for run in runs]
    gaps = [run.captures["value"].certificate.gap for run in runs if run.captures["value"].certificate]
    certain = f"{gaps.count(0.0)} of {len(gaps)}" if any(gap is not None for gap in gaps) else ""
    logs = [loglikelihood(model, run) for run in runs]
    return [mean(logs, 2), certain, mean(liked, 3), f"{seconds:.2f}", f"{statistics.mean(rows):.0f}"]


def mean(values: Sequence[float], digits: int) -> str:
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.{digits}f} ± {error:.{digits}f}"


def repeated(ids: Sequence[int], n: int) -> float:
    """The share of n-grams that have come before."""
    grams = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
    return 1 - len(set(grams)) / len(grams)


def told(model: Model, decoder: lp.Decoder, tokens: int) -> list[object]:
    began = time.process_time()
    runs = [story.run(beginning, tokens, model=model, decoder=decoder, seed=0) for beginning in BEGINNINGS]
    seconds = (time.process_time() - began) / sum([len(run.captures["value"].tokens) for run in runs])
    texts = [run.captures["value"].tokens for run in runs if len(run.captures["value"].tokens) > 8]
    rep = [mean([repeated(ids, n) for ids in texts], 2) for n in (2, 3, 4)]
    diversity = mean([math.prod([1 - repeated(ids, n) for n in (2, 3, 4)]) for ids in texts], 2)
    logs = [loglikelihood(model, run) / len(run.captures["value"].tokens) for run in runs]
    return [*rep, diversity, mean(logs, 2), f"{1000 * seconds:.0f}"]


def shown(line: list[object]) -> list[object]:
    print(*line, sep=" | ", flush=True)
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    model, subjects = lp.load(args.model), SUBJECTS[: args.subjects]
    searched(model, lp.Sample(), subjects[:2])  # warms up
    where = f"{machine(1)}; {versions('lmprog', 'torch')}. The machine was shared with other work."
    header = ["decoder", "log p of the value", "certain", "f", "CPU s a value", "rows a value"]
    lines = [shown([name, *searched(model, decoder, subjects)]) for name, decoder in SEARCH.items()]
    setting = (
        f"{model.name}, float32, {len(subjects)} prompts, the JSON object of the decoders' benchmark; f: the share of\n"
        f"letters of the value that are different ones, what MCTS and BestOf(n, f) look for;\n{where}"
    )
    report("Search: what is found and what it costs", setting, table(header, lines), args.write)
    header = ["decoder", "rep-2", "rep-3", "rep-4", "diversity", "log p a token", "CPU ms a token"]
    lines = [shown([name, *told(model, decoder, args.tokens)]) for name, decoder in OPEN.items()]
    setting = (
        f"{model.name}, float32, {len(BEGINNINGS)} beginnings, up to {args.tokens} tokens; diversity: the product of\n"
        f"1 - rep-n;\n{where}"
    )
    report("Open text: repetition", setting, table(header, lines), args.write)


if __name__ == "__main__":
    main()
