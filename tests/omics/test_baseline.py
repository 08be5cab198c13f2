from dataclasses import replace

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.omics.baseline import baseline_values
from napari_mmsubtype.omics.preprocessing import align_sample, fit_modality
from napari_mmsubtype.omics.table import read_omics


def aligned(path, frame, spec):
    frame.to_csv(path, index=False)
    table = read_omics(path, modality=spec.modality)
    return align_sample(table, "P99", replace(spec, min_coverage=0.0)).values


def test_a_gene_starts_where_the_model_puts_one_that_is_missing(tmp_path):
    rng = np.random.default_rng(0)
    genes = ["ESR1", "PGR", "KRT5", "EGFR", "GATA3"]
    frame = pd.DataFrame(np.log2(1 + 50 * rng.gamma(2.0, 1.0, (30, 5))), columns=genes)
    spec = fit_modality(frame, modality="rna", unit="log2(tpm+1)")
    found = baseline_values(spec)
    assert found.dtype == np.float32
    assert np.abs(found).max() > 0.01
    silent = pd.DataFrame({"sample": ["P99", "P98"], "ESR1": [4.5, 7.25]})
    values = aligned(tmp_path / "rna.csv", silent, spec)
    at = spec.names.index("ESR1")
    assert values[at] != found[at]
    np.testing.assert_allclose(np.delete(values, at), np.delete(found, at), atol=1e-6)


def test_a_clinical_variable_starts_at_no_answer(tmp_path):
    training = pd.DataFrame(
        {
            "age": [40.0 + i for i in range(39)] + [None],
            "menopause": ["pre", "post"] * 19 + [None, "pre"],
            "smoker": ["yes", "no", "no", "no"] * 10,
        },
        index=[f"P{i}" for i in range(40)],
    )
    spec = fit_modality(training, modality=Modality.CLINICAL, unit="")
    assert {"missing", "category", "numeric"} == set(spec.features["kind"])
    silent = pd.DataFrame(
        {
            "patient_id": ["P99", "P98"],
            "age": [None, 50.0],
            "menopause": [None, "pre"],
            "smoker": [None, "yes"],
        }
    )
    values = aligned(tmp_path / "clinical.csv", silent, spec)
    np.testing.assert_allclose(baseline_values(spec), values, atol=1e-6)
