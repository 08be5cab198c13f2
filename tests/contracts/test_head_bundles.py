"""What a bundle says of its heads is checked, whatever it says."""

from __future__ import annotations

import json
import shutil

import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead

LABELS = ["Luminal", "Basal/HER2"]
CLASS = {"kind": "classes", "labels": LABELS}
HEADS = Heads(
    {
        "class": ClassHead(tuple(LABELS)),
        "stage": OrdinalHead(("I", "II", "III"), late="II"),
        "risk": CoxHead(event="death", center=0.5),
        "survival": HazardHead((12.0, 60.0), event="death"),
    }
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", heads=HEADS)


@pytest.fixture
def folder(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "bundle")


def claim(folder, heads):
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["heads"] = heads(manifest["heads"]) if callable(heads) else heads
    if manifest["heads"] is None:
        del manifest["heads"]
    path.write_text(json.dumps(manifest))


def test_heads_come_back_as_they_were(pristine):
    bundle = load_bundle(pristine)
    assert list(bundle.heads.heads.items()) == list(HEADS.heads.items())
    assert bundle.fusion.classes == HEADS.size == 8


@pytest.mark.parametrize(
    ("heads", "says"),
    [
        (None, "no 'heads'"),
        ([], "does not describe a model"),
        ({}, "first head must tell classes apart"),
        ({"class": "classes"}, "does not describe a model"),
        ({"stage": {"kind": "ordinal", "levels": ["I", "II"]}}, "first head must"),
        ({"class": {"kind": "classes", "labels": LABELS[:1]}}, "first head tells"),
        ({"class": CLASS}, "does not fit its fusion 'evidence'"),
        (lambda h: {**h, "risk": {"kind": "cox", "ties": "exact"}}, "'exact'"),
        (lambda h: {**h, "risk": {"kind": "cox", "centre": 1}}, "centre"),
        (lambda h: {**h, "risk": {"kind": "weibull"}}, "of kind 'weibull'; known are"),
        (lambda h: {**h, "stage": {**h["stage"], "late": "V"}}, "must be one of"),
        (lambda h: {**h, "survival": {**h["survival"], "edges": [60, 12]}}, "rise"),
        (lambda h: {**h, "survival": {**h["survival"], "edges": None}}, "'survival'"),
        (lambda h: {**h, "stage": {**h["stage"], "levels": 3}}, "'stage'"),
        (lambda h: dict(reversed(h.items())), "first head must tell classes apart"),
    ],
)
def test_heads_that_are_none_are_one_clear_error(folder, heads, says):
    claim(folder, heads)
    with pytest.raises(BundleError, match=says) as caught:
        load_bundle(folder)
    assert len(str(caught.value)) < 500
