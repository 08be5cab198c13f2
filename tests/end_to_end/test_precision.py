"""The precision of an analysis, from the request to the result and back."""

import numpy as np
import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.inference import agreement, precision
from napari_mmsubtype.inference.device import fast_in_int8
from napari_mmsubtype.inference.quantized_steps import can_quantize
from napari_mmsubtype.workflows.analyze import analyze, analyze_job

SLIDE = "synthetic:seed=5,size=1536"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def whole(bundle, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return analyze(SLIDE, bundle, out=out, device="cpu", precision="float32")


@pytest.fixture
def eager(monkeypatch):
    """A machine on which bfloat16 is always worth it."""
    monkeypatch.setattr(precision, "fast_in_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "_FEWEST", 1)
    monkeypatch.setattr(precision, "_WORTH_S", -1e9)
    monkeypatch.setattr(precision, "_WORTH_SHARE", -1e9)


def test_a_small_slide_is_run_in_float32(bundle, whole, tmp_path):
    result = analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    assert result.provenance["precision"] == "float32"
    assert result.provenance["precision_reason"]
    np.testing.assert_array_equal(result.embeddings, whole.embeddings)


def test_bfloat16_can_be_forced_and_is_recorded(bundle, whole, tmp_path):
    request = {"out": tmp_path, "device": "cpu", "precision": "bfloat16"}
    result = analyze(SLIDE, bundle, **request)
    assert result.provenance["precision"] == "bfloat16"
    assert result.provenance["precision_reason"].startswith(
        "as asked; in 8 patches tried"
    )
    assert result.recipe.precision == "bfloat16"
    assert not np.array_equal(result.embeddings, whole.embeddings)
    difference = np.subtract(
        result.prediction.call.probabilities, whole.prediction.call.probabilities
    )
    assert np.abs(difference).max() <= 0.01
    weighted = result.cell_evidence * result.patch_weights[:, None, None, None]
    np.testing.assert_allclose(
        weighted.sum(axis=(2, 3)), result.patch_evidence, rtol=1e-4, atol=1e-4
    )


def test_a_forced_precision_is_a_request_of_its_own(bundle, tmp_path):
    request = {"out": tmp_path, "device": "cpu"}
    paths = [
        analyze(SLIDE, bundle, precision=name, **request).path
        for name in ("float32", "bfloat16", "float32")
    ]
    assert paths[0] == paths[2] != paths[1]


def test_auto_takes_what_holds_and_resumes_in_it(bundle, tmp_path, eager, monkeypatch):
    recipe = AnalyzeRecipe(
        slide=SLIDE, bundle=str(bundle), out=str(tmp_path / "a"), device="cpu"
    )
    job = analyze_job(recipe)
    for event in job:
        if event.stage == "patches" and event.done:
            break
    job.close()
    # The machine that resumes would not have chosen so.
    monkeypatch.setattr(precision, "fast_in_bfloat16", lambda: False)
    resumed = analyze(SLIDE, bundle, out=tmp_path / "a", device="cpu")
    assert resumed.provenance["precision"] == "bfloat16"
    assert "agree" in resumed.provenance["precision_reason"]
    forced = analyze(
        SLIDE, bundle, out=tmp_path / "b", device="cpu", precision="bfloat16"
    )
    np.testing.assert_array_equal(resumed.embeddings, forced.embeddings)


def test_a_model_that_does_not_hold_it_says_so_in_the_result(
    bundle, whole, tmp_path, eager, monkeypatch
):
    monkeypatch.setattr(agreement, "MIN_COSINE", 1.1)
    result = analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    assert result.provenance["precision"] == "float32"
    assert any("was run in float32" in text for text in result.prediction.warnings)
    np.testing.assert_array_equal(result.embeddings, whole.embeddings)


@pytest.mark.skipif(
    not (can_quantize() and fast_in_int8()), reason="no 8-bit products on this CPU"
)
def test_int8_can_be_forced_and_a_run_goes_on_with_the_same_numbers(tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny", encoder_name="resnet18")
    whole = analyze(SLIDE, bundle, out=tmp_path, device="cpu", precision="float32")
    request = {"device": "cpu", "precision": "int8"}
    result = analyze(SLIDE, bundle, out=tmp_path / "a", **request)
    assert result.provenance["precision"] == "int8"
    assert result.provenance["precision_reason"].startswith(
        "as asked; in 16 patches tried"
    )
    assert not np.array_equal(result.embeddings, whole.embeddings)
    difference = np.subtract(
        result.prediction.call.probabilities, whole.prediction.call.probabilities
    )
    assert np.abs(difference).max() <= 0.01
    weighted = result.cell_evidence * result.patch_weights[:, None, None, None]
    np.testing.assert_allclose(
        weighted.sum(axis=(2, 3)), result.patch_evidence, rtol=1e-4, atol=1e-4
    )
    recipe = AnalyzeRecipe(
        slide=SLIDE,
        bundle=str(bundle),
        out=str(tmp_path / "b"),
        batch_size=8,
        **request,
    )
    job = analyze_job(recipe)
    for event in job:
        if event.stage == "patches" and event.done:
            break
    job.close()
    resumed = analyze(SLIDE, bundle, out=tmp_path / "b", batch_size=8, **request)
    assert sum(resumed.processors.values()) == len(resumed.embeddings)
    at_once = analyze(SLIDE, bundle, out=tmp_path / "c", batch_size=8, **request)
    np.testing.assert_array_equal(resumed.embeddings, at_once.embeddings)
