"""transformers' `generate`: batches of 16, sorted by length so that they are padded least; constraints by xgrammar's
logits processor."""

from typing import Any

import torch
import xgrammar
from transformers import AutoModelForCausalLM, AutoTokenizer
from worker import Output, grow
from xgrammar.contrib.hf import LogitsProcessor

PACKAGES = ("transformers", "xgrammar", "torch")
BATCH = 16


class Engine:
    def __init__(self, folder: str, options: Any) -> None:
        torch.set_num_threads(1)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        info = xgrammar.TokenizerInfo.from_huggingface(self.tokenizer, vocab_size=self.model.config.vocab_size)
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1)

    def extract(self, items: list[Any]) -> Output:
        compiled = [self.compiler.compile_json_schema(item["schema"], any_whitespace=False) for item in items]
        return self._run(items, compiled)

    def form(self, items: list[Any]) -> Output:
        return self._run(items, [self.compiler.compile_regex(item["regex"]) for item in items])

    def free(self, items: list[Any]) -> Output:
        return self._run(items, None, eos_token_id=None)

    def tree(self, items: list[Any]) -> Output:
        tokens = computed = 0

        def draw(forks: list[Any]) -> list[list[int]]:
            nonlocal tokens, computed
            torch.manual_seed(forks[0]["seed"])
            sampling = {"do_sample": True, "temperature": 0.8, "top_k": 0, "top_p": 1.0, "eos_token_id": None}
            output, answers = self._answers(forks, None, **sampling)
            tokens, computed = tokens + output.tokens, computed + (output.computed or 0)
            return answers

        return Output([self.tokenizer.decode(path) for path in grow(items, draw)], tokens, computed)

    def _run(self, items: list[Any], grammars: "list[Any] | None", **options: Any) -> Output:
        return self._answers(items, grammars, **options)[0]

    def _answers(
        self, items: list[Any], grammars: "list[Any] | None", **options: Any
    ) -> "tuple[Output, list[list[int]]]":
        answers: list[list[int]] = [[]] * len(items)
        order = sorted(range(len(items)), key=lambda n: len(items[n]["ids"]))
        computed = 0
        for i in range(0, len(order), BATCH):
            some = order[i : i + BATCH]
            width = max(len(items[n]["ids"]) for n in some)
            computed += width * len(some)
            pads = [width - len(items[n]["ids"]) for n in some]
            extra = {} if grammars is None else {"logits_processor": [LogitsProcessor([grammars[n] for n in some])]}
            out = self.model.generate(
                input_ids=torch.tensor([[0] * pad + items[n]["ids"] for n, pad in zip(some, pads, strict=True)]),
                attention_mask=torch.tensor([[0] * pad + [1] * (width - pad) for pad in pads]),
                pad_token_id=0,
                max_new_tokens=items[some[0]]["max_new"],
                **{"do_sample": False, **options},
                **extra,
            )
            for n, row in zip(some, out[:, width:].tolist(), strict=True):
                answers[n] = row if grammars is None else until_end(row, self.tokenizer.eos_token_id)
        texts = [self.tokenizer.decode(ids) for ids in answers]
        return Output(texts, sum(map(len, answers)), computed), answers


def until_end(row: list[int], eos: int) -> list[int]:
    return row[: row.index(eos)] if eos in row else [token for token in row if token]
