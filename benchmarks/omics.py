"""Seconds and memory to read a whole transcriptome of many samples.

Usage: ``python benchmarks/omics.py [--genes 60660] [--samples 1000]``

A gzipped TSV of made-up TPM is written in both orientations (genes in rows, as most
portals give it, and samples in rows) and read by `read_omics` in a process of its own,
whose peak memory counts. Prints one JSON object; the budget is 60 s and 4 GB on two
cores for 60,660 genes and 1,000 samples.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ORIENTATIONS = ("genes in rows", "samples in rows")
BUDGET_SECONDS = 60.0
BUDGET_BYTES = 4 * 10**9


def main() -> int:
    """Write the tables, read each in its own process, print one JSON object."""
    arguments = parse()
    if arguments.read is not None:
        print(json.dumps(read(arguments.read)))
        return 0
    report = {
        "genes": arguments.genes,
        "samples": arguments.samples,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "readings": {},
    }
    values = made_up(arguments.genes, arguments.samples)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for orientation in ORIENTATIONS:
            path = Path(folder) / f"{orientation.replace(' ', '_')}.tsv.gz"
            write(path, values, orientation)
            done = subprocess.run(
                [sys.executable, __file__, "--read", str(path)],
                check=True,
                capture_output=True,
                text=True,
            )
            entry = json.loads(done.stdout)
            entry["file_mb"] = round(path.stat().st_size / 1e6, 1)
            entry["within_budget"] = (
                entry["seconds"] < BUDGET_SECONDS
                and entry["peak_mb"] * 1e6 < BUDGET_BYTES
            )
            report["readings"][orientation] = entry
            path.unlink()
    print(json.dumps(report, indent=2))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, default=60_660)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--folder", help="for the tables, where /tmp is too small")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    return parser.parse_args()


def made_up(genes: int, samples: int) -> np.ndarray:
    """TPM of the shape of real ones, sample × gene: most low, a third zero."""
    rng = np.random.default_rng(0)
    level = rng.lognormal(0, 2.5, genes) * (rng.random(genes) > 0.33)
    values = np.empty((samples, genes), dtype=np.float32)
    for row in values:
        row[:] = level * rng.lognormal(0, 0.5, genes)
        row *= 1e6 / row.sum()
    return values


def write(path: Path, values: np.ndarray, orientation: str) -> None:
    """Write a table as text with four decimals."""
    ids = [f"ENSG{i:011d}.{i % 20 + 1}" for i in range(values.shape[1])]
    names = [f"TCGA-A1-{i:04d}-01A-11R-A12D-07" for i in range(values.shape[0])]
    genes_first = orientation == ORIENTATIONS[0]
    rows, columns = (ids, names) if genes_first else (names, ids)
    corner = "gene_id" if genes_first else "sample"
    with gzip.open(path, "wt", compresslevel=1) as stream:
        stream.write("\t".join([corner, *columns]) + "\n")
        for name, row in zip(rows, values.T if genes_first else values, strict=True):
            cells = np.round(row.astype(float), 4).tolist()
            stream.write("\t".join([name, *map(repr, cells)]) + "\n")


def read(path: str) -> dict[str, object]:
    """Read one table and say what it took."""
    start = time.perf_counter()
    from napari_mmsubtype.omics.table import read_omics

    imported = time.perf_counter()
    table = read_omics(path)
    seconds = time.perf_counter() - imported
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "shape": list(table.shape),
        "unit": table.uns["mmsubtype"]["unit"],
        "import_seconds": round(imported - start, 2),
        "seconds": round(seconds, 2),
        "peak_mb": round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6),
    }


if __name__ == "__main__":
    sys.exit(main())
