from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from builders.bundles import first_schema_demo, tiny_bundle
from napari_mmsubtype.errors import BundleIntegrityError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_details import describe_bundle, read_origin
from napari_mmsubtype.models.bundle_pack import pack_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("details") / "tiny")


def test_it_says_what_the_loaded_bundle_is(pristine):
    details, bundle = describe_bundle(pristine), load_bundle(pristine)
    assert details.summary.digest == bundle.digest
    assert details.manifest["heads"] == bundle.heads.describe()
    assert details.manifest["patch"]["size_px"] == bundle.patch.size_px
    assert details.calibration["temperature"] == bundle.temperature
    assert details.card == bundle.card
    assert details.facts.to_info() == bundle.info
    for modality, spec in bundle.modalities.items():
        found = details.features[modality]
        assert found["names"] == list(spec.names)
        assert (found["unit"], found["count"]) == (spec.unit, len(spec))
    assert details.origin == {}
    assert any("license" in note for note in details.notes)


def test_a_zip_says_the_same(pristine, tmp_path):
    zipped = pack_bundle(pristine, tmp_path / "a.zip")
    found, expected = (describe_bundle(p).to_json() for p in (zipped, pristine))
    assert found.pop("path") == str(zipped)
    assert expected.pop("path") == str(pristine)
    assert found == expected


def test_a_bundle_of_the_first_schema_is_migrated(tmp_path):
    details = describe_bundle(first_schema_demo(tmp_path / "demo"))
    assert details.summary.schema == 1
    assert list(details.manifest["heads"]) == ["class"]
    record = json.loads(json.dumps(details.to_json(), allow_nan=False))
    assert record["features"]["rna"]["count"] == 286
    assert record["info"]["metrics"]["ROC-AUC, image"]["value"] == 0.8563


def test_a_changed_file_is_found(pristine, tmp_path):
    folder = shutil.copytree(pristine, tmp_path / "b")
    (folder / "MODEL_CARD.md").write_text("# Better")
    with pytest.raises(BundleIntegrityError, match=r"'MODEL_CARD\.md'.*was changed"):
        describe_bundle(folder)


def test_an_origin_is_read_and_must_be_json(tmp_path):
    assert read_origin(tmp_path) == {}
    (tmp_path / "origin.json").write_text('{"source": "hf://a/b"}')
    assert read_origin(tmp_path) == {"source": "hf://a/b"}
    (tmp_path / "origin.json").write_text("x")
    with pytest.raises(BundleIntegrityError, match=r"'origin\.json'.*not JSON"):
        read_origin(tmp_path)


def test_no_network_is_needed_to_describe_one():
    script = (
        "import sys\n"
        "from napari_mmsubtype.models.bundle_details import describe_bundle\n"
        "from napari_mmsubtype.models.bundle_library import list_bundles\n"
        "describe_bundle('demo'); list_bundles()\n"
        "sys.exit('torch' in sys.modules or 'huggingface_hub' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
