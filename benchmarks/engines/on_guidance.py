"""guidance over transformers, one item after the other; it forces fixed text as we do."""

from typing import Any

import guidance
import torch
from guidance import gen, models
from transformers import AutoModelForCausalLM, AutoTokenizer
from worker import Output

PACKAGES = ("guidance", "llguidance", "transformers", "torch")


class Engine:
    def __init__(self, folder: str, options: Any) -> None:
        torch.set_num_threads(1)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = models.Transformers(model, self.tokenizer, echo=False)

    def extract(self, items: list[Any]) -> Output:
        return self._output(
            [
                str((self.model + i["prompt"] + guidance.json("x", schema=i["schema"], max_tokens=i["max_new"]))["x"])
                for i in items
            ]
        )

    def form(self, items: list[Any]) -> Output:
        return self._output([self._form(item) for item in items])

    def free(self, items: list[Any]) -> Output:
        return self._output([str((self.model + i["prompt"] + gen("x", max_tokens=i["max_new"]))["x"]) for i in items])

    def _form(self, item: Any) -> str:
        state = self.model + item["prompt"]
        for n, (label, regex) in enumerate(item["holes"]):
            state += label + gen(f"h{n}", regex=regex)
        state += item["tail"]
        filled = "".join(label + state[f"h{n}"] for n, (label, _) in enumerate(item["holes"]))
        return filled + item["tail"]

    def _output(self, texts: list[str]) -> Output:
        tokens = sum(len(ids) for ids in self.tokenizer(texts, add_special_tokens=False).input_ids)
        return Output(texts, tokens, None)
