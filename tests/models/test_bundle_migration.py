from __future__ import annotations

import json

import pytest

from builders.bundles import first_schema_demo, tiny_bundle
from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_manifest import read_json
from napari_mmsubtype.models.bundle_migration import MIGRATIONS, migrate
from napari_mmsubtype.models.bundle_schema import SCHEMA_VERSION


def first():
    return {"schema": 1, "name": "m", "classes": [{"name": "A"}, {"name": "B"}]}


def test_every_schema_before_this_one_is_brought_up_to_date():
    assert list(MIGRATIONS) == list(range(1, SCHEMA_VERSION))


def test_schema_1_gets_the_one_head_it_had():
    older, values = first(), {"temperature": 1.5}
    manifest, calibration = migrate(older, values)
    labels = ["A", "B"]
    assert manifest["heads"] == {"class": {"kind": "classes", "labels": labels}}
    assert manifest["schema"] == 2
    assert calibration == {"temperature": 1.5}
    assert older == first(), "what was read stays as it is"


def test_the_present_schema_stays_as_it_is():
    manifest = {**first(), "schema": SCHEMA_VERSION, "heads": {"a": 1}}
    assert migrate(manifest, {"x": 2}) == (manifest, {"x": 2})


@pytest.mark.parametrize("classes", [None, ["A"], [{"title": "A"}]])
def test_what_cannot_be_changed_is_named(classes):
    with pytest.raises(BundleError, match="'m' cannot be brought from schema 1 to 2"):
        migrate({**first(), "classes": classes}, {})


def test_a_bundle_as_written_by_schema_1_loads(tmp_path):
    folder = first_schema_demo(tmp_path / "demo")
    assert read_json(folder / "bundle.json")["schema"] == 1
    bundle = load_bundle(folder)
    assert bundle.calibration == Calibration(0.8106304517598659)
    assert not bundle.guard
    assert list(bundle.heads.heads) == ["class"]
    assert bundle.heads.classes.labels == ("Luminal", "Basal/HER2")


def test_a_bundle_is_written_with_its_heads(tmp_path):
    folder = tiny_bundle(tmp_path / "b")
    manifest = json.loads((folder / "bundle.json").read_text())
    assert manifest["schema"] == SCHEMA_VERSION
    labels = ["Luminal", "Basal/HER2"]
    assert manifest["heads"] == {"class": {"kind": "classes", "labels": labels}}
