"""Half the patches of a trial do where they leave no doubt."""

from itertools import cycle

import numpy as np
import pytest
import torch

from builders.patches import RandomPatches
from napari_mmsubtype.inference import precision_trial
from napari_mmsubtype.inference.agreement import compare
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.precision_trial import try_in_float32
from napari_mmsubtype.inference.trial import Trial, sample_patches, try_patches
from napari_mmsubtype.models.registry import create_encoder

SIZE = 32
CPU = Processor(torch.device("cpu"), None)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("demo-cnn"), CPU)


@pytest.fixture
def tried(monkeypatch):
    """How many patches were tried, call by call; each takes longer than the last."""
    counts = []

    def watch(encoder, patches, processor):
        assert processor == CPU
        counts.append(len(patches))
        return try_patches(encoder, patches, processor)[0], float(len(counts))

    monkeypatch.setattr(precision_trial, "try_patches", watch)
    return counts


def lowered(encoder, count, noise=0.0):
    """What a lower precision would make of patches: off by a share of the rows."""
    patches = sample_patches(RandomPatches(100, SIZE), count=count)
    rows = try_patches(encoder, patches, CPU)[0]
    off = np.random.default_rng(0).normal(size=rows.shape) * rows.std(axis=0)
    return Trial(patches, (rows + noise * off).astype(np.float32), 0.1)


@pytest.mark.parametrize(
    ("count", "change", "noise", "calls"),
    [
        (16, 0.004, 0.0, [8]),
        (17, 0.004, 0.0, [9]),
        (16, 0.006, 0.0, [8, 8]),
        (16, 0.02, 0.0, [8, 8]),
        (16, 0.0, 0.03, [8]),
        (16, 0.0, 0.09, [8, 8]),
        # Fewer than eight leave room for doubt.
        (15, 0.0, 0.0, [15]),
        (1, 0.0, 0.0, [1]),
    ],
)
def test_what_is_not_clear_is_tried_on_all(encoder, tried, count, change, noise, calls):
    low = lowered(encoder, count, noise)
    answers = cycle([(0.3, 0.7), (0.3 + change, 0.7 - change)])
    whole, agreement = try_in_float32(encoder, CPU, low, lambda _: next(answers))
    assert tried == calls
    order = [*range(count)]
    if count >= 16:
        order = [*range(0, count, 2), *range(1, count, 2)][: sum(calls)]
    np.testing.assert_array_equal(whole.patches, low.patches[order])
    known = try_patches(encoder, low.patches[order], CPU)[0]
    np.testing.assert_allclose(whole.rows, known, rtol=1e-5, atol=1e-6)
    assert whole.seconds == 1.0
    expected = compare(whole.rows, low.rows[order])
    assert agreement.cosine == expected.cosine
    assert agreement.centered == expected.centered
    assert agreement.probability_change == pytest.approx(change)
    assert (len(calls) == 2) is (count >= 16 and not agreement.holds_clearly)


def test_the_judge_sees_what_a_store_would_keep(encoder):
    kinds = set()

    def judge(rows):
        kinds.add(rows.dtype)
        return (float(rows.mean()), 0.0)

    try_in_float32(encoder, CPU, lowered(encoder, 16), judge)
    assert kinds == {np.dtype("float16")}
