"""outlines over transformers, constraints by its xgrammar backend, batches of 16."""

import json
from typing import Any

import outlines
import torch
from outlines.types import JsonSchema, Regex
from transformers import AutoModelForCausalLM, AutoTokenizer
from worker import Output

PACKAGES = ("outlines", "xgrammar", "transformers", "torch")
BATCH = 16


class Engine:
    def __init__(self, folder: str, options: Any) -> None:
        torch.set_num_threads(1)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = outlines.from_transformers(model, self.tokenizer)

    def extract(self, items: list[Any]) -> Output:
        return self._run(items, JsonSchema(json.dumps(items[0]["schema"])))

    def form(self, items: list[Any]) -> Output:
        return self._run(items, Regex(items[0]["regex"]))

    def _run(self, items: list[Any], kind: Any) -> Output:
        generator = outlines.Generator(self.model, kind, backend="xgrammar")
        texts: list[str] = []
        for i in range(0, len(items), BATCH):
            some = items[i : i + BATCH]
            prompts = [item["prompt"] for item in some]
            texts += generator.batch(prompts, max_new_tokens=some[0]["max_new"], do_sample=False)
        tokens = sum(len(ids) for ids in self.tokenizer(texts, add_special_tokens=False).input_ids)
        return Output(texts, tokens, sum(len(item["ids"]) for item in items))
