import numpy as np
import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference.drawing import drawing_job
from napari_mmsubtype.results.cam_maps import CamWriter
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.jobs import run_job


def write_tiff(path, size):
    import tifffile

    with open_slide(f"synthetic:seed=5,size={size}") as slide:
        pixels = slide.read_region(0, 0, 0, size, size)
    resolution = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, photometric="rgb", **resolution)
    return path


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawing")
    slide = write_tiff(folder / "slide.tif", 768)
    bundle = tiny_bundle(folder / "late", fusion="late", width=32)
    return analyze(slide, bundle, batch_size=2, out=folder / "out", device="cpu")


def test_any_batches_are_drawn_in_any_order_to_the_same_numbers(analysed):
    found = []
    with run_job(drawing_job(analysed, "hires-cam", "cpu")) as drawing:
        assert drawing.shape == (len(analysed.grid), 2, 8, 8)
        assert drawing.batch_size == 2
        np.testing.assert_array_equal(drawing.factor, 1)
        for order in ([range(2, 4), range(4)], [range(4), range(2, 4)]):
            name = f"trial-{len(found)}"
            writer = CamWriter(analysed.path, name, drawing.shape)
            run_job(drawing.draw_job(writer, writer.mapped, order))
            assert writer.mapped.sum() == 4
            found.append(writer.cells)
    np.testing.assert_array_equal(*found)
    # On the mean cell HiResCAM and the Grad-CAM of the analysis are one.
    np.testing.assert_allclose(
        found[0][:4], analysed.cell_evidence[:4], rtol=1e-4, atol=1e-7
    )


def test_another_slide_under_the_same_name_is_refused(analysed):
    from pathlib import Path

    here = Path(analysed.slide_path)
    kept = here.rename(here.with_suffix(".kept"))
    write_tiff(here, 640)
    try:
        with pytest.raises(ConfigurationError, match="640 x 640 px, but 768 x 768"):
            run_job(drawing_job(analysed, "layer-cam", "cpu"))
    finally:
        kept.replace(here)
