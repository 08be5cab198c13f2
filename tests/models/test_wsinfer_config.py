from __future__ import annotations

import json

import pytest

from builders.wsinfer import MEAN, STD, config
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.wsinfer_config import read_wsinfer_config

RESIZE, TENSOR, NORMALIZE = config()["transform"]


def read(folder, content):
    (folder / "config.json").write_text(json.dumps(content))
    return read_wsinfer_config(folder)


def test_every_fact_is_read(tmp_path):
    found = read(tmp_path, config(2, 350, transform=[RESIZE, TENSOR, NORMALIZE]))
    assert found.class_names == ("class 0", "class 1")
    assert (found.patch_size_px, found.mpp, found.resized_px) == (350, 0.5, 64)
    assert (found.mean, found.std) == (tuple(MEAN), tuple(STD))
    assert (found.architecture, found.licence) == ("tiny", "not stated")


@pytest.mark.parametrize(
    ("steps", "resized", "mean"),
    [
        ([TENSOR], 350, (0.0, 0.0, 0.0)),
        ([TENSOR, NORMALIZE], 350, tuple(MEAN)),
        ([{"name": "Resize", "arguments": {"size": [96, 96]}}, TENSOR], 96, (0, 0, 0)),
        ([{**TENSOR, "arguments": None}], 350, (0.0, 0.0, 0.0)),
        (
            [
                {
                    "name": "Resize",
                    "arguments": {"size": 8, "interpolation": "bilinear"},
                },
                TENSOR,
            ],
            8,
            (0, 0, 0),
        ),
    ],
)
def test_ways_to_prepare_a_patch(tmp_path, steps, resized, mean):
    found = read(tmp_path, config(size=350, transform=steps))
    assert (found.resized_px, found.mean) == (resized, mean)


PUBLISHED = {
    "pancancer-lymphocytes-inceptionv4.tcga": (
        ("inception_v4nobn", ["Other", "Lymphocytes"], 100, 0.5, 299),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    ),
    "breast-tumor-resnet34.tcga-brca": (
        ("resnet34", ["Other", "Tumor"], 350, 0.25, 224),
        ([0.7238, 0.5716, 0.6779], [0.112, 0.1459, 0.1089]),
    ),
    "lung-tumor-resnet34.tcga-luad": (
        (
            "resnet34",
            ["Lepidic", "Benign", "Acinar", "Micropapillary", "Mucinous", "Solid"],
            350,
            0.5,
            224,
        ),
        ([0.8301, 0.66, 0.8054], [0.0864, 0.1602, 0.0647]),
    ),
    "prostate-tumor-resnet34.tcga-prad": (
        ("resnet34", ["Grade3", "Grade4or5", "Benign"], 175, 0.5, 224),
        ([0.6462, 0.507, 0.8055], [0.1381, 0.1674, 0.1358]),
    ),
    "breast-tumor-inception_v4.tcga-brca": (
        ("inception_v4", ["Other", "Tumor"], 350, 0.25, 299),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    ),
    # Scaled to 0 to 1 and not normalized.
    "colorectal-tiatoolbox-resnet50.kather100k": (
        (
            "resnet50",
            [
                "background",
                "normal_colon_mucosa",
                "debris",
                "colorectal_adenocarcinoma_epithelium",
                "adipose",
                "mucus",
                "smooth_muscle",
                "cancer_associated_stroma",
                "lymphocytes",
            ],
            224,
            0.5,
            224,
        ),
        None,
    ),
    "lymphnodes-tiatoolbox-resnet50.patchcamelyon": (
        ("resnet50", ["Other", "Metastasis"], 96, 1.0, 96),
        None,
    ),
}
"""Facts of models that the zoo holds, as their config.json states them."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_are_understood(tmp_path, name):
    (architecture, classes, size, mpp, resized), colors = PUBLISHED[name]
    steps = [
        {"name": "Resize", "arguments": {"size": resized}},
        {"name": "ToTensor"},
    ]
    if colors:
        mean, std = colors
        steps.append({"name": "Normalize", "arguments": {"mean": mean, "std": std}})
    content = {
        "spec_version": "1.0",
        "architecture": architecture,
        "num_classes": len(classes),
        "class_names": classes,
        "patch_size_pixels": size,
        "spacing_um_px": mpp,
        "transform": steps,
    }
    found = read(tmp_path, content)
    assert (found.architecture, list(found.class_names)) == (architecture, classes)
    assert (found.patch_size_px, found.mpp, found.resized_px) == (size, mpp, resized)
    mean, std = colors or ([0.0] * 3, [1.0] * 3)
    assert (list(found.mean), list(found.std)) == (mean, std)


def test_the_licence_is_that_of_the_card(tmp_path):
    card = "---\nlicense: cc-by-4.0\ntags: [a]\n---\n# Model\nlicense: none\n"
    (tmp_path / "README.md").write_text(card)
    assert read(tmp_path, config()).licence == "cc-by-4.0"
    (tmp_path / "README.md").write_text("# Model\nlicense: mit\n")
    assert read(tmp_path, config()).licence == "not stated"
    (tmp_path / "README.md").write_text("---\ntags: a\n---\nlicense: mit\n")
    assert read(tmp_path, config()).licence == "not stated"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spec_version": "2.0"}, "spec_version is '2.0', known is '1.0'"),
        ({"num_classes": 4}, "class_names are .* expected 4 different"),
        ({"class_names": ["a", "a", "b"]}, "expected 3 different"),
        ({"class_names": ["a", "", "b"]}, "expected 3 different"),
        ({"class_names": "abc"}, "class_names missing or of the wrong type"),
        ({"num_classes": True}, "num_classes missing or of the wrong type"),
        ({"patch_size_pixels": 0}, "patch_size_pixels is 0"),
        ({"spacing_um_px": -0.5}, "spacing_um_px -0.5, expected positive"),
        ({"spacing_um_px": None}, "spacing_um_px missing or of the wrong type"),
        ({"transform": []}, r"transform is \[\], expected ToTensor"),
        ({"transform": [TENSOR, RESIZE]}, "transform is .*, expected ToTensor"),
        ({"transform": [RESIZE, TENSOR, {"name": "Flip"}]}, "expected ToTensor"),
        ({"transform": ["ToTensor", 3]}, "expected ToTensor"),
        (
            {"transform": [{"name": "Resize", "arguments": {"side": 3}}, TENSOR]},
            "Resize has arguments .* known are antialias, interpolation, size",
        ),
        (
            {"transform": [{"name": "Resize", "arguments": {"size": [3, 4]}}, TENSOR]},
            "expected the side of a square",
        ),
        ({"transform": [{"name": "Resize"}, TENSOR]}, "expected the side of a square"),
        (
            {
                "transform": [
                    {"name": "Resize", "arguments": {"size": 3, "interpolation": 0}},
                    TENSOR,
                ]
            },
            "bilinear interpolation with antialiasing",
        ),
        (
            {
                "transform": [
                    TENSOR,
                    {"name": "Normalize", "arguments": {"mean": [1, 2], "std": STD}},
                ]
            },
            r"mean \[1, 2\], expected three numbers",
        ),
        (
            {
                "transform": [
                    TENSOR,
                    {
                        "name": "Normalize",
                        "arguments": {"mean": MEAN, "std": [1, 0, 1]},
                    },
                ]
            },
            "divides by .* expected positive",
        ),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, changes, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(tmp_path, config(**changes))
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("{", "be read"), ("[]", "an object")])
def test_what_is_no_configuration_is_refused(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_wsinfer_config(tmp_path)


def test_a_folder_without_configuration_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"with config.json and torchscript"):
        read_wsinfer_config(tmp_path / "gone")
