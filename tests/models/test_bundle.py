from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from builders.bundles import modality_spec, tiny_bundle
from builders.omics import beta_frame, log_frame
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.errors import BundleError, BundleIntegrityError, OutOfMemoryError
from napari_mmsubtype.models import bundle as bundle_module
from napari_mmsubtype.models import bundle_manifest
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_files import sha256_file
from napari_mmsubtype.models.fusion import create_fusion, list_fusions
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.omics.feature_groups import FeatureGroups, group_options
from napari_mmsubtype.omics.preprocessing import FitOptions, fit_modality
from napari_mmsubtype.omics.probe_annotation import tidy_annotation
from napari_mmsubtype.omics.spec_files import describe_spec


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "tiny"))


def seal(folder: Path, **changes) -> None:
    """Bring the manifest's hashes up to date, as a careful forger would."""
    manifest = json.loads((folder / "bundle.json").read_text())
    for name in manifest["files"]:
        if (folder / name).exists():
            manifest["files"][name] = sha256_file(folder / name)
    manifest.update(changes)
    (folder / "bundle.json").write_text(json.dumps(manifest))


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return target


def test_everything_comes_back(pristine):
    bundle = load_bundle(pristine)
    assert (bundle.name, bundle.version, bundle.path) == ("tiny", "0.0.1", pristine)
    assert bundle.digest == sha256_file(pristine / "bundle.json")
    assert bundle.classes == (LUMINAL, BASAL_HER2)
    assert bundle.patch == PatchSpec(128, 1.0, 128, 0.3)
    assert list(bundle.modalities) == ["rna", "methylation", "clinical"]
    for modality, spec in bundle.modalities.items():
        expected = modality_spec(modality)
        assert (spec.modality, spec.unit) == (expected.modality, expected.unit)
        assert (spec.clip, spec.min_coverage) == (expected.clip, expected.min_coverage)
        pd.testing.assert_frame_equal(spec.features, expected.features)
    assert bundle.temperature == 1.5
    assert "\n# tiny 0.0.1\n" in bundle.card
    assert bundle.info["data"] == "none (synthetic)"
    np.testing.assert_array_equal(bundle.reference["embedding_std"], np.ones(96))
    assert not bundle.encoder.training
    assert not bundle.fusion.training
    assert not any(p.requires_grad for p in bundle.fusion.parameters())


@pytest.mark.parametrize("name", list_fusions())
@pytest.mark.parametrize("tables", [(), ("rna",), ("rna", "clinical")])
def test_every_family_comes_back_bit_by_bit(tmp_path, name, tables):
    if name == f"{(own := name.removesuffix('_only'))}_only" and own != "image":
        tables = tuple({*tables, own})
    folder = tiny_bundle(tmp_path / "b", name, modalities=tables, seed=5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        encoder = create_encoder("demo-cnn", input_size=128)
        lengths = {m: len(modality_spec(Modality(m)).features) for m in tables}
        fusion = create_fusion(name, dim=96, classes=2, omics=lengths).eval()
    bundle = load_bundle(folder)
    for expected, found in ((encoder, bundle.encoder), (fusion, bundle.fusion)):
        state = found.state_dict()
        assert state.keys() == expected.state_dict().keys()
        for key, value in expected.state_dict().items():
            assert torch.equal(state[key], value), key
    patches = torch.randint(0, 256, (3, 128, 128, 3), dtype=torch.uint8)
    inputs = (
        torch.ones(1, 3, dtype=torch.bool),
        {m: torch.randn(1, length) for m, length in lengths.items()},
        torch.ones(1, 1 + len(lengths), dtype=torch.bool),
    )
    logits = [
        f(e(e.normalize(patches))[None], *inputs).logits
        for e, f in ((encoder, fusion), (bundle.encoder, bundle.fusion))
    ]
    assert torch.equal(*logits)


def test_options_of_the_parts_come_back(tmp_path):
    folder = tiny_bundle(
        tmp_path / "b",
        "cross_attention",
        patch=PatchSpec(64, 0.5, 32),
        width=32,
        groups={"rna": [[0, 1], [2, 3, 4]], "methylation": 2},
    )
    bundle = load_bundle(folder)
    assert bundle.encoder.input_size == 64
    assert bundle.fusion.encoders["rna"].members.sum() == 5
    assert bundle.fusion.missing_image.shape == (32,)


def test_ranks_neighbors_probes_and_groups_come_back(tmp_path):
    frame = log_frame(20).mask(np.random.default_rng(0).random((20, 30)) < 0.1)
    rna = fit_modality(
        frame,
        modality="rna",
        unit="log2(tpm+1)",
        options=FitOptions(imputation="knn", rank_normal=True),
    )
    rna = rna.with_groups(FeatureGroups(("one", "two"), ((0, 1, 2), (2, 5)), learned=3))
    probes = pd.DataFrame(
        {"probe": [f"cg{i:08d}" for i in range(20)], "gene": ["A", "B"] * 10}
    )
    methylation = fit_modality(
        beta_frame(20),
        modality="methylation",
        unit="beta",
        options=FitOptions(model_unit="m-value", aggregate="gene"),
        annotation=tidy_annotation(probes),
    )
    specs = {Modality.RNA: rna, Modality.METHYLATION: methylation}
    folder = tiny_bundle(
        tmp_path / "b",
        "cross_attention",
        specs=specs,
        width=32,
        groups={**group_options(specs), "methylation": 2},
    )
    bundle = load_bundle(folder)
    for modality, spec in bundle.modalities.items():
        assert describe_spec(spec) == describe_spec(specs[modality])
        assert spec.groups == specs[modality].groups
        pd.testing.assert_frame_equal(spec.features, specs[modality].features)
    pd.testing.assert_frame_equal(bundle.modalities["rna"].reference, rna.reference)
    pd.testing.assert_frame_equal(
        bundle.modalities["methylation"].probes, methylation.probes
    )
    assert bundle.fusion.encoders["rna"].tokens == 5
    (folder / "features" / "rna.reference.parquet").write_bytes(b"other")
    with pytest.raises(BundleIntegrityError, match=r"rna\.reference\.parquet"):
        load_bundle(folder)


def test_a_zip_gives_the_same_model_as_its_folder(pristine, tmp_path):
    from_folder = load_bundle(pristine)
    from_zip = load_bundle(zipped(pristine, tmp_path / "tiny.zip"))
    assert from_zip.digest == from_folder.digest
    assert from_zip.path == tmp_path / "tiny.zip"
    # The unpacked files are gone; the weights must not depend on them.
    for left, right in zip(
        from_folder.fusion.parameters(), from_zip.fusion.parameters(), strict=True
    ):
        assert torch.equal(left, right)


def test_loading_leaves_the_random_state_alone(pristine):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_bundle(pristine)
    assert torch.equal(torch.rand(3), expected)


def test_the_demo_is_that_of_the_package(pristine, tmp_path, monkeypatch):
    place = tmp_path / "bundles" / "demo"
    monkeypatch.setattr(bundle_manifest, "files", lambda package: tmp_path)
    with pytest.raises(BundleError, match=r"nox -s demo_bundle"):
        load_bundle("demo")
    shutil.copytree(pristine, place)
    assert load_bundle("demo").path == place


def test_a_bundle_without_manifest_is_refused(folder):
    (folder / "bundle.json").unlink()
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        load_bundle(folder)


@pytest.mark.parametrize("schema", [3, 0, "1", True, None])
def test_an_unknown_schema_is_refused(folder, schema):
    seal(folder, schema=schema)
    with pytest.raises(
        BundleError, match=f"schema {schema!r}, this version reads 1 to 2"
    ):
        load_bundle(folder)


@pytest.mark.parametrize(
    "name",
    [
        "weights.safetensors",
        "calibration.json",
        "MODEL_CARD.md",
        "features/rna.parquet",
        "reference.npz",
        "selftest.safetensors",
    ],
)
def test_any_changed_byte_is_found(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleIntegrityError, match=f"{name!r}.*was changed"):
        load_bundle(folder)


def test_a_missing_file_is_found(folder):
    (folder / "features" / "rna.parquet").unlink()
    with pytest.raises(BundleIntegrityError, match=r"lacks 'features/rna\.parquet'"):
        load_bundle(folder)


def test_a_file_without_hash_is_not_trusted(folder):
    manifest = json.loads((folder / "bundle.json").read_text())
    del manifest["files"]["weights.safetensors"]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleIntegrityError, match=r"no hash for weights\.safetensors"):
        load_bundle(folder)


class Bomb:
    """Leaves a mark if it is ever unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("name", ["extra.pkl", "features/extra.txt", "weights.bin"])
def test_a_pickle_inside_is_refused_and_never_runs(folder, tmp_path, name):
    mark = tmp_path / "ran"
    (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    for source in (folder, zipped(folder, tmp_path / "b.zip")):
        with pytest.raises(BundleIntegrityError, match="refused"):
            load_bundle(source)
    assert not mark.exists()


def test_object_arrays_in_the_reference_are_refused_and_never_run(folder, tmp_path):
    mark = tmp_path / "ran"
    bomb = np.array([Bomb(mark)], dtype=object)
    np.savez(folder / "reference.npz", embedding_mean=bomb)
    seal(folder)
    with pytest.raises(BundleIntegrityError, match="Python objects are refused"):
        load_bundle(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("could not create a primitive")], ids=repr
)
def test_a_lack_of_memory_is_not_blamed_on_the_bundle(folder, monkeypatch, error):
    def short(*_):
        raise error

    monkeypatch.setattr(bundle_module, "run_selftest", short)
    with pytest.raises(OutOfMemoryError, match="no memory for the self-test") as caught:
        load_bundle(folder)
    assert "write the bundle again" not in str(caught.value)


def test_other_weights_under_a_valid_hash_fail_the_selftest(folder):
    weights = load_file(folder / "weights.safetensors")
    weights["fusion.heads.rna.weight"] *= 1.5
    save_file(weights, folder / "weights.safetensors")
    seal(folder)
    with pytest.raises(BundleIntegrityError, match="fails its self-test: logits diff"):
        load_bundle(folder)


def test_weights_of_another_model_are_refused(folder):
    weights = load_file(folder / "weights.safetensors")
    del weights["fusion.query"]
    save_file(weights, folder / "weights.safetensors")
    seal(folder)
    with pytest.raises(BundleIntegrityError, match=r"does not fit its fusion.*query"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("features/rna.parquet", "not a readable Parquet table"),
        ("calibration.json", "is not JSON"),
        ("weights.safetensors", "not a safetensors file"),
        ("selftest.safetensors", "not a safetensors file"),
        ("reference.npz", "does not hold plain arrays"),
    ],
)
def test_unreadable_parts_are_named(folder, name, message):
    (folder / name).write_bytes(b"garbage")
    seal(folder)
    with pytest.raises(BundleIntegrityError, match=f"{Path(name).name}.*{message}"):
        load_bundle(folder)


@pytest.mark.parametrize("content", ["", "[1]", "{", "null"])
def test_a_manifest_that_is_no_object_is_refused(folder, content):
    (folder / "bundle.json").write_text(content)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": []}, "do not fit|positive sizes"),
        ({"classes": [{"name": "A"}, {"name": "B"}]}, "color"),
        ({"encoder": {"name": "resnet999", "options": {}}}, "unknown encoder"),
        ({"encoder": {"name": "demo-cnn", "options": {"weights": "x"}}}, "weights"),
        ({"encoder": {"name": "demo-cnn", "options": {}}}, "no 'mean'"),
        ({"fusion": {"name": "magic", "options": {}}}, "unknown fusion model"),
        ({"fusion": {"name": "evidence", "options": {"depth": 3}}}, "depth"),
        ({"fusion": {}}, "no 'name'"),
        ({"patch": {"size_px": 64, "mpp": 1.0, "stride_px": 64}}, "64 px but"),
        ({"patch": {"size_px": -1, "mpp": 1.0, "stride_px": 64}}, "positive"),
        ({"modalities": {}}, "does not fit its fusion"),
        ({"modalities": {"image": {}}}, "no hash"),
        ({"files": None}, "lists no files"),
        ({"info": None}, "NoneType"),
    ],
)
def test_a_manifest_that_describes_no_model_is_refused(folder, changes, message):
    seal(folder, **changes)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_another_normalization_is_refused(folder):
    manifest = json.loads((folder / "bundle.json").read_text())
    seal(folder, encoder={**manifest["encoder"], "mean": [0.5, 0.5, 0.5]})
    with pytest.raises(BundleError, match="normalizes by"):
        load_bundle(folder)


def test_a_folder_without_permission_is_one_clear_error(folder, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    # Not by chmod: root, under whom containers run, may read everything.
    monkeypatch.setattr(bundle_manifest, "verify_files", refuse)
    with pytest.raises(BundleError, match=r"cannot be read.*check its permissions"):
        load_bundle(folder)


def test_the_room_opens_no_pickle_and_sets_no_threads():
    for path in Path(bundle_module.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("allow_pickle=True", "weights_only=False", "set_num_threads"):
            assert word not in text, path.name
