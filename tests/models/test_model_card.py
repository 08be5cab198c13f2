from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from builders.bundles import modality_spec
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.model_card import render_card
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.survival_heads import HazardHead
from napari_mmsubtype.omics.feature_groups import FeatureGroups


@pytest.fixture(scope="module")
def card():
    plain = modality_spec(Modality.RNA)

    def render(spec=plain, others=(), **info):
        return render_card(
            name="demo",
            version="1.2",
            classes=(LUMINAL, BASAL_HER2),
            heads=Heads(
                {"class": ClassHead(("Luminal", "Basal/HER2")), **dict(others)}
            ),
            encoder=create_encoder("demo-cnn"),
            fusion=create_fusion("evidence", dim=96, classes=2, omics={"rna": 9}),
            patch=PatchSpec(128, 1.0, 128),
            modalities={Modality.RNA: spec},
            trust=["- Temperature: 1.25"],
            info=info,
        )

    return render


def test_it_says_where_a_bundle_holds_values_of_patients(card):
    assert "patients" not in card()
    spec = modality_spec(Modality.RNA)
    reference = pd.DataFrame(np.zeros((31, 9)), columns=list(spec.names))
    spec = replace(spec, neighbors=5, reference=reference, rank_normal=True)
    spec = spec.with_groups(FeatureGroups(("a",), ((0, 1),), learned=2))
    (line,) = [x for x in card(spec).splitlines() if x.startswith("- Modality rna")]
    for words in ("ranked within", "3 groups", "31 training patients, without their"):
        assert words in line


def test_it_states_the_model_and_its_purpose(card):
    text = card()
    assert text.startswith("# demo 1.2\n")
    assert "Research use only" in text
    for part in (
        "Luminal, Basal/HER2",
        "demo-cnn, 96 features, 128 px patches at 1 µm/px",
        "rna: 9 features, unit log2(tpm+1)",
        "Temperature: 1.25",
    ):
        assert part in text


def test_it_says_what_else_is_answered(card):
    assert "Also answers" not in card()
    text = card(
        others={
            "stage": OrdinalHead(("I", "II", "III"), late="III"),
            "survival": HazardHead((12.0, 24.5), event="death"),
        }
    )
    assert "- Also answers stage: one level of I, II, III, in this order" in text
    line = "- Also answers survival: the chance of no death until 12, 24.5 months"
    assert line in text.splitlines()


def test_unknown_facts_are_said_to_be_unknown(card):
    assert card().count("Not stated.") == 8
    assert "## Limits\n\nonly made-up tissue" in card(limits="only made-up tissue")


def test_metrics_carry_their_intervals(card):
    text = card(
        metrics={"AUC": {"value": 0.91, "low": 0.85, "high": 0.95}, "patients": 60}
    )
    assert "- AUC: 0.91 (95 % interval 0.85 to 0.95)" in text
    assert "- patients: 60" in text


def test_facts_without_a_place_are_listed_at_the_end(card):
    text = card(seed=7, folds=[1, 2, 3], sites=["A2", "BH"])
    assert "## Sites\n\n- A2\n- BH" in text
    assert text.endswith("## Further facts\n\n- seed: 7\n- folds: 1, 2, 3\n")
