"""Prepare omics tables for a model: fit on training patients, apply, keep, reload.

Usage: ``python examples/prepare_tables.py [--out FOLDER]``

The patients are synthetic; read your own tables with ``read_omics``, and your own gene
sets with ``read_gmt``.
"""

import argparse
from pathlib import Path

import numpy as np

from napari_mmsubtype import read_omics
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.omics.feature_groups import group_options, match_gene_sets
from napari_mmsubtype.omics.gene_programs import PROGRAMS
from napari_mmsubtype.omics.gene_sets import GeneSet, read_gmt, write_gmt
from napari_mmsubtype.omics.preprocessing import (
    FitOptions,
    fit_table,
    load_spec,
    save_spec,
    transform_table,
)
from napari_mmsubtype.omics.synthetic import synthetic_cohort, write_cohort


def main() -> None:
    """Fit RNA and clinical variables, and make a model with a token per gene set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("example_out"))
    out = parser.parse_args().out

    paths = write_cohort(synthetic_cohort(60, seed=7), out / "synthetic_tables")
    rna = read_omics(paths["rna"], unit="log2(tpm+1)")
    training = list(rna.obs_names[:40])

    options = FitOptions(select="mad", top=150, imputation="knn")
    spec = fit_table(rna, training, options=options)
    print(*spec.steps, sep="\n")

    sets = [GeneSet(p.name, "synthetic cohort", p.genes) for p in PROGRAMS]
    sets = read_gmt(write_gmt(out / "programs.gmt", sets))
    match = match_gene_sets(sets, spec.features, min_size=10)
    print(*match.notes, sep="\n")
    spec = spec.with_groups(match.groups)

    save_spec(out / "preprocessing", spec)
    again = load_spec(out / "preprocessing", "rna")
    values = transform_table(rna[40:], again)
    assert np.array_equal(values.X, transform_table(rna[40:], spec).X)
    print(f"{values.n_obs} test patients, {values.n_vars} features")

    clinical = read_omics(paths["clinical"], modality="clinical")
    schema = {
        "age": {"kind": "numeric", "unit": "years"},
        "nodal_status": {"kind": "ordinal", "order": "n"},
        "sex": "category",
    }
    variables = fit_table(clinical, training, schema=schema)
    print("clinical:", ", ".join(variables.names))

    model = create_fusion(
        "cross_attention",
        dim=96,
        classes=2,
        omics={"rna": len(spec), "clinical": len(variables)},
        groups=group_options({spec.modality: spec}),
    )
    print(f"tokens: {', '.join(match.groups.names)}")
    assert model.encoders["rna"].tokens == match.groups.tokens


if __name__ == "__main__":
    main()
