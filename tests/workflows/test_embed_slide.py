"""All slides of a cohort are embedded in one precision."""

import shutil

import numpy as np
import pytest
import torch

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.fused_choice import FACT
from napari_mmsubtype.inference.fused_graph import can_fuse
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows import embed_slide
from napari_mmsubtype.workflows.embed import embed
from napari_mmsubtype.workflows.embed_slide import CohortEngine

SLIDE = "synthetic:seed=1,size=512"


@pytest.fixture
def run(tmp_path):
    manifest = tmp_path / "cohort.csv"
    manifest.write_text(f'patient_id,slide,label\nP1,"{SLIDE}",x')

    def embed_it(encoder="demo-cnn", **options):
        return embed(
            manifest,
            out=tmp_path / "out",
            encoder=encoder,
            patch_px=64,
            device="cpu",
            **options,
        )

    return embed_it


def rows(found):
    return np.asarray(found.load([SLIDE])).astype(np.float64)


def provenances(folder):
    """What the stores of the slide say of how they were made, by precision."""
    found = [open_result(store) for store in folder.glob("*.mmsubtype.zarr")]
    return {result.recipe.precision: result.provenance for result in found}


def test_bfloat16_is_taken_tried_and_told(run, tmp_path):
    usual = run()
    found = run(precision="bfloat16")
    assert found.failures == {}
    assert found.bags[SLIDE] != usual.bags[SLIDE]
    one, other = rows(found), rows(usual)
    assert one.shape == other.shape
    assert not np.array_equal(one, other)
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1)
    cosine /= np.linalg.norm(other, axis=1)
    assert cosine.min() > 0.999
    told = provenances(tmp_path / "out")
    assert told["auto"]["precision"] == "float32"
    assert told["bfloat16"]["precision"] == "bfloat16"
    assert "embeddings agree to" in told["bfloat16"]["precision_reason"]


@pytest.mark.skipif(not can_fuse(), reason="PyTorch has no oneDNN operations")
def test_bfloat16_is_run_in_fused_steps_and_says_so(run, tmp_path, monkeypatch):
    fused = rows(run("resnet18", precision="bfloat16"))
    assert provenances(tmp_path / "out")["bfloat16"][FACT] == 20
    for path in (tmp_path / "out").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.setattr(embed_slide, "fuse_for_cohort", lambda encoder, _: encoder)
    plain = rows(run("resnet18", precision="bfloat16"))
    assert FACT not in provenances(tmp_path / "out")["bfloat16"]
    assert not np.array_equal(fused, plain)
    assert np.linalg.norm(fused - plain) <= 0.02 * np.linalg.norm(plain)


def test_float32_is_what_a_cpu_takes_unasked(run, tmp_path):
    usual, found = run(), run(precision="float32")
    np.testing.assert_array_equal(rows(found), rows(usual))
    assert provenances(tmp_path / "out")["float32"]["precision"] == "float32"


def test_what_is_embedded_in_a_precision_is_not_embedded_again(run, monkeypatch):
    first = run(precision="bfloat16")

    def refuse(*_, **__):
        msg = "a slide was opened again"
        raise AssertionError(msg)

    monkeypatch.setattr(embed_slide, "open_quietly", refuse)
    assert run(precision="bfloat16") == first
    with pytest.raises(AssertionError, match="opened again"):
        run()


def test_whole_numbers_are_refused_before_anything_is_made(run, tmp_path):
    with pytest.raises(ConfigurationError, match="rounds every slide in its own way"):
        run(precision="int8")
    assert not (tmp_path / "out").exists()


def test_a_card_without_bfloat16_embeds_a_cohort_in_float32_unasked(
    tmp_path, monkeypatch
):
    card = Processor(torch.device("cpu"), torch.float16)
    monkeypatch.setattr(embed_slide, "choose_processor", lambda *_: card)
    model = load_bundle(tiny_bundle(tmp_path / "tiny"))
    engine = CohortEngine.prepare(model, "cuda", "auto", None)
    assert engine.processor.precision == "float32"
    assert engine.lowered.body is engine.model.encoder.body
