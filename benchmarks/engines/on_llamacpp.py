"""llama.cpp's server engine through xllamacpp, in this process: one thread, prompts cached, slots run together."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import xllamacpp
from worker import Output, grow

PACKAGES = ("xllamacpp",)
SLOTS = 16


class Engine:
    def __init__(self, folder: str, options: Any) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = options["gguf"]
        params.n_ctx, params.n_parallel, params.kv_unified = 16384, SLOTS, True
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_prompt, params.cache_ram_mib, params.warmup, params.verbosity = True, 0, True, -1
        self.server = xllamacpp.Server(params)

    def extract(self, items: list[Any]) -> Output:
        return self._run([{**common(item), "json_schema": item["schema"]} for item in items])

    def form(self, items: list[Any]) -> Output:
        return self._run([{**common(item), "grammar": gbnf(item)} for item in items])

    def free(self, items: list[Any]) -> Output:
        return self._run([{**common(item), "ignore_eos": True} for item in items])

    def tree(self, items: list[Any]) -> Output:
        """The answers come as text only, so the paths are texts."""
        tokens = computed = 0

        def draw(forks: list[Any]) -> list[str]:
            nonlocal tokens, computed
            sampling = {"temperature": 0.8, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "ignore_eos": True}
            output = self._run(
                [{**common(fork), **sampling, "prompt": fork["prompt"], "seed": fork["seed"]} for fork in forks]
            )
            tokens, computed = tokens + output.tokens, computed + (output.computed or 0)
            return output.texts

        return Output(grow(items, draw, "prompt", "glue"), tokens, computed)

    def _run(self, requests: list[Any]) -> Output:
        with ThreadPoolExecutor(SLOTS) as pool:
            answers = list(pool.map(self._ask, requests))
        timings = [answer["timings"] for answer in answers]
        tokens, computed = sum(t["predicted_n"] for t in timings), sum(t["prompt_n"] for t in timings)
        return Output([answer["choices"][0]["text"] for answer in answers], tokens, computed)

    def _ask(self, request: Any) -> Any:
        answer = self.server.handle_completions(request)
        if "choices" not in answer:
            raise RuntimeError(str(answer))
        return answer


def common(item: Any) -> Any:
    return {"prompt": item["ids"], "n_predict": item["max_new"], "temperature": 0.0, "cache_prompt": True}


def gbnf(item: Any) -> str:
    """The form as a GBNF grammar; its holes are written in the part of regexes that GBNF shares."""
    parts = [part for label, regex in item["holes"] for part in (json.dumps(label), rule(regex))]
    return "root ::= " + " ".join([*parts, json.dumps(item["tail"])])


def rule(regex: str) -> str:
    """Character classes with their counts stay as they are; other characters are quoted."""
    out, i = [], 0
    while i < len(regex):
        if regex[i] == "[":
            end = regex.index("]", i) + 1
            if end < len(regex) and regex[end] == "{":
                end = regex.index("}", end) + 1
            out.append(regex[i:end])
            i = end
        else:
            out.append(regex[i] if regex[i] in "(|)" else json.dumps(regex[i]))
            i += 1
    return " ".join(out)
