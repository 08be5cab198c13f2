"""Slides of a cohort are embedded once, and go on where they were stopped."""

import numpy as np
import pytest
import torch

from builders.processes import run_together
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows import embed_slide as slide_module
from napari_mmsubtype.workflows.embed import embed, embed_job
from napari_mmsubtype.workflows.embedding_model import named_model
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.manifest import SlideEntry

SLIDES = ("synthetic:seed=1,size=256", "synthetic:seed=2,size=256")


def write_manifest(folder, *slides):
    rows = [f'P{i},"{slide}",x' for i, slide in enumerate(slides)]
    path = folder / "cohort.csv"
    path.write_text("\n".join(["patient_id,slide,label", *rows]))
    return path


def run(manifest, out, **options):
    options = {"encoder": "demo-cnn", "patch_px": 64, "device": "cpu", **options}
    return embed(manifest, out=out, **options)


def test_each_slide_has_a_store_and_a_bag_of_its_usable_patches(tmp_path):
    found = run(write_manifest(tmp_path, *SLIDES), tmp_path / "out")
    assert found.failures == {}
    assert set(found.bags) == set(SLIDES)
    for slide in SLIDES:
        bag = found.load([slide])
        (store,) = (tmp_path / "out").glob(f"synthetic-{slide[15]}.mmsubtype.zarr")
        result = open_result(store)
        np.testing.assert_array_equal(bag, result.embeddings[result.patch_status == 1])
        assert bag.dtype == np.float16
        assert bag.shape[1] == 96
    both = found.load(SLIDES)
    assert len(both) == sum(len(found.load([s])) for s in SLIDES)
    assert found.load(["another"]) is None


def test_a_second_run_opens_no_slide(tmp_path, monkeypatch):
    manifest = write_manifest(tmp_path, *SLIDES)
    first = run(manifest, tmp_path / "out")

    def refuse(*_, **__):
        msg = "a slide was opened again"
        raise AssertionError(msg)

    monkeypatch.setattr(slide_module, "open_quietly", refuse)
    assert run(manifest, tmp_path / "out") == first
    with pytest.raises(AssertionError, match="opened again"):
        run(manifest, tmp_path / "out", patch_mpp=1.0)


def test_the_encoder_that_was_given_stays_as_it_is(tmp_path):
    model = named_model("demo-cnn", patch_px=64)
    before = {key: value.clone() for key, value in model.encoder.state_dict().items()}
    entry = SlideEntry(SLIDES[0], None, 2)
    list(embed_job([entry], model, tmp_path, device="cpu"))
    after = model.encoder.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_a_slide_is_resumed_inside(tmp_path):
    entry = SlideEntry("synthetic:seed=3,size=512", None, 2)
    model = named_model("demo-cnn", patch_px=64)
    job = embed_job([entry], model, tmp_path / "a", device="cpu", batch_size=4)
    counts = []
    while len(counts) < 2:
        event = next(job)
        if event.stage == "patches":
            counts.append(event.done)
    job.close()
    resumed = list(embed_job([entry], model, tmp_path / "a", device="cpu",
                             batch_size=4))  # fmt: skip
    again = [event.done for event in resumed if event.stage == "patches"]
    # One more batch was being written.
    assert again[0] == counts[-1] + 2 * 4
    whole = run(write_manifest(tmp_path, entry.path), tmp_path / "b", batch_size=4)
    (bag,) = (tmp_path / "a" / "bags").glob("*.npy")
    np.testing.assert_array_equal(np.load(bag), whole.load([entry.path]))


def test_a_slide_that_fails_is_told_and_the_others_go_on(tmp_path):
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"no slide at all")
    found = run(write_manifest(tmp_path, str(broken), SLIDES[0]), tmp_path / "out")
    assert set(found.bags) == {SLIDES[0]}
    assert set(found.failures) == {str(broken)}
    assert "broken.svs" in found.failures[str(broken)]


def test_one_model_must_be_asked_for(tmp_path):
    manifest = write_manifest(tmp_path, SLIDES[0])
    with pytest.raises(ConfigurationError, match=r"are of one encoder, found [02]"):
        embed(manifest, out=tmp_path)
    with pytest.raises(ConfigurationError, match="its own weights and patches"):
        embed(manifest, out=tmp_path, bundle="demo", patch_px=64)


def test_two_processes_embed_each_slide_once(tmp_path, monkeypatch):
    model = named_model("demo-cnn", patch_px=64)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    slides = [
        SlideEntry(f"synthetic:seed={seed},size=256", None, 2) for seed in range(3)
    ]
    slides.insert(1, SlideEntry(str(broken), 0.5, 9))
    alone = run_job(embed_job(slides, model, tmp_path / "alone", device="cpu"))
    opened = []
    whole = slide_module.open_quietly
    monkeypatch.setattr(
        slide_module,
        "open_quietly",
        lambda path, **options: (opened.append(path), whole(path, **options))[1],
    )
    found = run_together(
        lambda work: embed_job(
            slides, model, tmp_path / "both", device="cpu", work=work
        )
    )
    assert sorted(opened) == sorted(slide.path for slide in slides)
    assert found[0] == found[1]
    assert list(found[0].bags) == list(alone.bags)
    assert found[0].failures == alone.failures
    assert list(alone.failures) == [str(broken)]
    for path, bag in alone.bags.items():
        assert found[1].bags[path].read_bytes() == bag.read_bytes()
