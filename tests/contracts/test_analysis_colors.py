"""An analysis sees the colors that its model was trained with, and says so."""

import json

import numpy as np
import pytest
import tifffile

from builders.bundles import tiny_bundle
from builders.profiles import matrix_profile
from builders.stains import DAB, HEMATOXYLIN, stained_tissue
from napari_mmsubtype.cli.report import result_record, result_text, to_json
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.slides.color import ColorTransform
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.stain import StainNormalizer
from napari_mmsubtype.workflows.analyze import analyze

PATCH = PatchSpec(size_px=128, mpp=0.5, stride_px=128, min_tissue=0.0)
PROFILE = matrix_profile(gamma=1.8, words="ScanScope v1")


@pytest.fixture(scope="module")
def image():
    with open_slide("synthetic:seed=3,size=640") as slide:
        return slide.read_region(0, 0, 0, 640, 640)


@pytest.fixture
def run(tmp_path):
    def analyzed(image, name, *, fusion="evidence", profile=None, **info):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(
            path, image, photometric="rgb", tile=(128, 128), iccprofile=profile
        )
        bundle = tiny_bundle(
            tmp_path / f"{name}-bundle", fusion, modalities=(), patch=PATCH, info=info
        )
        return analyze(path, bundle, mpp=0.5, out=tmp_path / name, device="cpu")

    return analyzed


@pytest.mark.parametrize("fusion", ["evidence", "cross_attention"])
@pytest.mark.parametrize("method", ["macenko", "reinhard", "vahadane"])
def test_patches_are_normalized_as_the_slide_would_be(image, run, fusion, method):
    result = run(image, "stained", fusion=fusion, stain=method)
    fit = StainNormalizer.from_dict(result.stain)
    assert fit.method == method
    # The same pixels, normalized before they became a slide.
    expected = run(fit.transform(image), "before", fusion=fusion)
    plain = run(image, "plain", fusion=fusion)
    embeddings = {
        name: dict(zip(map(tuple, r.grid.origin), r.embeddings, strict=True))
        for name, r in (("a", result), ("b", expected), ("c", plain))
    }
    shared = embeddings["a"].keys() & embeddings["b"].keys()
    assert len(shared) >= 20
    for origin in shared:
        np.testing.assert_allclose(
            embeddings["a"][origin], embeddings["b"][origin], atol=2e-3
        )
    assert any((embeddings["a"][o] != embeddings["c"][o]).any() for o in shared)
    if len(result.grid) == len(expected.grid):
        np.testing.assert_allclose(
            result.evidence_map(0), expected.evidence_map(0), atol=1e-4
        )
    assert result.prediction.warnings == ()
    assert f"normalized by {method.title()}" in result_text(result)


def test_the_profile_is_applied_where_the_model_asks_for_it(image, run):
    applied = run(image, "applied", profile=PROFILE, icc=True)
    before = run(ColorTransform(PROFILE).apply(image), "before")
    assert (applied.embeddings == before.embeddings).all()
    assert applied.prediction.call == before.prediction.call
    assert "(ACME): applied, as the model was trained" in result_text(applied)
    assert "\ncolor" not in result_text(before)


def test_the_profile_is_left_alone_where_the_model_does_not(image, run):
    off = run(image, "off", profile=PROFILE)
    plain = run(image, "plain")
    assert (off.embeddings == plain.embeddings).all()
    text = result_text(off)
    assert "(ACME): not applied, as the model was trained; stain as it is" in text
    assert result_record(off)["color"] == {"icc": "off", "stain": None}


def test_a_profile_that_cannot_be_used_is_a_warning_of_the_result(image, run):
    result = run(image, "broken", profile=b"broken" * 40, icc=True)
    plain = run(image, "plain")
    assert (result.embeddings == plain.embeddings).all()
    (warning,) = result.prediction.warnings
    assert "its color profile cannot be used" in warning
    assert warning in result_text(result)


def test_a_stain_that_cannot_be_fitted_is_a_warning_of_the_result(run):
    image = stained_tissue(512 * 512, stains=(HEMATOXYLIN, DAB))[2]
    image = image.reshape(512, 512, 3)
    result = run(image, "brown", stain="vahadane")
    plain = run(image, "plain")
    assert (result.embeddings == plain.embeddings).all()
    (warning,) = result.prediction.warnings
    assert "not stained with hematoxylin and eosin" in warning
    record = json.loads(to_json(result_record(result)))
    assert record["color"]["stain"]["problem"] == warning
    assert "the fit by Vahadane failed" in result_text(result)
