from __future__ import annotations

import pytest

from builders.bundles import modality_spec
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_schema import (
    check_info,
    check_parts,
    modality_files,
)
from napari_mmsubtype.models.class_heads import ClassHead
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.survival_heads import CoxHead
from napari_mmsubtype.omics.feature_groups import FeatureGroups, group_options


@pytest.fixture
def parts():
    spec = modality_spec(Modality.RNA)
    return {
        "classes": (LUMINAL, BASAL_HER2),
        "heads": Heads({"class": ClassHead((LUMINAL.name, BASAL_HER2.name))}),
        "encoder": create_encoder("demo-cnn"),
        "fusion": create_fusion(
            "evidence", dim=96, classes=2, omics={"rna": len(spec.features)}
        ),
        "patch": PatchSpec(size_px=128, mpp=1.0, stride_px=128),
        "modalities": {Modality.RNA: spec},
        "temperature": 1.0,
    }


def test_parts_that_belong_together_pass(parts):
    check_parts(**parts)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("classes", (LUMINAL,), r"classes are \['Luminal'\] but the first head tells"),
        (
            "heads",
            Heads({"class": ClassHead(("Luminal", "Basal/HER2")), "risk": CoxHead()}),
            r"heads take \{'class': 2, 'risk': 1\} logits but fusion gives 2",
        ),
        ("patch", PatchSpec(64, 1.0, 64), "64 px but the encoder takes 128"),
        ("modalities", {}, r"tables have \{\} features but fusion takes \{'rna': 9\}"),
        ("temperature", 0.0, "temperature is 0.0 but must be positive"),
        ("temperature", float("nan"), "temperature is nan"),
    ],
)
def test_each_misfit_is_named(parts, part, value, message):
    parts[part] = value
    with pytest.raises(BundleError, match=message):
        check_parts(**parts)


def test_every_misfit_is_named_at_once(parts):
    parts["classes"], parts["temperature"] = (LUMINAL,), -1.0
    parts["encoder"].dim = 7
    with pytest.raises(BundleError, match=r"classes are.*7 features.*temperature"):
        check_parts(**parts)


def test_features_lie_in_their_own_folder():
    assert modality_files("rna", {}) == ("features/rna.parquet",)
    assert modality_files("methylation", {"reference": 5, "probes": 9}) == (
        "features/methylation.parquet",
        "features/methylation.reference.parquet",
        "features/methylation.probes.parquet",
    )


def test_groups_must_be_those_of_the_fusion_model(parts):
    groups = FeatureGroups(("one", "rest"), ((0, 1, 2), tuple(range(3, 9))))
    spec = parts["modalities"][Modality.RNA].with_groups(groups)
    parts["modalities"] = {Modality.RNA: spec}
    with pytest.raises(BundleError, match="groups of rna features are not those"):
        check_parts(**parts)
    parts["fusion"] = create_fusion(
        "cross_attention",
        dim=96,
        classes=2,
        omics={"rna": 9},
        groups=group_options(parts["modalities"]),
    )
    check_parts(**parts)


@pytest.mark.parametrize(
    "info",
    [{}, {"icc": True, "stain": "vahadane"}, {"icc": False, "stain": None}],
)
def test_colors_that_are_understood_pass(info):
    check_info(info)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"icc": "yes"}, "info.icc is 'yes', expected true or false"),
        ({"icc": 1}, "info.icc is 1"),
        ({"stain": "Macenko"}, '\'Macenko\', expected "macenko", "reinhard"'),
        ({"stain": ["macenko"]}, "info.stain is"),
        ({"stain": False}, "info.stain is False"),
        ({"icc": None, "stain": "x"}, "info.icc is None.*; info.stain is 'x'"),
    ],
)
def test_colors_that_are_not_understood_are_one_error(info, message):
    with pytest.raises(BundleError, match=message):
        check_info(info)
