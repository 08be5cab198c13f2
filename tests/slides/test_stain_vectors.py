import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from builders.stains import DAB, EOSIN, HEMATOXYLIN, degrees, stained_tissue, unit
from napari_mmsubtype.slides import stain_vectors
from napari_mmsubtype.slides.stain_vectors import (
    SPARSITY,
    StainError,
    angle_between,
    check_stains,
    color_of,
    density_of,
    find_extremes,
    learn_stains,
    order_stains,
    sparse_amounts,
)

REFERENCE = unit([HEMATOXYLIN, EOSIN])


def stained(pixels):
    density = density_of(pixels).astype(float)
    return density[(density >= 0.15).all(axis=1)]


def test_density_and_color_are_each_others_reverse():
    every = np.arange(256, dtype=np.uint8)
    assert density_of(every)[255] == 0
    assert (color_of(density_of(every)) == every).all()


def test_angles():
    assert angle_between((1, 0, 0), (0, 1, 0)) == pytest.approx(90)
    assert angle_between((1, 0, 0), (1, 0, 0)) == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "stains",
    [
        (HEMATOXYLIN, EOSIN),
        ((0.55, 0.74, 0.40), (0.16, 0.80, 0.59)),
        ((0.60, 0.72, 0.34), (0.20, 0.92, 0.36)),
    ],
)
def test_planted_stains_are_found(stains, seed):
    _, planted, pixels = stained_tissue(seed=seed, stains=stains)
    density = stained(pixels)
    extremes = find_extremes(density)
    assert degrees(extremes, planted).max() < 1.5
    assert degrees(learn_stains(density, extremes), planted).max() < 2.0


def test_where_learning_begins_does_not_matter():
    density = stained(stained_tissue()[2])
    far = unit([(0.9, 0.4, 0.1), (0.05, 0.7, 0.7)])
    found = [learn_stains(density, start) for start in (find_extremes(density), far)]
    assert degrees(*found).max() < 0.1


def test_learning_has_converged(monkeypatch):
    density = stained(stained_tissue(seed=3)[2])
    start = find_extremes(density)
    found = learn_stains(density, start)
    monkeypatch.setattr(stain_vectors, "SETTLED_ANGLE", 0.0)
    assert degrees(found, learn_stains(density, start)).max() < 0.1


def independent_dictionary(sample, start):
    """The same problem solved by scikit-learn, for as long as it takes."""
    from sklearn.decomposition import DictionaryLearning

    learner = DictionaryLearning(
        2,
        alpha=SPARSITY,
        max_iter=1000,
        tol=1e-10,
        fit_algorithm="cd",
        positive_code=True,
        positive_dict=True,
        dict_init=start,
        code_init=np.maximum(sample @ np.linalg.pinv(start), 0),
        transform_max_iter=5000,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner.fit(sample)
    return order_stains(learner.components_)


def test_learned_stains_agree_with_an_independent_implementation(monkeypatch):
    monkeypatch.setattr(stain_vectors, "LEARNED_PIXELS", 1000)
    density = stained(stained_tissue(n=1500)[2])[:1000]
    extremes = find_extremes(density)
    reference = independent_dictionary(density, np.maximum(extremes, 1e-3))
    assert degrees(learn_stains(density, extremes), reference).max() < 0.1


def test_real_stains_agree_with_an_independent_implementation(real_data, monkeypatch):
    from napari_mmsubtype.slides.registry import open_slide

    monkeypatch.setattr(stain_vectors, "LEARNED_PIXELS", 1000)
    with open_slide(real_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        density = stained(slide.read_region(0, 1000, 1000, 400, 400).reshape(-1, 3))
    density = density[:: len(density) // 1000][:1000]
    extremes = find_extremes(density)
    reference = independent_dictionary(density, np.maximum(extremes, 1e-3))
    assert degrees(learn_stains(density, extremes), reference).max() < 0.5


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.5))
def test_sparse_amounts_solve_the_problem_of_each_pixel(seed, sparsity):
    rng = np.random.default_rng(seed)
    density = rng.uniform(0, 2, (8, 3))
    stains = unit(rng.uniform(0.05, 1, (2, 3)))
    amounts = sparse_amounts(density, stains, sparsity)
    # As non-negative least squares: the price is a shift of what is to be explained.
    root = np.linalg.cholesky(stains @ stains.T + 1e-12 * np.eye(2)).T
    for pixel, amount in zip(density, amounts, strict=True):
        wanted = np.linalg.solve(root.T, stains @ pixel - sparsity)
        best, _ = nnls(root, wanted)

        def cost(c, pixel=pixel):
            return 0.5 * ((pixel - c @ stains) ** 2).sum() + sparsity * c.sum()

        assert cost(amount) <= cost(best) + 1e-9
        assert (amount >= 0).all()


def test_hematoxylin_comes_first():
    assert degrees(order_stains([EOSIN, HEMATOXYLIN]), REFERENCE).max() < 1e-3
    with pytest.raises(StainError, match="missing"):
        order_stains([EOSIN, (0, 0, 0)])


def test_a_single_color_has_no_stains():
    with pytest.raises(StainError, match="one color"):
        find_extremes(np.full((1000, 3), 0.7))


@pytest.mark.parametrize(
    ("stains", "says"),
    [
        ((HEMATOXYLIN, HEMATOXYLIN), "cannot be told apart"),
        ((HEMATOXYLIN, DAB), "brown or red"),
        (((0.1, 0.95, 0.2), EOSIN), "from any hematoxylin"),
    ],
)
def test_vectors_of_other_dyes_are_refused(stains, says):
    with pytest.raises(StainError, match=says):
        check_stains(unit(stains), REFERENCE)
    check_stains(REFERENCE, REFERENCE)


def test_a_dye_that_nothing_is_stained_with_is_missing():
    density = np.random.default_rng(0).uniform(0.4, 1.8, (2000, 1)) * unit(HEMATOXYLIN)
    with pytest.raises(StainError):
        check_stains(learn_stains(density, REFERENCE), REFERENCE)
