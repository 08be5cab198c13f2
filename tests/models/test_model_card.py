from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from builders.bundles import modality_spec
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.model_card import NOT_STATED, card_body, render_card
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.survival_heads import HazardHead
from napari_mmsubtype.models.training_facts import TrainingFacts
from napari_mmsubtype.omics.feature_groups import FeatureGroups


@pytest.fixture(scope="module")
def card():
    plain = modality_spec(Modality.RNA)

    def render(spec=plain, others=(), encoder=None, fusion=None, **info):
        return render_card(
            name="demo",
            version="1.2",
            classes=(LUMINAL, BASAL_HER2),
            heads=Heads(
                {"class": ClassHead(("Luminal", "Basal/HER2")), **dict(others)}
            ),
            encoder=encoder or create_encoder("demo-cnn"),
            fusion=fusion
            or create_fusion("evidence", dim=96, classes=2, omics={"rna": 9}),
            patch=PatchSpec(128, 1.0, 128),
            modalities={Modality.RNA: spec},
            calibration=["- Temperature: 1.25"],
            facts=TrainingFacts.from_info(info),
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


def test_it_names_the_modalities_that_the_model_looks_at(card):
    def line(**options):
        (found,) = [x for x in card(**options).splitlines() if "Modalities:" in x]
        return found.removeprefix("- Modalities: ")

    assert line() == "image, rna (any of them may be missing)"
    alone = create_fusion("rna_only", dim=96, classes=2, omics={"rna": 9})
    assert line(fusion=alone) == "rna alone (what is given of image is not looked at)"
    plain = create_fusion("image_only", dim=96, classes=2, omics={})
    assert line(fusion=plain) == "image"


def test_it_states_the_model_and_its_purpose(card):
    text = card_body(card())
    assert text.startswith("# demo 1.2\n")
    assert "Research use only" in text
    for part in (
        "Luminal, Basal/HER2",
        "demo-cnn, 96 features, 128 px patches at 1 µm/px",
        "rna: 9 features, unit log2(tpm+1)",
        "- Temperature: 1.25",
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


def section(text: str, title: str) -> str:
    """The part of a card below one heading."""
    return text.partition(f"\n## {title}\n\n")[2].partition("\n\n## ")[0].strip()


def test_unknown_facts_are_said_to_be_unknown(card):
    text = card()
    stated = {"Model", "Calibration", "License"}
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert len(titles) == 12
    for title in titles:
        assert (section(text, title) == NOT_STATED) == (title not in stated), title
    assert "- Weights: Not stated." in section(text, "License")
    # Nothing of a number appears where none was given.
    assert not re.search(r"\d", section(text, "Performance"))
    assert (
        section(card(limits="only made-up tissue"), "Limits") == "only made-up tissue"
    )


def test_metrics_carry_their_intervals(card):
    text = card(
        metrics={
            "AUC, image+rna": {"value": 0.91, "low": 0.85, "high": 0.95, "cases": 60},
            "AUC, image": {"value": 0.8, "low": 0.7, "high": 0.9, "level": 0.9},
            "kappa, image": 0.5,
            "map AUC": 0.99,
            "how": "by hand",
        }
    )
    assert section(text, "Performance").splitlines() == [
        "- AUC, image+rna: 0.91 (95 % interval 0.85 to 0.95), 60 cases",
        "- map AUC: 0.99",
        "- how: by hand",
    ]
    assert section(text, "With modalities missing").splitlines() == [
        "| given | AUC | kappa |",
        "| --- | --- | --- |",
        "| image+rna | 0.91 (95 % interval 0.85 to 0.95), 60 cases | not stated |",
        "| image | 0.8 (90 % interval 0.7 to 0.9) | 0.5 |",
    ]


def test_patients_are_counted_by_split_and_class(card):
    patients = {
        "training": {"Basal/HER2": 5, "Luminal": 7},
        "held out": {"Luminal": 2, "other": 1},
        "excluded": "3, for want of tissue",
    }
    assert section(card(patients=patients), "Patients").splitlines() == [
        "- excluded: 3, for want of tissue",
        "",
        "| split | Luminal | Basal/HER2 | other | all |",
        "| --- | --- | --- | --- | --- |",
        "| training | 7 | 5 | 0 | 12 |",
        "| held out | 2 | 0 | 1 | 3 |",
    ]


def test_facts_without_a_place_are_listed_at_the_end(card):
    text = card(seed=7, folds=[1, 2, 3], sites=["A2", "BH"])
    assert "## Sites\n\n- A2\n- BH" in text
    assert text.endswith("## Further facts\n\n- seed: 7\n- folds: 1, 2, 3\n")


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        (None, "unknown"),
        ("MIT", "mit"),
        ("BSD-3-Clause, as the package that made it.", "bsd-3-clause"),
        ("CC-BY-NC-ND-4.0", "cc-by-nc-nd-4.0"),
        ("Terms: of our house\n---\nlicense: mit", "other"),
    ],
)
def test_model_hubs_can_read_the_front_matter(card, stated, name):
    text = card(**({"license": stated} if stated else {}), synthetic=True)
    opening, header, body = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    found = yaml.safe_load(header)
    assert opening == ""
    assert body.lstrip("\n") == card_body(text)
    assert found["license"] == name
    assert found.get("license_name") == (stated if name == "other" else None)
    assert found["library_name"] == "napari-mmsubtype"
    assert {"pathology", "demo-cnn", "evidence", "synthetic-data"} <= set(found["tags"])
    assert "base_model" not in found


def test_an_encoder_brings_its_terms_and_what_it_saw(card):
    encoder = create_encoder("demo-cnn")
    encoder.name = "midnight-12k"
    text = card(encoder=encoder, license="MIT")
    terms = section(text, "License")
    assert "- Encoder midnight-12k: MIT (https://huggingface.co/kaiko-ai" in terms
    assert "saw TCGA" in terms
    assert yaml.safe_load(text.split("---")[1])["base_model"] == "kaiko-ai/midnight"
    own = card(encoder=encoder, pretraining="our slides", encoder_license="ours")
    assert "- Pretraining of the encoder: our slides" in own
    assert "saw TCGA" not in own


@pytest.mark.parametrize(
    ("origin", "stated", "words"),
    [
        ("", None, "- Pretraining of the encoder: Not stated."),
        ("torchvision's resnet18", None, "encoder: ImageNet-1k (photographs)"),
        ("file w.pth", None, "- Of the encoder's pretraining: ask its authors"),
        ("hf://owkin/phikon-v2@main", None, "- The encoder saw TCGA before this"),
        ("file w.pth", "TCGA and ours", "- The encoder saw TCGA before this"),
    ],
)
def test_where_the_weights_began_is_what_it_saw(card, origin, stated, words):
    encoder = create_encoder("demo-cnn")
    encoder.origin = origin
    assert words in section(card(encoder=encoder, pretraining=stated), "License")


def test_a_card_of_old_has_no_header_to_take_off():
    assert card_body("# demo 1.0.0\n\ntext\n") == "# demo 1.0.0\n\ntext\n"
