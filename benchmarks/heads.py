"""Seconds and memory of a large bag through every fusion family and pooling.

Usage: ``python benchmarks/heads.py [--patches 20000] [--dim 1024 2048] [--repeats 7]``

Each family, and each pooling within ``feature_concat``, classifies one patient with a
bag of made-up embeddings and all three tables, with a head of classes, stages, risk and
survival each, in a process of its own. Measured are forward passes after a first one,
on two threads by the clock (median and fastest), and on one thread by the processor
time, which other processes on the machine do not change. The budget is 1 s and 2 GB on
two cores; it is held against the time of one. Peak memory is that of the process,
imports and the bag included. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET_SECONDS = 1.0
BUDGET_MB = 2000
OMICS = {"rna": 2000, "methylation": 1000, "clinical": 12}
THREADS = 2


def main() -> int:
    """Measure each family in its own process and print one JSON object."""
    arguments = parse()
    if arguments.family is not None:
        family, _, pooling = arguments.family.partition("-")
        patches, (dim,) = arguments.patches, arguments.dim
        print(json.dumps(measure(family, pooling, patches, dim, arguments.repeats)))
        return 0
    report = {
        "patches": arguments.patches,
        "threads": THREADS,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "repeats": arguments.repeats,
        "budget": {"seconds": BUDGET_SECONDS, "peak_mb": BUDGET_MB},
        "families": {},
    }
    for name in arguments.only or every():
        report["families"][name] = {}
        for dim in arguments.dim:
            entry = in_own_process(name, arguments.patches, dim, arguments.repeats)
            entry["within_budget"] = (
                entry["one_core_seconds"] < BUDGET_SECONDS
                and entry["peak_mb"] < BUDGET_MB
            )
            report["families"][name][str(dim)] = entry
    print(json.dumps(report, indent=None if arguments.json else 2))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=20_000)
    parser.add_argument("--dim", type=int, nargs="+", default=[1024, 2048])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="+", help="families, by default all")
    parser.add_argument("--json", action="store_true", help="on one line")
    parser.add_argument("--family", help=argparse.SUPPRESS)
    return parser.parse_args()


def every() -> list[str]:
    """Name all families, and the poolings that one of them takes."""
    from napari_mmsubtype.models.fusion import list_fusions
    from napari_mmsubtype.models.mil_pooling import list_poolings

    return [*list_fusions(), *(f"feature_concat-{name}" for name in list_poolings())]


def in_own_process(name: str, patches: int, dim: int, repeats: int) -> dict:
    """Measure one family where nothing else has used memory."""
    done = subprocess.run(
        [
            *(sys.executable, __file__, "--family", name, "--patches", str(patches)),
            *("--dim", str(dim), "--repeats", str(repeats)),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def measure(family: str, pooling: str, patches: int, dim: int, repeats: int) -> dict:
    """Classify one patient several times and say what it took."""
    import torch

    from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
    from napari_mmsubtype.models.fusion import create_fusion
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead

    torch.manual_seed(0)
    heads = Heads(
        {
            "class": ClassHead(("a", "b", "c")),
            "stage": OrdinalHead(("I", "II", "III", "IV")),
            "risk": CoxHead(),
            "survival": HazardHead((12.0, 24.0, 60.0)),
        }
    )
    options = {"pooling": pooling} if pooling else {}
    model = create_fusion(
        family, dim=dim, classes=heads.size, omics=OMICS, **options
    ).eval()
    before = peak_mb()
    bag = torch.rand(1, patches, dim)
    mask = torch.ones(1, patches, dtype=torch.bool)
    omics = {name: torch.randn(1, length) for name, length in OMICS.items()}
    present = torch.ones(1, 1 + len(omics), dtype=torch.bool)

    def run() -> None:
        heads.answers(model(bag, mask, omics, present).logits)

    clocked = timed(run, THREADS, repeats, time.perf_counter)
    processed = timed(run, 1, repeats, time.process_time)
    return {
        "seconds": round(statistics.median(clocked), 4),
        "fastest": round(min(clocked), 4),
        "one_core_seconds": round(statistics.median(processed), 4),
        "imports_mb": round(before),
        "bag_mb": round(bag.nbytes / 1e6),
        "peak_mb": round(peak_mb()),
    }


def timed(run: Callable, threads: int, repeats: int, clock: Callable) -> list[float]:
    """Run once to warm up and then several times; give the seconds of each."""
    import torch

    torch.set_num_threads(threads)
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start = clock()
            run()
            seconds.append(clock() - start)
    return seconds[1:]


def peak_mb() -> float:
    """Give the largest memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    sys.exit(main())
