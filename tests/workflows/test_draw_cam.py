import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import ConfigurationError, JobCancelled, StoreInUseError
from napari_mmsubtype.inference.device import fast_in_int8
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_lock import StoreLock
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.draw_cam import draw_cam

SLIDE = "synthetic:seed=5,size=1024"


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return tiny_bundle(folder / "late", fusion="late", width=32)


@pytest.fixture
def analysed(late, tmp_path):
    return analyze(SLIDE, late, batch_size=4, out=tmp_path, device="cpu")


def test_another_method_gives_what_an_analysis_by_it_gives(analysed, late, tmp_path):
    straight = analyze(
        SLIDE,
        late,
        batch_size=4,
        cam_method="layer-cam",
        out=tmp_path / "straight",
        device="cpu",
    )
    result = draw_cam(analysed.path, "layercam", device="cpu")
    (cam,) = result.cams
    assert cam.method == "layer-cam"
    for index in (0, 1):
        np.testing.assert_allclose(
            cam.read(index), straight.evidence_map(index), rtol=1e-4, atol=1e-6
        )
    np.testing.assert_array_equal(result.evidence_map(0), analysed.evidence_map(0))
    assert result.cam_method == "grad-cam"
    assert np.abs(cam.read(0) - result.evidence_map(0)).max() > 1e-6


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_it_is_drawn_in_the_precision_of_the_analysis(tmp_path, precision):
    if precision == "int8" and not fast_in_int8():
        pytest.skip("this CPU lacks the instructions")
    bundle = tiny_bundle(tmp_path / "resnet", encoder_name="resnet18", fusion="late")
    words = {"batch_size": 4, "precision": precision, "device": "cpu"}
    straight = analyze(
        SLIDE, bundle, cam_method="layer-cam", out=tmp_path / "straight", **words
    )
    result = analyze(SLIDE, bundle, out=tmp_path / "later", **words)
    assert result.provenance["precision"] == precision
    (cam,) = draw_cam(result.path, "layer-cam", device="cpu").cams
    largest = np.abs(straight.evidence_map(0)).max()
    np.testing.assert_allclose(
        cam.read(0), straight.evidence_map(0), rtol=0, atol=1e-4 * largest
    )


def test_a_stopped_drawing_goes_on_where_it_was(analysed, monkeypatch):
    def stop(event):
        if event.stage == "maps" and event.done >= 8:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        draw_cam(analysed.path, "layer-cam", device="cpu", on_progress=stop)
    assert open_result(analysed.path).cams == ()
    reads = []
    read = PatchSource.read

    def counted(self, index):
        reads.append(index)
        return read(self, index)

    monkeypatch.setattr(PatchSource, "read", counted)
    (cam,) = draw_cam(analysed.path, "layer-cam", device="cpu").cams
    assert sorted(reads) == list(range(8, len(analysed.grid)))
    reads.clear()
    events = []
    (again,) = draw_cam(
        analysed.path, "layer-cam", device="cpu", on_progress=events.append
    ).cams
    assert reads == []
    assert "drawn already" in events[-1].message
    np.testing.assert_array_equal(again.read(0), cam.read(0))


def test_the_method_of_the_analysis_is_there_already(analysed):
    events = []
    result = draw_cam(analysed.path, "grad-cam", on_progress=events.append)
    assert "drawn already" in events[-1].message
    assert result.cams == ()


def test_a_store_that_is_being_written_to_is_left_alone(analysed):
    with StoreLock.acquire(analysed.path), pytest.raises(StoreInUseError):
        draw_cam(analysed.path, "layer-cam", device="cpu")


def test_an_exact_map_is_not_drawn_by_gradients(tmp_path):
    exact = tiny_bundle(tmp_path / "exact")
    result = analyze(SLIDE, exact, out=tmp_path, device="cpu")
    for method in ("layer-cam", "attention-rollout"):
        with pytest.raises(ConfigurationError, match="nothing to draw anew"):
            draw_cam(result.path, method)
    with pytest.raises(ConfigurationError, match="vision transformers"):
        analyze(SLIDE, exact, cam_method="attention-rollout", out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_attention_is_rolled_out_beside_an_exact_map(tmp_path):
    name = "timm:vit_tiny_patch16_224"
    bundle = tiny_bundle(tmp_path / "vit", encoder_name=name)
    plain = analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    result = analyze(
        SLIDE, bundle, cam_method="attention-rollout", out=tmp_path, device="cpu"
    )
    assert result.path == plain.path
    assert result.cam_method == "cam"
    (cam,) = result.cams
    assert (cam.method, cam.channels) == ("attention-rollout", 1)
    canvas = cam.read()
    # Of every patch its weight is shared out, but for what its class token takes.
    assert 0.5 < canvas.sum() < 1
    side = 128 // 16
    shares = canvas.reshape(result.grid.shape[0], side, -1, side).sum(axis=(1, 3))
    row, col = result.grid.cell.T
    ratio = shares[row, col] / result.patch_weights
    assert ratio.max() < 1
    assert ratio.min() > 0.5
    # Within a patch the attention is not even.
    first = canvas[row[0] * side : (row[0] + 1) * side]
    first = first[:, col[0] * side : (col[0] + 1) * side]
    assert np.ptp(first) > 1e-3 * first.mean()


def test_a_drawn_map_loses_the_lock_of_a_killed_process_only(analysed):
    draw_cam(analysed.path, "layer-cam", device="cpu")
    with StoreLock.acquire(analysed.path) as living:
        draw_cam(analysed.path, "layer-cam", device="cpu")
        assert living.path.exists()
        # As it is after a kill between the map and the release.
        left = replace(living.owner, birth="another boot/1")
        living.path.write_text(json.dumps(asdict(left)))
        draw_cam(analysed.path, "layer-cam", device="cpu")
        assert list(analysed.path.parent.iterdir()) == [analysed.path]
