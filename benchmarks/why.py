"""What `Run.why` costs: a planted fact in documents of growing length, asked for by the default model.

    python benchmarks/why.py [--model PATH] [--lines 4 12 24] [--write]

Of each document one line says the code that the value is copied from. `unshared` are the prompt tokens of all changed
texts, `computed` those that the prefix cache did not have; `first` is the part with the largest effect.
"""

import argparse
import time
from random import Random

import torch
from report import machine, report, table, versions

import lmprog as lp
from lmprog import gen, program

NAMES, WEATHER, SEA = ("Miller", "Baker", "Stone", "Young"), ("fine", "bad", "cold"), ("calm", "rough")


@program
def vault(p: lp.Prompt, document: str) -> None:
    p(document, "\nQ: What is the code of the vault?\nA: The code of the vault is ", gen(regex="[0-9]{4}", name="code"))


def document(lines: int, rng: Random) -> str:
    text = [
        f"{rng.choice(NAMES)} wrote on day {day} that it was {rng.choice(WEATHER)} and the sea {rng.choice(SEA)}.\n"
        for day in range(lines)
    ]
    text[rng.randrange(lines)] = f"The code of the vault is {rng.randrange(1000, 10000)}.\n"
    return "".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--lines", type=int, nargs="+", default=[4, 12, 24])
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    model = lp.load(args.model)
    rows: list[list[object]] = []
    for lines in args.lines:
        run = vault.run(document(lines, Random(lines)), model=model)
        began = time.process_time()
        why = run.why("code", samples=args.samples)
        spent, u = time.process_time() - began, why.usage
        words, (first,) = len(run.text.split()), why.top(1)
        cost = [u.requests, f"{u.prompt_tokens:,}", f"{u.prompt_tokens_computed:,}", f"{spent:.1f}"]
        rows.append([lines, words, len(why.parts), *cost, f"{first.text.strip()} ({first.effect:+.1f})", why.value])
    header = ["lines", "words", "parts", "requests", "unshared", "computed", "CPU s", "first", "value"]
    setting = (
        f"{model.name}, float32, {args.samples} replacements for each part, unit auto;\n"
        f"{machine(torch.get_num_threads())}; {versions('lmprog', 'torch')}. The machine was shared with other work."
    )
    report("What causes a field", setting, table(header, rows), args.write)


if __name__ == "__main__":
    main()
