"""What is embedded from pixels is what the engine would have embedded."""

import numpy as np
import pytest

from builders.processes import run_together
from builders.tiles import write_tiles
from napari_mmsubtype.workflows import pixel_embeddings
from napari_mmsubtype.workflows.embed import embed_job
from napari_mmsubtype.workflows.embedding_model import in_precision, named_model
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.manifest import SlideEntry, read_manifest
from napari_mmsubtype.workflows.patch_pixels import pixels_job
from napari_mmsubtype.workflows.pixel_embeddings import embed_pixels_job

LARGE = SlideEntry("synthetic:seed=1,size=512", None, 2)


@pytest.fixture
def cohort(tmp_path):
    """Tiles of four patches, and one slide of which only some patches are kept."""
    tiles = read_manifest(write_tiles(tmp_path, 3), mpp=0.5).slides
    model = named_model("demo-cnn", patch_px=32)
    slides = [*tiles, LARGE]
    pixels = run_job(pixels_job(slides, model, tmp_path / "pixels", per_slide=8))
    assert pixels.whole == {slide.path for slide in tiles}
    return slides, pixels, model


def test_both_ways_give_the_same_embeddings(cohort, tmp_path, monkeypatch):
    slides, pixels, model = cohort
    # Tiles are put together, and do not end with a batch.
    monkeypatch.setattr(pixel_embeddings, "_AT_ONCE", 10)
    job = embed_pixels_job(
        slides, pixels, model, tmp_path / "a", device="cpu", batch_size=3
    )
    found = run_job(job)
    engine = run_job(embed_job(slides, model, tmp_path / "b", device="cpu"))
    assert found.failures == {}
    assert set(found.bags) == {slide.path for slide in slides}
    for slide in slides:
        one, other = (np.asarray(e.load([slide.path])) for e in (found, engine))
        assert one.dtype == np.float16
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)
    assert len(found.load([LARGE.path])) > 8


def test_both_ways_take_the_precision_that_is_asked_for(cohort, tmp_path):
    slides, pixels, plain = cohort
    model = in_precision(plain, "bfloat16")
    options = {"device": "cpu", "precision": "bfloat16"}
    job = embed_pixels_job(slides, pixels, model, tmp_path / "a", **options)
    found = run_job(job)
    whole = run_job(embed_pixels_job(slides, pixels, plain, tmp_path / "a"))
    assert set(found.bags.values()).isdisjoint(whole.bags.values())
    for slide in slides:
        one, other = (np.asarray(e.load([slide.path])) for e in (found, whole))
        assert not np.array_equal(one, other)
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.05)


def test_what_is_embedded_is_not_embedded_again(cohort, tmp_path, monkeypatch):
    slides, pixels, model = cohort
    job = embed_pixels_job(slides, pixels, model, tmp_path / "a", device="cpu")
    first = run_job(job)
    (tmp_path / "a" / "bags" / first.bags[slides[0].path].name).unlink()
    sizes = []
    whole = pixel_embeddings.forward_batches
    monkeypatch.setattr(
        pixel_embeddings,
        "forward_batches",
        lambda encoder, source, *a: (
            sizes.append(len(source)),
            whole(encoder, source, *a),
        )[1],
    )
    job = embed_pixels_job(slides, pixels, model, tmp_path / "a", device="cpu")
    assert run_job(job) == first
    assert sizes == [4]


def test_two_processes_put_tiles_together_as_one_does(cohort, tmp_path, monkeypatch):
    slides, pixels, model = cohort
    monkeypatch.setattr(pixel_embeddings, "_AT_ONCE", 8)
    sizes = []
    whole = pixel_embeddings.forward_batches
    monkeypatch.setattr(
        pixel_embeddings,
        "forward_batches",
        lambda encoder, source, *a: (
            sizes.append(len(source)),
            whole(encoder, source, *a),
        )[1],
    )
    job = embed_pixels_job(slides, pixels, model, tmp_path / "a", device="cpu")
    alone = run_job(job)
    asked = list(sizes)
    found = run_together(
        lambda work: embed_pixels_job(
            slides, pixels, model, tmp_path / "b", device="cpu", work=work
        )
    )
    assert len(asked) == 3
    assert sizes == asked * 2
    assert found[0] == found[1]
    for slide in slides:
        one, other = (np.asarray(e.load([slide.path])) for e in (alone, found[1]))
        np.testing.assert_array_equal(one, other)
