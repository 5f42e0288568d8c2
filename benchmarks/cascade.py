"""A cascade on the default model: label words without examples first, eight examples where those leave it unsure.

    python benchmarks/cascade.py [reviews | snippets] [--share 0.5] [--write]

Eight rows are the examples. On half of the others the words are calibrated, without labels, and the threshold is
fitted: the best within `--share` of the tokens that the examples would take in every row. The other half is answered by
the fitted cascade, and by each step alone; what `fit_cascade` expects, held out, stands beside what is then measured.
"""

import argparse
import json
import random
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from report import machine, report, table, versions

import lmprog as lp
from lmprog import program, select

EXAMPLES = Path(__file__).parent.parent / "examples"
GOOD = " good", " great", " wonderful", " excellent", " fantastic"
BAD = " bad", " terrible", " awful", " poor", " disappointing"
Rows = list[dict[str, str]]


@program
def shots(p: lp.Prompt, text: str) -> str:
    p(lp.examples(format="Review: {text}\nThe review is {expected}.\n\n"))
    found: str = p("Review: ", text, "\nThe review is ", select(["positive", "negative"], name="mood"), ".")
    return found


def split(name: str) -> tuple[Rows, Rows, Rows]:
    """Four examples of each class, rows to fit on, rows to measure on."""
    rows = [json.loads(line) for line in (EXAMPLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    random.Random(0).shuffle(rows)
    each = [[row for row in rows if row["expected"] == label] for label in ("positive", "negative")]
    chosen = [row for pair in zip(*[some[:4] for some in each], strict=True) for row in pair]
    rest = [row for row in rows if row not in chosen][:240]
    return chosen, rest[::2], rest[1::2]


def measured(name: str, one: Any, data: Rows) -> list[str]:
    done = lp.evaluate(one, data, "exact")
    runs = [row.run for row in done.rows if row.run is not None]
    first = [run.step == 0 if isinstance(run, lp.CascadeRun) else "examples" not in one.values for run in runs]
    spent = [tokens(run.usage) for run in runs]
    return [name, shown(done.mean, done.interval, 3), shown(*about(spent), 1), share(first)]


def about(values: list[int]) -> tuple[float, tuple[float, float]]:
    """The mean, and where it is with 95 %."""
    mean, reach = statistics.fmean(values), 1.96 * statistics.stdev(values) / len(values) ** 0.5
    return mean, (mean - reach, mean + reach)


def shown(value: float, interval: Iterable[float], digits: int) -> str:
    low, high = interval
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def share(values: list[bool]) -> str:
    return f"{sum(values) / len(values):.0%}"


def expected(fit: lp.CascadeFit) -> list[list[str]]:
    """What the fit says: of the rows that it saw, and held out."""
    seen = fit.fitted
    accuracy = shown(fit.accuracy, fit.accuracy_interval, 3)
    cost = shown(fit.cost, fit.cost_interval, 1)
    return [
        ["cascade, on these rows", f"{seen.accuracy:.3f}", f"{seen.cost:.1f}", f"{seen.shares[0]:.0%}"],
        ["cascade, expected", accuracy, cost, ""],
    ]


def tokens(usage: lp.Usage) -> int:
    return usage.prompt_tokens + usage.sampled_tokens + usage.forced_tokens


def calibrated(rows: Rows, model: Any) -> lp.Verbalizer:
    plain = lp.Verbalizer({"positive": GOOD, "negative": BAD})
    ask = program(model=model)(lambda p, text: p(text, " It was") or p.score(plain))
    return plain.calibrated(ask.map([row["text"] for row in rows]))


def steps_of(model: Any, chosen: Rows, fitting: Rows) -> list[Any]:
    mood = calibrated(fitting, model)

    @program(model=model)
    def words(p: lp.Prompt, text: str) -> str:
        found: str = p(text, " It was", select(mood, name="mood"))
        return found

    return [words, program(model=model)(shots.function).with_(examples=chosen)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", choices=["reviews", "snippets"], help="both, unless one is named")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    model = lp.load()
    for task in [options.task] if options.task else ["reviews", "snippets"]:
        chosen, fitting, unseen = split(task)
        steps = steps_of(model, chosen, fitting)
        cost = options.share * statistics.fmean([tokens(steps[1].run(row["text"]).usage) for row in fitting[:5]])
        fit = lp.fit_cascade(lp.cascade(steps, accept=lp.Confidence()), fitting, "exact", cost=cost)
        print(fit, flush=True)
        lines = [*expected(fit), measured("cascade, measured", fit.cascade, unseen)]
        lines += [measured(f"always {step.name}", step.program, unseen) for step in fit.cascade.steps]
        header = ["", "accuracy", "tokens a row", "answered by words"]
        said = f"{model.name}, float32; fitted on {len(fitting)} rows, for at most {cost:.0f} tokens a row"
        setting = f"{said}; measured on {len(unseen)} others;\n{machine(1)}; {versions('lmprog', 'torch')}."
        report(f"Cascade: {task}", setting, table(header, lines), options.write)


if __name__ == "__main__":
    main()
