from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.omics.synthetic import synthetic_cohort
from napari_mmsubtype.training.bags import embed_patches
from napari_mmsubtype.workflows.demo_config import PATCH
from napari_mmsubtype.workflows.demo_images import (
    OTHER_STAIN,
    encode_cohort,
    other_stain,
)
from napari_mmsubtype.workflows.demo_patients import render_patches
from napari_mmsubtype.workflows.jobs import run_job


@pytest.fixture(scope="module")
def encoded():
    torch.manual_seed(0)
    encoder = create_encoder("demo-cnn", input_size=PATCH.size_px).eval()
    cohort = synthetic_cohort(3, seed=2, slide_size=512)
    events = []
    images = run_job(
        encode_cohort(cohort, encoder, PATCH, held_out={1}, message="m"), events.append
    )
    return encoder, cohort, images, events


def test_every_patient_has_a_bag_and_held_out_ones_have_more(encoded) -> None:
    encoder, cohort, images, events = encoded
    assert list(images.bags) == [0, 1, 2]
    assert list(images.features) == list(images.shares) == list(images.stained) == [1]
    pixels = render_patches(cohort.patients["slide"].iloc[1], PATCH).pixels
    assert images.bags[1] == pytest.approx(embed_patches(encoder, pixels), abs=2e-3)
    assert images.features[1].mean(axis=(2, 3)) == pytest.approx(
        images.bags[1], abs=2e-3
    )
    assert [(e.stage, e.done, e.total, e.message) for e in events] == [
        ("slides", done, 3, "m") for done in (1, 2, 3)
    ]


def test_another_stain_changes_the_embedding(encoded) -> None:
    _, _, images, _ = encoded
    assert np.abs(images.stained[1] - images.bags[1]).max() > 0.01


def test_other_stain_scales_optical_densities() -> None:
    pixels = np.array([[[150, 100, 200], [255, 255, 255]]], np.uint8)
    found = other_stain(pixels)
    density = -np.log((pixels[0, 0] + 1.0) / 256)
    expected = 256 * np.exp(-density * OTHER_STAIN) - 1
    assert found[0, 0] == pytest.approx(expected, abs=0.51)
    assert (found[0, 1] == 255).all()
