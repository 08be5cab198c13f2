import itertools

import numpy as np
import pytest
import torch

from napari_mmsubtype.core.cases import Modality, subset_key, subsets
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.inference.fuse import (
    CaseTensors,
    fuse,
    patch_gradients,
    shapley_shares,
)
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.heads import Heads

OMICS = {"rna": 9, "methylation": 5, "clinical": 4}


@pytest.fixture(params=["evidence", "cross_attention", "late"])
def model(request):
    torch.manual_seed(3)
    return create_fusion(request.param, dim=6, classes=3, omics=OMICS).eval()


@pytest.fixture
def case(model):
    rng = np.random.default_rng(0)
    tables = {Modality.RNA: rng.normal(size=9), Modality.CLINICAL: rng.normal(size=4)}
    return CaseTensors(model, tables)


@pytest.fixture
def embeddings():
    return np.random.default_rng(1).normal(size=(11, 6)).astype(np.float16)


def test_a_call_is_made_from_every_subset_of_what_is_there(case, embeddings):
    fused = fuse(case, embeddings, Calibration())
    assert list(fused.subsets) == [
        "image+rna+clinical",
        "image+rna",
        "image+clinical",
        "rna+clinical",
        "image",
        "rna",
        "clinical",
    ]
    assert fused.call == fused.subsets["image+rna+clinical"]
    for call in fused.subsets.values():
        assert sum(call.probabilities) == pytest.approx(1)


def test_removing_a_modality_changes_the_call(case, embeddings):
    subsets_of = fuse(case, embeddings, Calibration()).subsets
    whole = np.array(subsets_of["image+rna+clinical"].logits)
    for without in ("rna+clinical", "image+clinical", "image+rna"):
        assert np.abs(whole - subsets_of[without].logits).max() > 1e-4


def test_temperature_softens_probabilities_and_leaves_logits(case, embeddings):
    sharp, soft = (fuse(case, embeddings, Calibration(t)).call for t in (0.5, 5.0))
    assert sharp.logits == soft.logits
    assert max(sharp.probabilities) > max(soft.probabilities)
    expected = np.exp(np.array(soft.logits) / 5)
    assert soft.probabilities == pytest.approx(tuple(expected / expected.sum()))


def test_shares_of_each_class_sum_to_logit_less_bias(case, embeddings):
    fused = fuse(case, embeddings, Calibration())
    total = np.sum(list(fused.shapley.values()), axis=0)
    np.testing.assert_allclose(
        total, np.array(fused.call.logits) - fused.bias, atol=1e-6
    )


def test_shares_equal_the_average_over_all_orders():
    rng = np.random.default_rng(0)
    members = (Modality.IMAGE, Modality.RNA, Modality.METHYLATION, Modality.CLINICAL)
    values = {subset_key(s): rng.normal(size=2) for s in subsets(members)}
    empty = rng.normal(size=2)
    orders = list(itertools.permutations(members))
    expected = {m: np.zeros(2) for m in members}
    for order in orders:
        before = empty
        for count, member in enumerate(order, start=1):
            after = values[subset_key(order[:count])]
            expected[member] += (after - before) / len(orders)
            before = after
    shares = shapley_shares(members, values, empty)
    for member in members:
        np.testing.assert_allclose(shares[member], expected[member])


def test_exact_evidence_is_weight_times_query_times_embedding(embeddings):
    torch.manual_seed(0)
    model = create_fusion("evidence", dim=6, classes=3, omics=OMICS).eval()
    case = CaseTensors(model, {Modality.RNA: np.ones(9)})
    fused = fuse(case, embeddings, Calibration())
    queries = case.queries().numpy()
    expected = fused.weights[:, None] * (embeddings.astype(np.float32) @ queries.T)
    np.testing.assert_allclose(fused.evidence, expected, atol=1e-5)


def test_gradients_are_those_of_finite_differences(case, embeddings):
    gradients = patch_gradients(case, embeddings)
    assert gradients.shape == (11, 3, 6)
    step = np.float32(2.0**-6)
    moved = embeddings.astype(np.float32)
    ends = []
    for sign in (1, -1):
        bag = moved.copy()
        bag[4, 2] += sign * step
        with torch.no_grad():
            output = case.forward(torch.from_numpy(bag)[None], case.available)
        ends.append(output.logits[0].numpy())
    slope = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(gradients[4, :, 2], slope, atol=2e-3)


def test_only_exact_models_have_queries(case):
    assert (case.queries() is None) == (not case.model.exact_cam)


def test_a_model_that_looks_at_nothing_at_hand_is_refused():
    model = create_fusion("rna_only", dim=6, classes=3, omics=OMICS).eval()
    with pytest.raises(ConfigurationError, match=r"looks at rna alone.*image.*--rna"):
        CaseTensors(model, {Modality.CLINICAL: np.ones(4)})
    case = CaseTensors(model, {Modality.RNA: np.ones(9)})
    assert not case.queries().any()


@pytest.mark.parametrize("name", ["image", "rna"])
def test_a_call_is_made_from_what_the_model_looks_at(name, embeddings):
    torch.manual_seed(3)
    model = create_fusion(f"{name}_only", dim=6, classes=3, omics=OMICS).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += torch.rand(weight.shape)
    tables = {Modality.RNA: np.ones(9), Modality.CLINICAL: np.ones(4)}
    case = CaseTensors(model, tables)
    record = Calibration(2.0, {name: 0.5})
    fused = fuse(case, embeddings, record)
    assert list(fused.subsets) == list(fused.shapley) == [name]
    assert fused.call == fused.subsets[name]
    assert fused.call.modalities == (name,)
    np.testing.assert_allclose(
        fused.shapley[name], np.subtract(fused.call.logits, fused.bias)
    )
    # Nor do tables that it does not look at change the call.
    needed = {m: v for m, v in tables.items() if m == name}
    assert fuse(CaseTensors(model, needed), embeddings, record).call == fused.call


def test_calls_and_maps_are_those_of_the_first_head(model, embeddings):
    levels = ("I", "II")
    heads = Heads({"class": ClassHead(("a", "b")), "stage": OrdinalHead(levels)})
    tables = {Modality.RNA: np.ones(9), Modality.CLINICAL: np.ones(4)}
    plain, case = CaseTensors(model, tables), CaseTensors(model, tables, heads)
    every, fused = (fuse(c, embeddings, Calibration()) for c in (plain, case))
    assert fused.call.logits == every.call.logits[:2]
    odds = np.exp(fused.call.logits)
    assert fused.call.probabilities == pytest.approx(tuple(odds / odds.sum()))
    assert fused.bias == every.bias[:2]
    for name, share in fused.shapley.items():
        assert share == pytest.approx(every.shapley[name][:2])
    np.testing.assert_array_equal(fused.evidence, every.evidence[:, :2])
    np.testing.assert_array_equal(
        patch_gradients(case, embeddings), patch_gradients(plain, embeddings)[:, :2]
    )
    if model.exact_cam:
        assert torch.equal(case.queries(), plain.queries()[:2])
    assert every.answers == {}
    assert list(fused.answers) == ["stage"]
    for key, values in fused.answers["stage"].subsets.items():
        above = 1 / (1 + np.exp(-every.subsets[key].logits[2]))
        assert values == pytest.approx((1 - above, above))


def test_a_subset_may_have_a_scaling_of_its_own(case, embeddings):
    offset, of_rna = (0.0, 1.0, -1.0), (2.0, 0.0, -2.0)
    record = Calibration(
        1.0, {"image": 5.0, "rna": 0.5}, offset=offset, offsets={"rna": of_rna}
    )
    fused = fuse(case, embeddings, record)
    plain = fuse(case, embeddings, Calibration())
    for key, call in fused.subsets.items():
        assert call.logits == plain.subsets[key].logits
        scaled = np.array(call.logits) / {"image": 5.0, "rna": 0.5}.get(key, 1.0)
        odds = np.exp(scaled + (of_rna if key == "rna" else offset))
        assert call.probabilities == pytest.approx(tuple(odds / odds.sum()))
    assert fused.shapley == plain.shapley
    assert fused.bias == plain.bias
