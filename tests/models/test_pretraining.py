from __future__ import annotations

import pytest

from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS
from napari_mmsubtype.models.pretraining import Pretraining, pretraining_of
from napari_mmsubtype.models.registry import list_encoders

COMMIT = "0" * 40
PHOTOGRAPHS = "torchvision's resnet50"


@pytest.mark.parametrize("name", list_encoders())
def test_every_encoder_has_a_note_once_it_has_weights(name):
    found = pretraining_of(name, "torchvision's weights")
    if name in FOUNDATION_MODELS:
        assert found.words == FOUNDATION_MODELS[name].pretraining
        assert found.saw_tcga == FOUNDATION_MODELS[name].saw_tcga
    else:
        assert found == Pretraining("ImageNet-1k (photographs)", False)
        assert found.caution == ""


@pytest.mark.parametrize(
    ("name", "origin", "words", "saw"),
    [
        ("demo-cnn", "", "", None),
        ("midnight-12k", "file w.bin", "TCGA", True),
        ("timm:vit_small_patch16_224", f"hf://owkin/phikon-v2@{COMMIT}", "TCGA,", True),
        (
            "timm:resnet18.a1_in1k",
            f"hf://timm/resnet18.a1_in1k@{COMMIT}",
            "timm",
            False,
        ),
        ("resnet50", "file w.pth", "file w.pth does not name", None),
        ("resnet50", f"hf://org/tcga-resnet50@{COMMIT}", "by its name", True),
        ("wsinfer:models/breast-tumor-resnet34.tcga-brca", "", "by its name", True),
        ("wsinfer:models/colorectal-resnet34.penn", "", "does not name", None),
        ("resvit", f"cnn: {PHOTOGRAPHS}; vit: {PHOTOGRAPHS}", "ImageNet-1k", False),
        ("resvit", f"cnn: {PHOTOGRAPHS}; vit: file v.pth", "file v.pth", None),
        ("resvit", f"cnn: file c.pth; vit: hf://owkin/phikon-v2@{COMMIT}", "G", True),
    ],
)
def test_name_and_origin_say_what_it_saw(name, origin, words, saw):
    found = pretraining_of(name, origin)
    assert words in found.words
    assert found.saw_tcga is saw


def test_the_same_source_is_named_once():
    found = pretraining_of("resvit", f"cnn: {PHOTOGRAPHS}; vit: {PHOTOGRAPHS}")
    assert found.words == "ImageNet-1k (photographs)"


def test_what_is_not_known_is_to_be_asked_for():
    seen = pretraining_of("midnight-12k", "")
    assert seen.caution == "results on patients of TCGA are not independent of it"
    assert "ask its authors" in pretraining_of("resnet18", "file w.pth").caution
    assert pretraining_of("resnet18", "").caution == ""
