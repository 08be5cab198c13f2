from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow
import pytest

from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_details import describe_bundle
from napari_mmsubtype.models.bundle_manifest import (
    find_bundle,
    load_features,
    read_json,
    read_manifest,
    read_modalities,
)
from napari_mmsubtype.models.bundle_verify import verify_bundle


def copy_demo(folder: Path) -> Path:
    import shutil

    return Path(shutil.copytree(find_bundle("demo"), folder / "bundle"))


def test_features_are_those_of_the_whole_bundle() -> None:
    bundle = load_bundle("demo")
    name, modalities = load_features("demo")
    assert name == bundle.name
    assert list(modalities) == list(bundle.modalities)
    for modality, spec in modalities.items():
        expected = bundle.modalities[modality]
        pd.testing.assert_frame_equal(spec.features, expected.features)
        assert (spec.unit, spec.clip) == (expected.unit, expected.clip)


def loaded(work: str, *modules: str) -> str:
    """Say which modules a process has loaded after some work."""
    script = f"import sys\n{work}\nprint([m for m in {modules!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_features_need_no_torch() -> None:
    work = (
        "from napari_mmsubtype.models.bundle_manifest import load_features\n"
        "load_features('demo')"
    )
    assert loaded(work, "torch", "pandas") == "['pandas']"


def test_what_reads_tables_is_loaded_with_tables() -> None:
    work = "import napari_mmsubtype.workflows.analyze"
    assert loaded(work, "torch", "pandas", "pyarrow", "anndata") == "['torch']"


def test_a_changed_table_is_refused(tmp_path: Path) -> None:
    folder = copy_demo(tmp_path)
    with (folder / "features" / "rna.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleIntegrityError, match=r"rna\.parquet"):
        load_features(folder)


def test_a_table_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    folder = copy_demo(tmp_path)
    (folder / "features" / "rna.parquet").write_bytes(b"x")
    manifest = read_json(folder / "bundle.json")
    with pytest.raises(BundleIntegrityError, match="not a readable Parquet table"):
        read_modalities(folder, manifest)


def test_a_modality_that_is_not_described_is_refused(tmp_path: Path) -> None:
    folder = copy_demo(tmp_path)
    manifest = read_json(folder / "bundle.json")
    manifest["modalities"]["rna"].pop("unit")
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="features"):
        load_features(folder)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text('{"schema": 99}')
    with pytest.raises(BundleError, match="schema 99"):
        read_manifest(tmp_path, tmp_path)


@pytest.mark.parametrize(("text", "says"), [("[", "not JSON"), ("[]", "a list")])
def test_json_that_is_no_object_is_refused(tmp_path, text, says) -> None:
    (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(BundleIntegrityError, match=says):
        read_json(tmp_path / "bundle.json")


def test_there_is_no_bundle_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        load_features(tmp_path / "gone")
    assert find_bundle(tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (["modalities"], ["rna"]),
        (["modalities"], "1e9"),
        (["modalities", "rna", "clip"], "nan"),
        (["modalities", "rna", "clip"], 0),
        (["modalities", "rna", "min_coverage"], "0.5"),
        (["modalities", "rna", "min_coverage"], 1e9),
        (["modalities", "rna", "min_coverage"], 10**400),
        (["patch"], [{}]),
        (["patch", "min_tissue"], "x"),
        (["patch", "min_tissue"], 2),
        (["patch", "mpp"], None),
        (["heads"], [{}]),
        (["heads", "class"], "classes"),
    ],
)
@pytest.mark.parametrize("read", [describe_bundle, load_bundle, verify_bundle])
def test_what_is_no_fact_of_a_model_is_refused(tmp_path, where, value, read) -> None:
    folder = copy_demo(tmp_path)
    manifest = read_json(folder / "bundle.json")
    *inside, last = where
    place = manifest
    for name in inside:
        place = place[name]
    place[last] = value
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="bundle"):
        read(folder)


def test_a_table_that_pyarrow_alone_finds_damaged_is_told(tmp_path, monkeypatch):
    def _fail(*_, **__):
        raise pyarrow.ArrowException("Unknown error")

    monkeypatch.setattr(pd, "read_parquet", _fail)
    with pytest.raises(BundleIntegrityError, match="is not a readable Parquet table"):
        load_features("demo")
