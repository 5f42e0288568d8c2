"""How many of 144 configurations a search tries until it has the best one: `python -m benchmarks.tuning [--seeds 20]`.

Two modules with an instruction (3 candidates) and a set of demonstrations (4) each, on score landscapes from additive
to strongly interacting; see tests/tuning/landscapes.py.
"""

from __future__ import annotations

import argparse
from statistics import median

from tests.tuning.landscapes import LANDSCAPES, evaluations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = range(parser.parse_args().seeds)
    methods = ("joint", "tpe", "random")
    print("| landscape |", " | ".join(f"{method}, median (worst)" for method in methods), "|")
    print("|---|" + "---|" * len(methods))
    for name, landscape in LANDSCAPES.items():
        found = [[evaluations(landscape, method, seed) for seed in seeds] for method in methods]
        print(f"| {name} |", " | ".join(f"{median(some):.0f} ({max(some)})" for some in found), "|", flush=True)


if __name__ == "__main__":
    main()
