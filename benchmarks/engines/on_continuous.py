"""transformers' continuous batching (`generate_batch`); it takes no constraints."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, ContinuousBatchingConfig, GenerationConfig
from worker import Output, grow

PACKAGES = ("transformers", "torch")


class Engine:
    def __init__(self, folder: str, options: Any) -> None:
        torch.set_num_threads(1)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
        self.model, self.tokenizer = model.eval(), AutoTokenizer.from_pretrained(folder)

    def free(self, items: list[Any]) -> Output:
        answers = self._generate([item["ids"] for item in items], items[0]["max_new"])
        return self._output(answers, sum(map(len, answers)), sum(len(item["ids"]) for item in items))

    def tree(self, items: list[Any]) -> Output:
        tokens = computed = 0

        def draw(forks: list[Any]) -> list[list[int]]:
            nonlocal tokens, computed
            prompts = [fork["ids"] for fork in forks]
            sampling = {"do_sample": True, "temperature": 0.8, "top_k": 0, "top_p": 1.0}
            answers = self._generate(prompts, forks[0]["max_new"], seed=forks[0]["seed"], **sampling)
            tokens, computed = tokens + sum(map(len, answers)), computed + sum(map(len, prompts))
            return answers

        paths = grow(items, draw)
        return self._output(paths, tokens, computed)

    def _generate(self, prompts: list[list[int]], n: int, seed: int = 0, **options: Any) -> list[list[int]]:
        config = GenerationConfig(max_new_tokens=n, eos_token_id=-1, pad_token_id=0, **{"do_sample": False, **options})
        batching = ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=1024, seed=seed)
        done = self.model.generate_batch(prompts, config, batching)
        ordered = sorted(done.values(), key=lambda one: int(one.request_id.rsplit("_", 1)[1]))
        return [list(one.generated_tokens) for one in ordered]

    def _output(self, answers: list[list[int]], tokens: int, computed: int) -> Output:
        return Output([self.tokenizer.decode(ids) for ids in answers], tokens, computed)
