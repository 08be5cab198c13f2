"""An analysis whose tiles are decoded beside the network gives the same numbers."""

import numpy as np
import pytest
import torch

from builders.bundles import tiny_bundle
from builders.slides import break_tile, draw_scene
from builders.slides_jpeg import write_jpeg_tiff
from napari_mmsubtype.errors import JobCancelled
from napari_mmsubtype.inference import decoding_choice, device_patches
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_writer import StoreWriter
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.embed import embed

IMAGE = draw_scene(1400, 1800)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "a.tif"
    write_jpeg_tiff(path, IMAGE, subsampling="420", shared=True, tile=240)
    break_tile(path, 1, 5)
    return path


@pytest.fixture
def device_of_choice(monkeypatch, tmp_path):
    return favor_device(monkeypatch, tmp_path)


def favor_device(monkeypatch, tmp_path):
    """Have the CPU count as a device that is worth it, as far as pixels agree."""
    monkeypatch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(decoding_choice, "DEVICES", ("cpu",))
    monkeypatch.setattr(decoding_choice, "_MIN_BATCHES", 2)
    monkeypatch.setattr(decoding_choice, "_CLEARLY_FASTER", np.inf)
    decoded = []
    real = device_patches.decode_streams

    def counted(streams, device):
        decoded.append(len(streams))
        return real(streams, device)

    monkeypatch.setattr(device_patches, "decode_streams", counted)
    return decoded


def fact_of(result):
    return StoreWriter(result.path).attributes["provenance"].get(decoding_choice.FACT)


def assert_same(one, other):
    np.testing.assert_array_equal(one.patch_status, other.patch_status)
    np.testing.assert_array_equal(one.embeddings, other.embeddings)
    np.testing.assert_array_equal(one.patch_flags, other.patch_flags)
    np.testing.assert_array_equal(one.evidence_map(0), other.evidence_map(0))
    assert one.prediction == other.prediction


@pytest.mark.parametrize("fusion", ["evidence", "cross_attention"])
def test_store_and_map_are_those_of_the_cpu(tmp_path, slide, monkeypatch, fusion):
    """Those whose maps take a second pass over the patches as well."""
    bundle = tiny_bundle(tmp_path / "tiny", fusion=fusion)
    options = {"device": "cpu", "batch_size": 4, "precision": "float32"}
    plain = analyze(slide, bundle, out=tmp_path / "plain", **options)
    assert fact_of(plain) is None
    assert plain.prediction.patches.unreadable > 0
    with monkeypatch.context() as patch:
        decoded = favor_device(patch, tmp_path)
        found = analyze(slide, bundle, out=tmp_path / "device", **options)
    assert sum(decoded) > 0
    assert fact_of(found) == "cpu"
    assert_same(found, plain)


def test_a_run_that_was_stopped_goes_on_on_the_device(
    tmp_path, slide, device_of_choice, monkeypatch
):
    bundle = tiny_bundle(tmp_path / "tiny")
    options = {"device": "cpu", "batch_size": 4, "precision": "float32"}
    straight = analyze(slide, bundle, out=tmp_path / "straight", **options)

    def stop(event):
        if event.stage == "patches" and event.done >= 8:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        analyze(slide, bundle, out=tmp_path / "out", on_progress=stop, **options)
    (store,) = (tmp_path / "out").glob("*.mmsubtype.zarr")
    done = np.count_nonzero(open_result(store).patch_status)
    assert 8 <= done < len(straight.grid)
    reads = []
    read = PatchSource.read
    monkeypatch.setattr(
        PatchSource, "read", lambda self, i: reads.append(i) or read(self, i)
    )
    resumed = analyze(slide, bundle, out=tmp_path / "out", **options)
    assert_same(resumed, straight)
    assert fact_of(resumed) == "cpu"
    # The CPU read what was compared, and nothing else.
    assert len(reads) == 4


def test_a_device_that_fails_on_the_way_costs_no_patch(
    tmp_path, slide, device_of_choice, monkeypatch, caplog
):
    bundle = tiny_bundle(tmp_path / "tiny")
    options = {"device": "cpu", "batch_size": 4, "precision": "float32"}
    straight = analyze(slide, bundle, out=tmp_path / "straight", **options)
    real, calls = device_patches.decode_streams, []
    whole = len(device_of_choice)

    def fail_late(streams, device):
        calls.append(len(streams))
        if len(calls) > whole - 3:
            msg = "CUDA out of memory"
            raise RuntimeError(msg)
        return real(streams, device)

    monkeypatch.setattr(device_patches, "decode_streams", fail_late)
    found = analyze(slide, bundle, out=tmp_path / "failed", **options)
    assert_same(found, straight)
    assert fact_of(found) == decoding_choice.FELL_BACK
    told = [r.message for r in caplog.records if "by the CPU from now on" in r.message]
    assert len(told) == 1


def test_a_cohort_is_embedded_the_same_way(
    tmp_path, slide, device_of_choice, monkeypatch
):
    manifest = tmp_path / "cohort.csv"
    manifest.write_text(f"patient_id,slide,label\nP1,{slide},x\n", encoding="utf-8")
    options = {"encoder": "demo-cnn", "patch_px": 64, "device": "cpu", "batch_size": 4}
    found = embed(manifest, out=tmp_path / "device", **options)
    assert device_of_choice
    device_of_choice.clear()
    monkeypatch.setattr(decoding_choice, "DEVICES", ("cuda",))
    plain = embed(manifest, out=tmp_path / "plain", **options)
    assert not device_of_choice
    (store,) = (tmp_path / "device").glob("*.mmsubtype.zarr")
    assert fact_of(open_result(store)) == "cpu"
    name = str(slide)
    np.testing.assert_array_equal(found.load([name]), plain.load([name]))


@pytest.mark.gpu
def test_a_gpu_makes_the_same_call(tmp_path, slide, monkeypatch):
    monkeypatch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path / "cache"))
    bundle = tiny_bundle(tmp_path / "tiny")
    options = {"device": "cuda", "batch_size": 4, "precision": "float32"}
    plain = analyze(slide, bundle, out=tmp_path / "plain", **options)
    assert fact_of(plain) is None
    monkeypatch.setattr(decoding_choice, "_MIN_BATCHES", 2)
    monkeypatch.setattr(decoding_choice, "_CLEARLY_FASTER", np.inf)
    found = analyze(slide, bundle, out=tmp_path / "device", **options)
    np.testing.assert_array_equal(found.patch_status, plain.patch_status)
    assert fact_of(found) in (None, "cuda")
    for index in range(2):
        one, other = found.evidence_map(index), plain.evidence_map(index)
        assert np.nanmean(np.abs(one - other)) < 0.05 * np.nanmax(np.abs(other))
    assert torch.cuda.is_available()
