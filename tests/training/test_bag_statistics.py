from __future__ import annotations

import numpy as np
import torch

from builders.training import make_bags
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.training.bag_statistics import bag_moments, embedding_statistics


def test_embedding_statistics_weigh_cases_equally() -> None:
    cases = make_bags(2)
    cases.bags[0] = np.full((2, 6), 1.0)
    cases.bags[1] = np.full((50, 6), 3.0)
    mean, std = embedding_statistics(cases)
    assert torch.allclose(mean, torch.full((6,), 2.0))
    assert torch.allclose(std, torch.full((6,), 1.0))


def test_cases_without_image_do_not_count_in_the_statistics() -> None:
    cases = make_bags(3)
    cases.present[0, 0] = False
    assert torch.equal(
        embedding_statistics(cases)[0], embedding_statistics(cases.take([1, 2]))[0]
    )
    mean, std = embedding_statistics(cases.restricted([Modality.RNA]))
    assert (mean == 0).all()
    assert (std == 1).all()


def test_moments_of_a_long_bag_are_those_of_its_parts() -> None:
    bag = np.random.default_rng(0).normal(3, 2, (2500, 5)).astype(np.float16)
    mean, square = bag_moments(bag)
    exact = bag.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(square, (exact**2).mean(axis=0), rtol=1e-12)
