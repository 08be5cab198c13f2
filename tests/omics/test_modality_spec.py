from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders.omics import beta_frame, log_frame
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.feature_groups import FeatureGroups
from napari_mmsubtype.omics.modality_spec import ModalitySpec
from napari_mmsubtype.omics.preprocessing import fit_modality

SPEC = fit_modality(log_frame(20), modality="rna", unit="log2(tpm+1)")
REFERENCE = pd.DataFrame(np.zeros((4, len(SPEC))), columns=list(SPEC.names))


def spec(**fields: object) -> ModalitySpec:
    return ModalitySpec("rna", "log2 tpm", 6.0, 0.5, SPEC.features, **fields)


def test_a_plain_specification_needs_no_more_than_before():
    plain = spec()
    assert plain.unit == "log2(tpm+1)"
    assert (plain.rank_normal, plain.neighbors, plain.steps) == (False, 0, ())
    assert plain.reference is plain.probes is plain.groups is None


def test_training_patients_are_kept_small_and_without_their_names():
    named = REFERENCE.set_axis(["TCGA-A", "TCGA-B", "TCGA-C", "TCGA-D"])
    kept = spec(neighbors=2, reference=named).reference
    assert (kept.dtypes == np.float32).all()
    assert list(kept.index) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"neighbors": 5}, "no table of training patients"),
        ({"reference": REFERENCE}, "by 0 neighbors and a table"),
        ({"neighbors": 5, "reference": REFERENCE.iloc[:, ::-1]}, "in their order"),
        ({"neighbors": 5, "reference": REFERENCE.iloc[:0]}, "in their order"),
        (
            {"probes": pd.DataFrame({"probe": ["cg1"], "feature": ["ESR1"]})},
            "belongs to methylation",
        ),
        ({"groups": FeatureGroups(("a",), ((0, 99),))}, "names feature 99"),
    ],
)
def test_parts_that_do_not_fit_are_refused(fields, words):
    with pytest.raises(ConfigurationError, match=words):
        spec(**fields)


def test_probes_must_lead_to_features():
    methylation = fit_modality(beta_frame(), modality="methylation", unit="beta")
    probes = pd.DataFrame({"probe": ["cg1"], "feature": ["NOBODY"]})
    with pytest.raises(ConfigurationError, match="'NOBODY'"):
        ModalitySpec("methylation", "beta", 6, 0.5, methylation.features, probes=probes)


def test_weights_and_groups_change_nothing_else():
    groups = FeatureGroups(("a",), ((0, 1),))
    full = spec(neighbors=2, reference=REFERENCE, steps=("one",))
    changed = full.with_weights(np.arange(len(SPEC))).with_groups(groups)
    assert changed.groups == groups
    assert changed.features["weight"].tolist() == list(range(len(SPEC)))
    assert (changed.neighbors, changed.steps) == (2, ("one",))
    pd.testing.assert_frame_equal(changed.reference, full.reference)
