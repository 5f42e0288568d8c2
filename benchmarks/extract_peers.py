"""The README's extraction job on other engines: the same prompts, the same schema, the same weights.

    python benchmarks/extract_peers.py [--engines lmprog,vllm,…] [--documents 96] [--share 24] [--rounds 2]
        [--python-of vllm=/path/bin/python …] [--out out/extract_peers.jsonl] [--write]

96 changelogs, six examples in every prompt, answers by examples/changelogs.schema.json, greedy. lmprog runs the job
itself (`lp.extract`), the others get its prompts in one call. Engines, their Pythons and what is measured are those of
peers.py; transformers' `generate`, outlines and guidance do the first `--share` documents only, and in the first round
only: figures are per record. The engines take turns; the least processor time of the rounds counts. Accuracy is the
share of right fields, as in the job's summary; "first" is that of the documents that all engines did.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import jsonschema_rs
from peers import OPTIONS, ROOT, process, warm
from report import machine, report, table

from lmprog.jobs.layout import layout
from lmprog.jobs.score import score
from lmprog.jobs.target import target
from lmprog.runtime.default_model import default_model_folder
from lmprog.runtime.hf_files import load_tokenizer

EXAMPLES = ROOT / "examples"
ENGINES = ["lmprog", "vllm", "generate", "outlines", "guidance"]
SLOW = {"generate", "outlines", "guidance"}
MORE = {"vllm": {"max_model_len": 4096}}
MAX_TOKENS = 256
Line = dict[str, Any]


def rows(name: str) -> list[Any]:
    return [json.loads(line) for line in (EXAMPLES / name).open(encoding="utf-8")]


def items(count: int, folder: Path) -> list[Line]:
    """Each document with its prompt as the job makes it."""
    schema = json.loads((EXAMPLES / "changelogs.schema.json").read_text())
    shots = [(row["text"], row["truth"]) for row in rows("changelogs.shots.jsonl")]
    prompt = layout(target(schema).schema, shots)
    tokenizer = load_tokenizer(folder)
    found = []
    for row in rows("changelogs.jsonl")[:count]:
        text = prompt.prefix + prompt.suffix(row["text"])
        item = {"text": row["text"], "prompt": text, "ids": tokenizer(text).input_ids, "schema": schema}
        found.append({**item, "truth": row["truth"], "shots": shots, "max_new": MAX_TOKENS})
    return found


def measured(engine: str, work: list[Line], folder: Path, room: Path, options: Any) -> Line:
    """One process of an engine: what it took, how many answers are valid, how many fields are right."""
    kind = engine.split("-")[0]
    some = work[: options.share] if kind in SLOW else work
    settings = {**OPTIONS[engine], **MORE.get(kind, {})}
    jobs = {"changelogs": ("job" if kind == "lmprog" else "extract", some)}
    task = {"folder": str(folder), "options": settings, "warm": warm({"changelogs": work}), "work": jobs}
    result: Line = {"engine": engine}
    for line in process(engine, task, room, options):
        result |= line
    if "texts" in result:
        answers = [_read(text) for text in result.pop("texts")]
        pairs = list(zip(answers, (item["truth"] for item in some), strict=True))
        right, first = score(pairs), score(pairs[: options.share])
        assert right is not None
        assert first is not None
        result["valid"] = sum(jsonschema_rs.is_valid(some[0]["schema"], answer) for answer in answers)
        result["fields"] = {f"first {options.share}": first.accuracy, "all": right.accuracy}
        result["fields"] |= {name: part.accuracy for name, part in right.fields.items()}
    return result


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def figures(lines: list[Line], options: Any) -> str:
    best = {}
    for line in lines:
        if "cpu" in line:
            best.setdefault(line["engine"], line)
            best[line["engine"]] = min(best[line["engine"]], line, key=lambda one: one["cpu"])
    fields = list(next(iter(best.values()))["fields"]) if best else []
    header = ["engine", "records", "records/s", "CPU s a record", "times lmprog", "computed", "valid", *fields]
    base = best["lmprog"]["cpu"] / best["lmprog"]["items"] if "lmprog" in best else None
    return table(header, [_row(engine, best.get(engine), base, fields) for engine in options.engines])


def _row(engine: str, line: Line | None, base: float | None, fields: list[str]) -> list[str]:
    if line is None:
        return [engine, "failed", *[""] * (5 + len(fields))]
    count, each = line["items"], line["cpu"] / line["items"]
    times = f"{each / base:.1f}" if base else ""
    computed = "" if line["computed"] is None else f"{line['computed']:,}"
    shares = [f"{line['fields'][name]:.1%}" for name in fields]
    valid = f"{line['valid']} of {count}"
    return [engine, str(count), f"{count / line['wall']:.2f}", f"{each:.2f}", times, computed, valid, *shares]


def said(lines: list[Line], options: Any) -> str:
    notes = []
    for engine in options.engines:
        mine = [line for line in lines if line["engine"] == engine]
        about = {str(line[key]) for line in mine for key in ("versions", "error") if key in line}
        notes.append(f"- {engine}: {'; '.join(sorted(about))}")
    return "\n".join(notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=lambda text: text.split(","), default=ENGINES)
    parser.add_argument("--documents", type=int, default=96)
    parser.add_argument("--share", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--python-of", action="append", default=[], metavar="ENGINE=PYTHON")
    parser.add_argument("--out", type=Path, default=ROOT / "out/extract_peers.jsonl")
    parser.add_argument("--write", action="store_true", help="append the table to docs/benchmarks.md")
    options = parser.parse_args()
    folder = default_model_folder()
    work = items(options.documents, folder)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    with tempfile.TemporaryDirectory() as room, options.out.open("a", encoding="utf-8") as file:
        for n in range(options.rounds):
            for engine in options.engines if n == 0 else [e for e in options.engines if e not in SLOW]:
                line = {"round": n, **measured(engine, work, folder, Path(room), options)}
                lines.append(line)
                print(json.dumps(line), file=file, flush=True)
                print(json.dumps({key: line[key] for key in line if key != "fields"}), flush=True)
    setting = f"{machine(1)}; gemma-3-270m in float32; the least processor time of {options.rounds} rounds"
    report(
        "The demo's extraction job beside other engines",
        setting,
        f"{figures(lines, options)}\n\n{said(lines, options)}",
        options.write,
    )


if __name__ == "__main__":
    main()
