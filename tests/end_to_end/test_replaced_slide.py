"""Another slide under the path of an analysed one is not taken for it."""

import os
import shutil

import numpy as np
import pytest
import zarr

from builders.bundles import tiny_bundle
from builders.slides import draw_scene, write_pyramid_tiff
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows.analyze import analyze, analyze_job
from napari_mmsubtype.workflows.draw_cam import draw_cam
from napari_mmsubtype.workflows.draw_view import open_view_job
from napari_mmsubtype.workflows.embed import embed
from napari_mmsubtype.workflows.jobs import run_job

SIZE = 1024


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return tiny_bundle(folder / "late", fusion="late", width=32)


@pytest.fixture
def slide(tmp_path):
    path = tmp_path / "slide.tif"
    write_pyramid_tiff(path, draw_scene(SIZE, SIZE))
    return path


def replace(slide):
    """Put another scan there, as large in bytes and px, with the same tissue."""
    size = slide.stat().st_size
    image = draw_scene(SIZE, SIZE)
    write_pyramid_tiff(slide, np.where(image < 200, image // 2, image))
    assert slide.stat().st_size == size


def analyze_it(slide, bundle, out, **options):
    return analyze(slide, bundle, out=out, device="cpu", batch_size=4, **options)


def test_a_replaced_file_gets_a_call_of_its_own(slide, bundle, tmp_path):
    before = analyze_it(slide, bundle, tmp_path / "out")
    replace(slide)
    after = analyze_it(slide, bundle, tmp_path / "out")
    assert after.path != before.path
    assert after.grid.to_attributes() == before.grid.to_attributes()
    assert after.prediction.call.logits != before.prediction.call.logits
    fresh = analyze_it(slide, bundle, tmp_path / "fresh")
    assert after.prediction.call == fresh.prediction.call


def test_a_run_that_was_stopped_is_not_gone_on_with_another_slide(
    slide, bundle, tmp_path
):
    recipe = AnalyzeRecipe(
        slide=str(slide),
        bundle=str(bundle),
        out=str(tmp_path / "out"),
        device="cpu",
        batch_size=4,
    )
    job = analyze_job(recipe)
    event = next(job)
    while event.stage != "patches" or not event.done:
        event = next(job)
    job.close()
    replace(slide)
    after = analyze_it(slide, bundle, tmp_path / "out")
    fresh = analyze_it(slide, bundle, tmp_path / "fresh")
    assert after.path.name == "slide-2.mmsubtype.zarr"
    np.testing.assert_array_equal(after.embeddings, fresh.embeddings)
    assert open_result(tmp_path / "out" / "slide.mmsubtype.zarr").status == "partial"


def test_the_same_content_has_the_same_store(slide, bundle, tmp_path, monkeypatch):
    before = analyze_it(slide, bundle, tmp_path / "out")
    shutil.copyfile(slide, tmp_path / "copy")
    os.utime(tmp_path / "copy", (1, 1))
    (tmp_path / "copy").replace(slide)
    monkeypatch.chdir(tmp_path)
    events = []
    after = analyze_it("slide.tif", bundle, "out", on_progress=events.append)
    assert after.path == before.path
    assert "already analysed" in events[-1].message


def test_no_map_of_another_slide_is_drawn_into_a_result(slide, bundle, tmp_path):
    result = analyze_it(slide, bundle, tmp_path / "out")
    kept = tmp_path / "kept.tif"
    shutil.copy(slide, kept)
    replace(slide)
    with pytest.raises(ConfigurationError, match="not the file that was analysed"):
        draw_cam(result.path, "layer-cam", device="cpu")
    with pytest.raises(ConfigurationError, match="bring the analysed file back"):
        run_job(open_view_job(result.path, "layer-cam", device="cpu"))
    assert open_result(result.path).cams == ()
    kept.replace(slide)
    assert len(draw_cam(result.path, "layer-cam", device="cpu").cams) == 1


def test_stores_that_do_not_tell_are_drawn_as_before(slide, bundle, tmp_path):
    result = analyze_it(slide, bundle, tmp_path / "out")
    body = dict(result._root.attrs["mmsubtype"])
    body["slide"] = {k: v for k, v in body["slide"].items() if k != "content"}
    zarr.open_group(result.path, mode="r+").attrs["mmsubtype"] = body
    assert open_result(result.path).slide_content is None
    assert len(draw_cam(result.path, "layer-cam", device="cpu").cams) == 1


def test_a_replaced_file_is_embedded_anew(slide, tmp_path):
    manifest = tmp_path / "cohort.csv"
    manifest.write_text(f'patient_id,slide,label\nP1,"{slide}",x')

    def rows():
        found = embed(
            manifest, out=tmp_path / "e", encoder="demo-cnn", patch_px=64, device="cpu"
        )
        return np.asarray(found.load([str(slide)]))

    before = rows()
    replace(slide)
    after = rows()
    assert not np.array_equal(after, before)
    shutil.rmtree(tmp_path / "e")
    np.testing.assert_array_equal(rows(), after)
