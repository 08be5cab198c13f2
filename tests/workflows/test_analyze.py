from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.errors import (
    BundleError,
    ConfigurationError,
    DamagedTileError,
    JobCancelled,
    MissingPixelSizeError,
    NoTissueError,
    SlideOpenError,
    SlideReadError,
    SlideTooSmallError,
    StoreError,
    UnmatchedFeaturesError,
    UnmatchedSampleError,
)
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import find_tissue
from napari_mmsubtype.slides.tissue_file import open_tissue, write_tissue
from napari_mmsubtype.workflows.analyze import analyze, analyze_job

SLIDE = "synthetic:seed=5,size=1536"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def rna(bundle, tmp_path_factory):
    """A table in log2(tpm+1) that holds every gene of the tiny bundle."""
    spec = load_bundle(bundle).modalities["rna"]
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 12, size=(3, len(spec.features)))
    table = pd.DataFrame(
        values, index=["P1", "P2", "P3"], columns=list(spec.features["feature"])
    )
    path = tmp_path_factory.mktemp("tables") / "rna.csv"
    table.to_csv(path, index_label="patient_id")
    return path


@pytest.fixture(scope="module")
def result(bundle, rna, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    return analyze(SLIDE, bundle, rna=rna, patient="P2", out=out, device="cpu")


def test_every_patch_is_accounted_for(result):
    counts = result.prediction.patches
    assert counts.done + counts.unreadable == counts.tissue == len(result.grid)
    assert counts.total == result.grid.positions
    assert counts.done > 20
    assert result.status == "complete"


def test_evidence_adds_up_from_pixels_to_patches_to_slide_to_logit(result):
    prediction = result.prediction
    weighted = result.cell_evidence * result.patch_weights[:, None, None, None]
    np.testing.assert_allclose(
        weighted.sum(axis=(2, 3)), result.patch_evidence, rtol=1e-4, atol=1e-6
    )
    alone = {k: np.array(c.logits) for k, c in prediction.subsets.items()}
    for index in range(2):
        total = float(result.evidence_map(index).sum(dtype=np.float64))
        patches = float(result.patch_evidence[:, index].sum(dtype=np.float64))
        assert total == pytest.approx(patches, rel=1e-4, abs=1e-5)
        # With the image taken away, its evidence is exactly what is missing, since
        # tables speak for themselves in the `evidence` model.
        fused = prediction.call.logits[index]
        assert fused - alone["rna"][index] == pytest.approx(total, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("fusion", ["evidence", "image_only"])
def test_overlapping_patches_add_up_through_the_stitched_map(tmp_path, fusion):
    exact = tiny_bundle(tmp_path / "bundle", fusion=fusion)
    slide = "synthetic:seed=5,size=1024"
    result = analyze(slide, exact, stride_px=96, out=tmp_path / "out", device="cpu")
    assert (result.exact, result.cam_method) == (True, "cam")
    assert result.grid.spec.stride_px < result.grid.spec.size_px
    totals = [result.evidence_map(c).sum(dtype=np.float64) for c in range(2)]
    image = np.subtract(result.prediction.call.logits, result.prediction.bias)
    np.testing.assert_allclose(totals, image, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        result.patch_evidence.sum(axis=0), image, rtol=1e-4, atol=1e-4
    )
    assert np.abs(image).max() > 1e-3


def test_features_add_up_to_what_the_table_adds(result):
    found, prediction = result.attributions, result.prediction
    (table,) = found.tables
    assert table.modality == "rna"
    assert len(table.features) == len(table.values) == 9
    assert found.complete
    added = np.subtract(prediction.call.logits, found.baseline)
    np.testing.assert_allclose(table.values.sum(axis=0), added, atol=found.limit + 1e-6)
    assert np.abs(table.values).max() > 1e-3


def test_an_image_alone_has_no_features(bundle, tmp_path):
    assert analyze(SLIDE, bundle, out=tmp_path, device="cpu").attributions is None


def test_the_recipe_and_the_software_are_kept(result, rna):
    assert result.recipe.rna == str(rna)
    assert result.recipe.patient == "P2"
    assert result.provenance["packages"]["torch"]
    assert result.provenance["precision"] == "float32"
    assert result.mpp_source is MppSource.VENDOR


def test_another_patients_rna_moves_the_call(result, bundle, rna, tmp_path):
    other = analyze(SLIDE, bundle, rna=rna, patient="P3", out=tmp_path, device="cpu")
    difference = np.subtract(
        other.prediction.call.logits, result.prediction.call.logits
    )
    assert np.abs(difference).max() > 1e-4
    same = other.prediction.subsets["image"].logits
    assert same == pytest.approx(result.prediction.subsets["image"].logits, abs=1e-5)


def test_the_same_request_is_not_run_twice(result, bundle, rna):
    events = []
    again = analyze(
        SLIDE,
        bundle,
        rna=rna,
        patient="P2",
        out=result.path.parent,
        device="cpu",
        on_progress=events.append,
    )
    assert again.path == result.path
    assert "already analysed" in events[-1].message


def test_another_request_for_the_slide_gets_a_store_of_its_own(result, bundle):
    other = analyze(SLIDE, bundle, out=result.path.parent, device="cpu")
    assert other.path != result.path
    assert open_result(result.path).recipe.patient == "P2"
    assert list(other.prediction.subsets) == ["image"]


def test_the_painted_tissue_is_used_and_kept(bundle, tmp_path):
    with open_slide(SLIDE) as slide:
        path = write_tissue(tmp_path / "a.tissue.zarr", find_tissue(slide), slide)
        array, _ = open_tissue(path, slide, mode="r+")
    array[...] = 0
    array[10:50, 20:60] = 1
    options = {"tissue": path, "out": tmp_path, "device": "cpu"}
    first = analyze(SLIDE, bundle, **options)
    assert first.recipe.tissue == str(path)
    np.testing.assert_array_equal(first.tissue[0], np.asarray(array[...]) == 1)
    array[10:50, 60:70] = 1
    second = analyze(SLIDE, bundle, **options)
    assert second.path != first.path
    # Painting back the first mask finds its result again.
    array[10:50, 60:70] = 0
    assert analyze(SLIDE, bundle, **options).path == first.path
    assert open_result(first.path).tissue[0].sum() == 1600


def test_cancelled_runs_resume_to_the_same_numbers(result, bundle, rna, tmp_path):
    request = {"rna": rna, "patient": "P2", "out": tmp_path, "device": "cpu"}

    def stop(event):
        if event.stage == "patches" and event.done:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        analyze(SLIDE, bundle, batch_size=8, on_progress=stop, **request)
    store = next(tmp_path.glob("*" + schema.SUFFIX))
    partial = open_result(store)
    assert partial.status == "partial"
    # The batch that was told of, and the one that was being written.
    assert (partial.patch_status == 1).sum() == 16 < len(partial.grid)
    resumed = analyze(SLIDE, bundle, batch_size=8, **request)
    assert resumed.path == store
    straight = analyze(
        SLIDE,
        bundle,
        batch_size=8,
        **{**request, "out": tmp_path / "straight"},
    )
    np.testing.assert_array_equal(resumed.embeddings, straight.embeddings)
    np.testing.assert_array_equal(resumed.evidence_map(0), straight.evidence_map(0))
    np.testing.assert_array_equal(
        resumed.attributions.tables[0].values, straight.attributions.tables[0].values
    )
    assert resumed.prediction == straight.prediction


def test_a_table_under_way_is_cancelled_and_nothing_is_written(bundle, rna, tmp_path):
    text = Path(rna).read_text()
    path = tmp_path / "long.csv"
    path.write_text(text + text.partition("\n")[2] * (2**21 // len(text)))
    assert path.stat().st_size > 2**20

    def stop(event):
        if event.stage == "tables" and psutil.Process().children():
            raise JobCancelled

    with pytest.raises(JobCancelled):
        analyze(SLIDE, bundle, rna=path, patient="P2", out=tmp_path, on_progress=stop)
    assert psutil.Process().children() == []
    assert [found.name for found in tmp_path.iterdir()] == ["long.csv"]


def test_unreadable_patches_are_skipped_and_reported(bundle, tmp_path, monkeypatch):
    read = PatchSource.read

    def damaged(self, index):
        if index % 5 == 0:
            raise DamagedTileError("damaged tile")
        return read(self, index)

    monkeypatch.setattr(PatchSource, "read", damaged)
    result = analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    counts = result.prediction.patches
    assert counts.unreadable == -(-counts.tissue // 5)
    assert counts.done + counts.unreadable == counts.tissue
    lost = result.patch_status == 2
    assert not result.patch_weights[lost].any()
    assert result.class_map()[tuple(result.grid.cell[lost].T)].max() == 0


def test_a_wholly_unreadable_slide_is_one_clear_error(bundle, tmp_path, monkeypatch):
    def damaged(_self, _index):
        raise DamagedTileError("damaged tile")

    monkeypatch.setattr(PatchSource, "read", damaged)
    with pytest.raises(SlideReadError, match="none of its"):
        analyze(SLIDE, bundle, out=tmp_path, device="cpu")


def test_a_model_whose_evidence_is_not_exact_is_mapped_in_a_second_pass(
    tmp_path, rna, bundle
):
    crossed = tiny_bundle(tmp_path / "crossed", fusion="cross_attention")
    events = []
    result = analyze(
        SLIDE,
        crossed,
        out=tmp_path / "out",
        device="cpu",
        on_progress=events.append,
    )
    assert not result.exact
    assert result.cam_method == "grad-cam"
    assert result.prediction.patches.done == sum(1 for _ in result.grid.origin)
    assert events[-1].stage == "maps"
    assert np.abs(result.evidence_map(0)).max() > 0


def test_the_map_is_drawn_by_the_method_asked_for(tmp_path, bundle):
    late = tiny_bundle(tmp_path / "late", fusion="late", width=32)
    options = {"out": tmp_path / "out", "device": "cpu"}
    plain = analyze(SLIDE, late, **options)
    positive = analyze(SLIDE, late, cam_method="layer-cam", **options)
    assert positive.path != plain.path
    assert (plain.cam_method, positive.cam_method) == ("grad-cam", "layer-cam")
    assert positive.prediction.call == plain.prediction.call
    # What has a negative gradient is left out, so the map is not the same.
    difference = positive.evidence_map(0) - plain.evidence_map(0)
    assert np.abs(difference).max() > 1e-6
    assert positive.recipe.cam_method == "layer-cam"
    with pytest.raises(ConfigurationError, match="exact without it"):
        analyze(SLIDE, bundle, cam_method="layer-cam", **options)
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_every_modality_of_a_dense_fusion_is_heard_and_its_map_is_of_gradients(
    tmp_path, rna
):
    dense = tiny_bundle(tmp_path / "dense", fusion="feature_concat", width=32)
    options = {"rna": rna, "out": tmp_path, "device": "cpu"}
    result, other = (analyze(SLIDE, dense, patient=p, **options) for p in ("P2", "P3"))
    assert not result.exact
    calls = {
        key: np.array(call.logits) for key, call in result.prediction.subsets.items()
    }
    assert list(calls) == ["image+rna", "image", "rna"]
    assert np.abs(calls["image+rna"] - calls["image"]).max() > 1e-4
    assert np.abs(calls["image+rna"] - calls["rna"]).max() > 1e-4
    moved = np.subtract(other.prediction.call.logits, calls["image+rna"])
    assert np.abs(moved).max() > 1e-4
    assert np.abs(result.evidence_map(0)).max() > 0
    assert result.patch_weights.sum() == pytest.approx(1, abs=1e-4)


def test_a_baseline_of_one_table_runs_with_an_empty_map_or_asks_for_it(tmp_path, rna):
    alone = tiny_bundle(tmp_path / "alone", fusion="rna_only", modalities=("rna",))
    with pytest.raises(ConfigurationError, match="looks at rna alone"):
        analyze(SLIDE, alone, out=tmp_path, device="cpu")
    result = analyze(SLIDE, alone, rna=rna, patient="P2", out=tmp_path, device="cpu")
    assert list(result.prediction.subsets) == list(result.prediction.shapley) == ["rna"]
    assert not result.evidence_map(0).any()
    assert not result.class_map().any()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"slide": "absent.svs"}, SlideOpenError, "absent.svs"),
        ({"bundle": "absent"}, BundleError, "absent"),
        ({"patient": "P9"}, UnmatchedSampleError, "P9"),
        ({"rna": "foreign"}, UnmatchedFeaturesError, "gene|feature"),
        ({"device": "cuda:77"}, ConfigurationError, "cuda:77"),
        ({"precision": "int8"}, ConfigurationError, "precision int8"),
        ({"stride_px": 4000}, ConfigurationError, "stride"),
        ({"slide": "blank"}, NoTissueError, "no tissue"),
        ({"slide": "small"}, SlideTooSmallError, "smaller|one patch"),
        ({"slide": "unsized"}, MissingPixelSizeError, "--mpp"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_written(
    tmp_path, bundle, rna, change, error, says
):
    import tifffile

    blank = np.full((512, 512, 3), 250, np.uint8)
    resolution = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "blank.tif", blank, photometric="rgb", **resolution)
    tifffile.imwrite(
        tmp_path / "small.tif", blank[:20, :20], photometric="rgb", **resolution
    )
    tifffile.imwrite(tmp_path / "unsized.tif", blank, photometric="rgb")
    foreign = pd.DataFrame(
        np.random.default_rng(0).uniform(0, 9, (2, 3)),
        index=["P1", "P2"],
        columns=["NOGENE1", "NOGENE2", "NOGENE3"],
    )
    foreign.to_csv(tmp_path / "foreign.csv", index_label="patient_id")
    request = {"slide": SLIDE, "bundle": bundle, "rna": rna, "patient": "P1", **change}
    for name in ("blank", "small", "unsized"):
        if request["slide"] == name:
            request["slide"] = tmp_path / f"{name}.tif"
    if request["rna"] == "foreign":
        request["rna"] = tmp_path / "foreign.csv"
    out = tmp_path / "out"
    with pytest.raises(error, match=says) as caught:
        analyze(request.pop("slide"), request.pop("bundle"), out=out, **request)
    assert "\n\n" not in str(caught.value)
    assert not out.exists() or list(out.iterdir()) == []


def test_a_table_the_model_has_no_branch_for_is_refused(tmp_path, rna):
    image_rna = tiny_bundle(tmp_path / "b", modalities=("rna",))
    with pytest.raises(ConfigurationError, match="leave out methylation="):
        analyze(SLIDE, image_rna, methylation=rna, patient="P1", out=tmp_path / "o")


def test_an_unwritable_folder_is_one_clear_error(tmp_path, bundle):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--out"):
        analyze(SLIDE, bundle, out=tmp_path / "file", device="cpu")


def test_the_job_can_be_closed_before_it_starts(bundle, tmp_path):
    job = analyze_job(AnalyzeRecipe(slide=SLIDE, bundle=str(bundle), out=str(tmp_path)))
    next(job)
    job.close()
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_of_the_library_is_taken_by_name(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("MMSUBTYPE_BUNDLE_DIR", str(bundle.parent))
    out = {"out": tmp_path, "device": "cpu"}
    result = analyze("synthetic:seed=5,size=512", "tiny", **out)
    assert result.recipe.bundle == "tiny"
    assert result.bundle_name == "tiny"
    # A path is one, whatever the library holds.
    with pytest.raises(BundleError, match="does not exist"):
        analyze("synthetic:seed=5,size=512", Path("tiny"), **out)


def test_fetching_a_model_is_told_before_it_begins(tmp_path):
    recipe = AnalyzeRecipe(slide=SLIDE, bundle="hf://not an address", out=str(tmp_path))
    job = analyze_job(recipe)
    told = [next(job).message, next(job).message]
    assert told[1] == "fetching model hf://not an address"
    with pytest.raises(BundleError, match="no address"):
        next(job)
