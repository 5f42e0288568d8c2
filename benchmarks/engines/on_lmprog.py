"""lmprog: programs for what has holes, requests for texts of a fixed number of tokens."""

import json
from typing import Any

import torch
from worker import Output, grow

import lmprog as lp
from lmprog import gen, program
from lmprog.runtime.request import Request
from lmprog.runtime.sampling import Sampling

PACKAGES = ("lmprog", "torch", "transformers")


@program
def extraction(p: Any, item: Any) -> str:
    return json.dumps(p(item["prompt"], gen(json=item["schema"], max_tokens=item["max_new"])))


@program
def form(p: Any, item: Any) -> str:
    p(item["prompt"])
    filled = [label + p(label, gen(regex=regex)) for label, regex in item["holes"]]
    p(item["tail"])
    return "".join(filled) + item["tail"]


class Engine:
    def __init__(self, folder: str, options: Any) -> None:
        torch.set_num_threads(1)
        self.model = lp.load(folder, **options)

    def extract(self, items: list[Any]) -> Output:
        return self._counted(lambda: extraction.map([(item,) for item in items], model=self.model, concurrency=64))

    def job(self, items: list[Any]) -> Output:
        """The documents as an extraction job, which makes the same prompts of them."""
        docs, first = [item["text"] for item in items], items[0]
        shots = [tuple(pair) for pair in first["shots"]]

        def run() -> list[str]:
            done = lp.extract(self.model, docs, first["schema"], examples=shots, max_tokens=first["max_new"])
            return [json.dumps(record.data) for record in done.records]

        return self._counted(run)

    def form(self, items: list[Any]) -> Output:
        return self._counted(lambda: form.map([(item,) for item in items], model=self.model, concurrency=64))

    def free(self, items: list[Any]) -> Output:
        def run() -> list[str]:
            requests = [Request(item["ids"], item["max_new"], ignore_eos=True) for item in items]
            return [self._text(result.ids) for result in self.model.engine.generate(requests)]

        return self._counted(run)

    def tree(self, items: list[Any]) -> Output:
        """Every round is one call; forks share all that they have in common through the prefix cache."""

        def draw(forks: list[Any]) -> list[list[int]]:
            return [result.ids for result in self.model.engine.generate([thought(fork) for fork in forks])]

        return self._counted(lambda: [self._text(path) for path in grow(items, draw)])

    def _text(self, ids: list[int]) -> str:
        return self.model.vocab.decode(ids).decode(errors="replace")

    def _counted(self, run: Any) -> Output:
        before = self.model.engine.stats
        texts = run()
        after = self.model.engine.stats
        tokens = after.sampled + after.forced - before.sampled - before.forced
        return Output(texts, tokens, after.prompt_tokens_computed - before.prompt_tokens_computed)


def thought(item: Any) -> Request:
    sampling = Sampling(temperature=0.8, seed=item["seed"])
    return Request(item["ids"], item["max_new"], sampling=sampling, ignore_eos=True)
