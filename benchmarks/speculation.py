"""What speculation saves on the embedded default model: `load(draft="auto")` against no drafts.

    python benchmarks/speculation.py [--model PATH] [--batch 1 4 8] [--tokens 96] [--write]

Three requests of a kind for each that runs at once; first with drafts, then without, on engines that were made for it.
Their prompts are cached beforehand, and nothing is known of earlier results. CPU time of the process, so that other
work on the machine counts little; the ratio is that with drafts to that without. In exact arithmetic the results are
the same; in float32 a tie can go the other way.

    copy      a text that stands in the prompt is written once more
    JSON      extraction under a JSON Schema after three examples
    greedy    free text
    sampled   free text at temperature 1
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from itertools import islice, product
from pathlib import Path

import torch
from report import machine, report, table, versions

import lmprog as lp
from lmprog.grammars import compile, json_schema
from lmprog.runtime.engine import Engine
from lmprog.runtime.model import Model
from lmprog.runtime.request import Request, Result
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.speculation.named import drafters
from lmprog.runtime.stats import Stats

FORMS = ("A short story", "A letter", "A song")
EXAMPLES = Path(__file__).parent.parent / "examples"
ROUNDS = 3  # requests for each that runs at once
SUBJECTS = (
    "the sea",
    "a clockmaker",
    "rain in spring",
    "a long journey",
    "two brothers",
    "bread",
    "a red kite",
    "snow",
)


def records(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (EXAMPLES / name).open(encoding="utf-8")]


def copying(model: Model, n: int, tokens: int) -> list[Request]:
    """Texts of at least as many tokens as are asked for; an example comes first."""
    texts = [text for record in records("changelogs.jsonl") if len(model.encode(text := record["text"])) > tokens]
    head = f"Text:\n{texts[0]}\n\nThe same text again:\n{texts[0]}\n\n"
    return [
        Request(prompt(model, f"{head}Text:\n{text}\n\nThe same text again:\n"), tokens)
        for text in islice(texts[1:], n)
    ]


def extraction(model: Model, n: int, tokens: int) -> list[Request]:
    schema = json.loads((EXAMPLES / "changelogs.schema.json").read_text())
    constraint = compile(json_schema(schema, whitespace="spaced"), model.vocab)
    shots = "".join(
        f"{shot['text']}\nJSON: {json.dumps(shot['truth'])}\n\n" for shot in records("changelogs.shots.jsonl")[:3]
    )
    return [
        Request(prompt(model, f"{shots}{record['text']}\nJSON: "), max(tokens, 160), constraint)
        for record in records("changelogs.jsonl")[:n]
    ]


def free(model: Model, n: int, tokens: int, temperature: float = 0.0) -> list[Request]:
    return [
        Request(
            prompt(model, f"{form} about {subject}. Once upon a time,"),
            tokens,
            sampling=Sampling(temperature, seed=i if temperature else None),
            ignore_eos=True,
        )
        for i, (form, subject) in enumerate(islice(product(FORMS, SUBJECTS), n))
    ]


KINDS: dict[str, Callable[[Model, int, int], list[Request]]] = {
    "copy": copying,
    "JSON": extraction,
    "greedy": free,
    "sampled": lambda model, n, tokens: free(model, n, tokens, 1.0),
}


def prompt(model: Model, text: str) -> list[int]:
    return [*([] if model.bos is None else [model.bos]), *model.encode(text)]


def measure(
    model: Model, requests: Sequence[Request], batch: int, draft: str | None
) -> tuple[float, list[Result], Stats]:
    """CPU seconds for the requests, `batch` at a time."""
    drafting = drafters([draft] if draft else [], model.vocab)
    with Engine(model.engine.runner, model.vocab, slots=16384, max_running=batch, drafters=drafting) as engine:
        engine.generate([Request(request.ids, 1, speculate=False) for request in requests])
        before, start = engine.stats, time.process_time()
        results = engine.generate(requests)
        seconds, after = time.process_time() - start, engine.stats
    after.steps -= before.steps
    return seconds, results, after


def compared(model: Model, kind: str, batch: int, tokens: int) -> list[str]:
    requests = KINDS[kind](model, ROUNDS * batch, tokens)
    seconds, results, stats = measure(model, requests, batch, "auto")
    base, expected, plain = measure(model, requests, batch, None)
    same = sum(a.ids == b.ids for a, b in zip(results, expected, strict=True))
    return [
        kind,
        str(batch),
        f"{base:.1f}",
        f"{seconds:.1f}",
        f"{seconds / base:.2f}",
        f"{plain.steps} → {stats.steps}",
        f"{stats.accepted} of {stats.drafted}",
        f"{same} of {len(requests)}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder or cached hub id; the default model otherwise")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="append to docs/benchmarks.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    with lp.load(options.model) as model:
        for kind in options.kinds:
            for batch in options.batch:
                rows.append(compared(model, kind, batch, options.tokens))
                print(*rows[-1], flush=True)
        setting = (
            f"{model.name}, float32, {options.tokens} tokens a request (JSON: to its end); {machine(options.threads)}; "
            f"{versions('lmprog', 'torch')}. CPU seconds"
        )
    header = ["kind", "batch", "off", "auto", "ratio", "steps", "drafted tokens right", "same results"]
    report("Speculation", setting, table(header, rows), options.write)


if __name__ == "__main__":
    main()
