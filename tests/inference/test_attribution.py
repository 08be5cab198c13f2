import numpy as np
import pytest
import torch
from torch import nn

from builders.bundles import modality_spec
from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.errors import DeviceLostError
from napari_mmsubtype.inference import attribution
from napari_mmsubtype.inference.attribution import (
    MAX_PATCHES,
    MAX_POINTS,
    TOLERANCE,
    attribute_features,
)
from napari_mmsubtype.inference.fuse import CaseTensors
from napari_mmsubtype.inference.table_path import POINTS
from napari_mmsubtype.models.class_heads import ClassHead
from napari_mmsubtype.models.fusion import create_fusion, list_fusions
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import CoxHead
from napari_mmsubtype.omics.baseline import baseline_values
from napari_mmsubtype.omics.feature_groups import FeatureGroups

CLASSES, DIM, PATCHES = 3, 6, 12
SPECS = {m: modality_spec(m) for m in OMICS}
SIZES = {str(m): len(spec) for m, spec in SPECS.items()}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def embeddings():
    return np.random.default_rng(1).normal(size=(PATCHES, DIM)).astype(np.float16)


def make_model(name, **options):
    torch.manual_seed(3)
    model = create_fusion(name, dim=DIM, classes=CLASSES, omics=SIZES, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # offsets are 0 at first
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def make_case(model, modalities=OMICS):
    draw = np.random.default_rng(2)
    values = {m: draw.normal(size=len(SPECS[m])).astype(np.float32) for m in OMICS}
    return CaseTensors(model, {m: values[m] for m in modalities})


def logits(case, embeddings, **changes):
    omics, case.omics = case.omics, {**case.omics, **changes}
    with torch.no_grad():
        bag = torch.from_numpy(embeddings.astype(np.float32))[None]
        found = case.forward(bag, case.available).logits[0].numpy()
    case.omics = omics
    return found


def start(modality):
    return torch.from_numpy(baseline_values(SPECS[modality]))[None]


def summed(found):
    return sum(table.values.sum(axis=0) for table in found.tables)


@pytest.mark.parametrize("name", list_fusions())
def test_features_sum_to_what_the_tables_add(name, embeddings):
    case = make_case(make_model(name))
    found = attribute_features(case, embeddings, SPECS)
    used = [m for m in OMICS if m in case.model.uses]
    if not used:
        assert found is None
        return
    assert [table.modality for table in found.tables] == used
    whole = logits(case, embeddings)
    empty = logits(case, embeddings, **{str(m): start(m) for m in used})
    np.testing.assert_allclose(found.baseline, empty, atol=1e-6)
    assert np.abs(whole - empty).max() > 1e-3
    gap = np.abs(summed(found) - (whole - empty)).max()
    assert gap == pytest.approx(found.gap, abs=1e-5)
    assert found.complete
    spread = max(np.ptp(whole), np.abs(whole - empty).max())
    assert found.limit == pytest.approx(TOLERANCE * max(spread, 1e-2), rel=1e-4)
    assert POINTS <= found.steps <= MAX_POINTS


def test_a_linear_table_gets_weight_times_change(embeddings):
    model = make_model("evidence")
    torch.manual_seed(0)
    layer = nn.Linear(SIZES["rna"], 64)
    model.encoders["rna"] = layer
    with torch.no_grad():
        # Then the image does not look at the tables.
        model.query_shift.weight.zero_()
        model.attention.context.weight.zero_()
    case = make_case(model)
    (rna, *_) = attribute_features(case, embeddings, SPECS).tables
    weight = (model.heads["rna"].weight @ layer.weight).detach().numpy()
    change = (case.omics["rna"] - start(Modality.RNA))[0].numpy()
    np.testing.assert_allclose(rna.values, change[:, None] * weight.T, atol=1e-5)


def test_tables_of_the_evidence_model_add_what_their_own_logits_say(embeddings):
    model = make_model("evidence")
    with torch.no_grad():
        model.query_shift.weight.zero_()
        model.attention.context.weight.zero_()
    case = make_case(model)
    found = attribute_features(case, embeddings, SPECS)
    for table in found.tables:
        own = model.heads[table.modality]
        encoder = model.encoders[table.modality]
        with torch.no_grad():
            ends = (case.omics[table.modality], start(Modality(table.modality)))
            added = [own(encoder(end))[0] for end in ends]
        expected = (added[0] - added[1]).numpy()
        np.testing.assert_allclose(table.values.sum(axis=0), expected, atol=found.limit)


@pytest.mark.parametrize("name", ["evidence", "gated"])
def test_they_are_the_average_of_gradients_along_the_path(
    name, embeddings, monkeypatch
):
    monkeypatch.setattr(attribution, "TOLERANCE", 1e-9)  # all points that there are
    case = make_case(make_model(name), [Modality.RNA])
    (table,) = attribute_features(case, embeddings, SPECS).tables
    first, last = start(Modality.RNA), case.omics["rna"]
    total = torch.zeros(CLASSES, SIZES["rna"])
    bag = torch.from_numpy(embeddings.astype(np.float32))[None]
    for share in (np.arange(400) + 0.5) / 400:  # the midpoint rule, class by class
        case.omics["rna"] = (first + share * (last - first)).requires_grad_()
        for c, logit in enumerate(case.forward(bag, case.available).logits[0]):
            (slope,) = torch.autograd.grad(
                logit, case.omics["rna"], retain_graph=c < CLASSES - 1
            )
            total[c] += slope[0] / 400
    expected = (total * (last - first)).T.detach().numpy()
    np.testing.assert_allclose(table.values, expected, atol=1e-4)


def test_a_feature_at_its_fill_adds_nothing(embeddings):
    case = make_case(make_model("bilinear"))
    case.omics["rna"][0, 4] = start(Modality.RNA)[0, 4]
    rna = attribute_features(case, embeddings, SPECS).tables[0]
    assert not rna.values[4].any()
    assert rna.values.any(axis=1).sum() == SIZES["rna"] - 1


def test_columns_of_a_clinical_variable_are_one_feature(embeddings):
    case = make_case(make_model("late"), [Modality.CLINICAL])
    (table,) = attribute_features(case, embeddings, SPECS).tables
    assert table.features == ("age", "menopause")
    assert table.values.shape == (2, CLASSES)


def test_gene_groups_are_named(embeddings):
    groups = FeatureGroups(("hormones", "keratins"), ((0, 1), (4, 5, 6)), learned=2)
    specs = {**SPECS, Modality.RNA: SPECS[Modality.RNA].with_groups(groups)}
    case = make_case(make_model("evidence"))
    tables = attribute_features(case, embeddings, specs).tables
    assert tables[0].groups == {"hormones": (0, 1), "keratins": (4, 5, 6)}
    assert not tables[1].groups


def test_points_are_limited_and_what_is_missing_is_told(embeddings, monkeypatch):
    case = make_case(make_model("gated"))
    monkeypatch.setattr(attribution, "TOLERANCE", 1e-9)
    found = attribute_features(case, embeddings, SPECS)
    assert MAX_POINTS - 2 * POINTS < found.steps <= MAX_POINTS
    assert not found.complete
    monkeypatch.setattr(attribution, "MAX_POINTS", POINTS)
    assert attribute_features(case, embeddings, SPECS).steps == POINTS


@pytest.mark.parametrize("name", ["cross_attention", "gated", "evidence"])
def test_only_what_needs_all_patches_at_each_point_is_thinned(name, monkeypatch):
    draw = np.random.default_rng(5)
    embeddings = draw.normal(size=(60, DIM)).astype(np.float16)
    case = make_case(make_model(name))
    whole = attribute_features(case, embeddings, SPECS)
    monkeypatch.setattr(attribution, "MAX_PATCHES", 20)
    thinned = attribute_features(case, embeddings, SPECS)
    assert thinned.baseline == whole.baseline
    same = all(
        (a.values == b.values).all()
        for a, b in zip(whole.tables, thinned.tables, strict=True)
    )
    assert same == (name != "cross_attention")
    # What a thinner bag changed is part of the gap: it is that to all patches.
    full = logits(case, embeddings)
    gap = np.abs(summed(thinned) - (full - thinned.baseline)).max()
    assert thinned.gap == pytest.approx(gap, abs=1e-6)
    if name == "cross_attention":
        # Only what further points change is taken from fewer patches.
        few = embeddings[np.linspace(0, 59, 20).round().astype(int)]
        plain = summed(attribute_features(case, few, SPECS))
        assert thinned.gap < np.abs(plain - (full - thinned.baseline)).max() / 2
    assert MAX_PATCHES > 1000


def test_the_model_is_left_as_it_was(embeddings):
    model = make_model("evidence")
    model.bias.requires_grad_(False)
    attribute_features(make_case(model), embeddings, SPECS)
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    assert [name for name, flag in flags.items() if not flag] == ["bias"]
    assert all(p.grad is None for p in model.parameters())
    assert not model.training


def test_only_the_classes_are_explained_where_there_are_other_heads(embeddings):
    heads = Heads({"class": ClassHead(("a", "b")), "risk": CoxHead()})
    model = make_model("evidence")
    plain = make_case(model)
    case = CaseTensors(model, {}, heads)
    case.omics, case.available = plain.omics, plain.available
    found = attribute_features(case, embeddings, SPECS)
    whole = attribute_features(plain, embeddings, SPECS)
    assert len(found.baseline) == 2
    for ours, theirs in zip(found.tables, whole.tables, strict=True):
        np.testing.assert_allclose(ours.values, theirs.values[:, :2], atol=2e-3)
        assert ours.values.shape[1] == 2


def test_no_table_no_attribution(embeddings):
    model = make_model("evidence")
    assert attribute_features(CaseTensors(model, {}), embeddings, SPECS) is None


@pytest.mark.gpu
def test_a_gpu_gives_the_same_numbers(embeddings):
    case = make_case(make_model("evidence"))
    here = attribute_features(case, embeddings, SPECS)
    there = attribute_features(case, embeddings, SPECS, "cuda")
    assert next(case.model.parameters()).device.type == "cpu"
    for left, right in zip(here.tables, there.tables, strict=True):
        np.testing.assert_allclose(left.values, right.values, atol=1e-4)


def test_where_memory_of_a_device_runs_out_the_cpu_does_it(
    embeddings, monkeypatch, caplog
):
    case = make_case(make_model("evidence"))
    expected = attribute_features(case, embeddings, SPECS)
    plain, asked = attribution._attribute, []

    def short(case, embeddings, specs, device):
        asked.append(device.type)
        if device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(case, embeddings, specs, device)

    monkeypatch.setattr(attribution, "_attribute", short)
    found = attribute_features(case, embeddings, SPECS, "meta")
    assert asked == ["meta", "cpu"]
    assert "memory of meta ran out: the CPU attributes" in caplog.text
    for left, right in zip(found.tables, expected.tables, strict=True):
        np.testing.assert_array_equal(left.values, right.values)


def test_a_lost_device_is_told_as_one(embeddings, monkeypatch):
    def refuse(*_):
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(attribution, "_attribute", refuse)
    with pytest.raises(DeviceLostError, match="meta stopped answering"):
        attribute_features(make_case(make_model("evidence")), embeddings, SPECS, "meta")
