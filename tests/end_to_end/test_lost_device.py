"""A device that is lost in the middle of a slide costs no patch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import DeviceLostError
from napari_mmsubtype.inference.device import choose_processor
from napari_mmsubtype.models.demo_cnn import DemoCNN
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows import analyze as module
from napari_mmsubtype.workflows.analyze import analyze

SLIDE = "synthetic:seed=5,size=1536"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


def lose_device(monkeypatch, after):
    """Let the encoder's device be lost once, after so many batches."""
    whole, calls = DemoCNN.feature_map, []

    def feature_map(self, images):
        if len(images) == 8:  # a batch, and not the self-test of the bundle
            calls.append(len(images))
        if len(images) == 8 and len(calls) == after + 1:
            raise RuntimeError("CUDA error: unspecified launch failure")
        return whole(self, images)

    monkeypatch.setattr(DemoCNN, "feature_map", feature_map)


def choose_two(monkeypatch):
    """Let the first device be called by another name than the one after it."""
    # cpu:0 is the same device, and tells which patches ran before the loss.
    names = iter([torch.device("cpu:0"), torch.device("cpu")])
    monkeypatch.setattr(
        module,
        "choose_processor",
        lambda *_args: replace(choose_processor("cpu"), device=next(names)),
    )


def test_with_fallback_a_lost_device_costs_no_patch(bundle, tmp_path, monkeypatch):
    request = {"device": "cpu", "batch_size": 8}
    straight = analyze(SLIDE, bundle, out=tmp_path / "a", **request)
    assert set(straight.processors.values()) == {len(straight.grid)}
    lose_device(monkeypatch, after=2)
    choose_two(monkeypatch)
    found = analyze(SLIDE, bundle, out=tmp_path / "b", fallback_cpu=True, **request)
    np.testing.assert_array_equal(found.embeddings, straight.embeddings)
    assert found.prediction.call == straight.prediction.call
    assert found.processors == {
        "cpu:0 (float32)": 16,
        "cpu (float32)": len(found.grid) - 16,
    }
    (note,) = set(found.prediction.warnings) - set(straight.prediction.warnings)
    assert "16 on cpu:0 (float32)" in note


def test_without_fallback_a_lost_device_is_one_clear_error_and_the_rest_is_resumed(
    bundle, tmp_path, monkeypatch
):
    request = {"device": "cpu", "batch_size": 8, "out": tmp_path}
    with monkeypatch.context() as patched:
        lose_device(patched, after=2)
        with pytest.raises(DeviceLostError, match="stopped answering") as caught:
            analyze(SLIDE, bundle, **request)
    assert caught.value.__notes__[0].startswith("pass fallback_cpu=True to have the")
    (store,) = tmp_path.iterdir()
    assert (open_result(store).patch_status == 1).sum() == 16
    assert analyze(SLIDE, bundle, **request).status == "complete"


def test_a_device_lost_while_the_map_is_drawn_is_told_as_well(tmp_path, monkeypatch):
    bundle = tiny_bundle(tmp_path / "gradient", fusion="cross_attention")
    request = {"device": "cpu", "batch_size": 8}
    straight = analyze(SLIDE, bundle, out=tmp_path / "a", **request)
    count = len(straight.grid)
    assert straight.map_processors == straight.processors == {"cpu (float32)": count}
    full = count // 8  # batches of eight; a last one that is smaller is not counted
    lose_device(monkeypatch, after=full + 2)
    choose_two(monkeypatch)
    found = analyze(SLIDE, bundle, out=tmp_path / "b", fallback_cpu=True, **request)
    np.testing.assert_array_equal(found.cell_evidence, straight.cell_evidence)
    assert found.processors == {"cpu:0 (float32)": count, "cpu (float32)": 0}
    assert found.map_processors == {
        "cpu:0 (float32)": 16,
        "cpu (float32)": count - 16,
    }
    (note,) = set(found.prediction.warnings) - set(straight.prediction.warnings)
    assert f"16 on cpu:0 (float32), {count - 16} on cpu (float32)" in note
    assert note.startswith("the map was drawn on other processors")
