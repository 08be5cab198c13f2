import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from builders.bundles import tiny_bundle
from builders.fusion import DIM, MODALITIES, OMICS, make_model
from napari_mmsubtype.core.cam_methods import CAM_METHODS
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.inference.fuse import CaseTensors
from napari_mmsubtype.inference.replay import replay_case_job
from napari_mmsubtype.inference.sanity import (
    DRAWS,
    ORDERS,
    called,
    curve_job,
    drawn_map,
    parts_heard,
    randomize_job,
    redrawn_map,
)
from napari_mmsubtype.models.parts_downward import parts_downward
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.jobs import run_job

SLIDE = "synthetic:seed=5,size=1024"


def replay(folder, fusion, cam_method=None, **options):
    bundle = tiny_bundle(folder / fusion, fusion=fusion, **options)
    out = folder / "out"
    result = analyze(SLIDE, bundle, cam_method=cam_method, out=out, device="cpu")
    return run_job(replay_case_job(result))


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return replay(tmp_path_factory.mktemp("exact"), "evidence")


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    return replay(tmp_path_factory.mktemp("late"), "late", width=32)


def margin(call, index):
    logits = np.asarray(call.logits)
    return logits[index] - np.delete(logits, index).mean()


@pytest.fixture(scope="module", params=CAM_METHODS)
def gated(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gated")
    return replay(folder, "gated", request.param, width=32)


def sums_on_the_map(result, index):
    """Add up the pixels of each patch of a map without overlap, two classes."""
    canvas = result.evidence_map(index) - result.evidence_map(1 - index)
    side = canvas.shape[0] // result.grid.shape[0]
    return np.array(
        [
            canvas[y : y + side, x : x + side].sum(dtype=np.float64)
            for y, x in side * result.grid.cell
        ]
    )


def test_the_map_tested_is_the_one_that_was_drawn(exact, gated):
    for replayed in (exact, gated):
        expected = sums_on_the_map(replayed.result, called(replayed))
        found = drawn_map(replayed)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_from_the_embeddings_the_trained_model_draws_that_map_again(exact, gated):
    # Up to the number of cells, by which Grad-CAM++ alone multiplies.
    cells = gated.result.cell_evidence[0, 0].size
    times = cells if gated.result.cam_method == "grad-cam++" else 1
    for replayed, factor in ((exact, 1), (gated, times)):
        found = factor * redrawn_map(replayed, replayed.case)
        expected = drawn_map(replayed)
        size = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=2e-3 * size)


def test_patches_go_in_the_order_of_the_map_that_was_drawn(gated):
    result, case, index = gated.result, gated.case, called(gated)
    order = np.argsort(-sums_on_the_map(result, index), kind="stable")
    curve = run_job(curve_job(gated, "deletion"))
    for place, share in enumerate(curve.share[:-1]):
        rows = order[round(share * len(order)) :]
        bag = torch.from_numpy(gated.embeddings[rows]).float()[None]
        with torch.no_grad():
            logits = case.forward(bag, case.available).logits[0]
        expected = float(logits[index] - logits[1 - index])
        assert curve.by_evidence[place] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["exact", "late"])
def test_curves_run_between_the_call_and_the_call_without_patches(name, request):
    replayed = request.getfixturevalue(name)
    prediction, index = replayed.result.prediction, called(replayed)
    whole = margin(prediction.call, index)
    bias = np.asarray(prediction.bias)
    empty = bias[index] - bias[1 - index]
    down = run_job(curve_job(replayed, "deletion"))
    up = run_job(curve_job(replayed, "insertion"))
    for curve, first, last in ((down, whole, empty), (up, empty, whole)):
        assert curve.share[[0, -1]].tolist() == [0, 1]
        assert curve.at_random.shape == (ORDERS, len(curve.share))
        every = np.vstack([curve.by_evidence, curve.at_random])
        np.testing.assert_allclose(every[:, 0], first, atol=1e-4)
        np.testing.assert_allclose(every[:, -1], last, atol=1e-4)
    # What the map says matters most does: no random order is as telling.
    assert (down.area < down.random_areas).all()
    assert (up.area > up.random_areas).all()


def test_the_area_is_that_under_the_curve(exact):
    curve = run_job(curve_job(exact, "deletion", seed=3))
    steps = np.diff(curve.share)
    heights = (curve.by_evidence[1:] + curve.by_evidence[:-1]) / 2
    assert curve.area == pytest.approx((steps * heights).sum())
    assert len(set(curve.random_areas.round(9))) == ORDERS


@pytest.mark.parametrize("name", ["exact", "late"])
def test_a_random_model_draws_another_map_and_leaves_the_trained_one(name, request):
    replayed = request.getfixturevalue(name)
    model = replayed.case.model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = run_job(randomize_job(replayed, seed=1))
    for key, value in model.state_dict().items():
        assert value.equal(before[key]), key
    assert all(len(part.correlations) == DRAWS for part in found)
    values = np.array([part.correlations for part in found])
    assert np.abs(values).max() <= 1 + 1e-9
    assert abs(found[-1].mean) < 0.6
    # Draws differ from each other and from the trained model.
    assert np.ptp(values[-1]) > 0.05
    assert values[-1].max() < 0.999
    again = run_job(randomize_job(replayed, seed=1))
    assert again == found


UNHEARD = {
    "evidence": {"missing"},
    "image_only": {"missing_image"},
    "rna_only": {"missing"},
    "cross_attention": {"missing", *(f"aux_heads.{m}" for m in MODALITIES)},
    "late": {"missing"},
} | {
    name: {"missing", *(f"own_heads.{m}" for m in MODALITIES)}
    for name in ("feature_concat", "gated", "bilinear")
}
"""Of a patient who has everything: what is for training only, or for the absent."""


@pytest.mark.parametrize("name", UNHEARD)
def test_parts_are_those_that_move_the_logit_of_the_class(name):
    draw = np.random.default_rng(0)
    omics = {Modality(m): draw.normal(size=g).astype("f") for m, g in OMICS.items()}
    case = CaseTensors(make_model(name), omics)
    embeddings = draw.uniform(0, 2, (7, DIM)).astype(np.float16)
    bag = torch.from_numpy(embeddings).float()[None]
    names = parts_heard(case, embeddings, 1)
    everything = parts_downward(case.model)
    assert list(everything)[:1] == names[:1]
    assert set(everything) - set(names) == UNHEARD[name]
    assert sorted(names, key=list(everything).index) == names

    def logit():
        with torch.no_grad():
            return case.forward(bag, case.available).logits[0, 1].item()

    before = logit()
    noise = torch.Generator().manual_seed(0)
    for part, (module,) in everything.items():
        kept = {k: v.clone() for k, v in module.named_parameters(recurse=False)}
        with torch.no_grad():
            for weight in module.parameters(recurse=False):
                weight += 0.1 * torch.randn(weight.shape, generator=noise)
        assert (logit() != before) == (part in names), part
        with torch.no_grad():
            for key, value in kept.items():
                module.get_parameter(key).copy_(value)


def test_what_stands_for_an_absent_table_is_heard_instead_of_it():
    case = CaseTensors(make_model("gated"), {})
    embeddings = np.random.default_rng(0).uniform(0, 2, (5, DIM)).astype(np.float16)
    names = parts_heard(case, embeddings, 0)
    assert "missing" in names
    assert not any(name.startswith(("encoders", "own_heads")) for name in names)


@pytest.mark.parametrize(
    ("name", "first"), [("exact", "EvidenceFusion"), ("late", "own_heads.image")]
)
def test_the_part_that_makes_the_logits_comes_first_and_changes_the_map(
    name, first, request
):
    found = run_job(randomize_job(request.getfixturevalue(name)))
    assert found[0].layer == first
    assert abs(found[0].mean) < 0.9


def test_correlation_is_of_ranks():
    from napari_mmsubtype.inference.sanity import _correlation

    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 30))
    expected = np.corrcoef(rankdata(first), rankdata(second))[0, 1]
    assert _correlation(first, second) == pytest.approx(expected)
    assert _correlation(first, np.exp(first)) == pytest.approx(1)
    assert _correlation(first, np.zeros(30)) == 0
