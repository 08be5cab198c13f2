"""One suite over every fusion model: what none of them may get wrong."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from builders.fusion import (
    CLASSES,
    DIM,
    MODALITIES,
    OMICS,
    PATCHES,
    PATIENTS,
    VARIANTS,
    Batch,
    make_batch,
    make_model,
)
from napari_mmsubtype.core.cases import Modality, subsets
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.fusion import (
    FusionModel,
    FusionOutput,
    create_fusion,
    list_fusions,
)

SUBSETS = subsets(MODALITIES)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    # Several threads only wait for each other over matrices this small.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def model(request: pytest.FixtureRequest) -> FusionModel:
    name, options = request.param
    return make_model(name, **options)


@pytest.fixture
def batch() -> Batch:
    return make_batch()


def assert_same(left: FusionOutput, right: FusionOutput, tolerance: float = 1e-5):
    close = {"rtol": tolerance, "atol": tolerance}
    torch.testing.assert_close(left.logits, right.logits, **close)
    torch.testing.assert_close(left.evidence, right.evidence, **close)
    torch.testing.assert_close(left.weights, right.weights, **close)
    assert left.modality_logits.keys() == right.modality_logits.keys()
    for name, value in left.modality_logits.items():
        torch.testing.assert_close(value, right.modality_logits[name], **close)


def test_the_suite_knows_all_families():
    joint = {"evidence", "cross_attention", "feature_concat", "gated", "bilinear"}
    assert joint | {"late", *(f"{m}_only" for m in MODALITIES)} <= set(list_fusions())
    for name in list_fusions():
        own = MODALITIES if "_only" not in name else (name.removesuffix("_only"),)
        assert make_model(name).uses == own


def test_shapes_and_order_of_modalities(model, batch):
    output = batch.run(model)
    assert model.modalities == MODALITIES
    assert output.logits.shape == (PATIENTS, CLASSES)
    assert output.evidence.shape == (PATIENTS, PATCHES, CLASSES)
    assert output.weights.shape == (PATIENTS, PATCHES)
    assert set(MODALITIES) <= set(output.modality_logits)
    assert all(v.shape == (PATIENTS, CLASSES) for v in output.modality_logits.values())


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_modality_moves_the_logits(model, batch, modality):
    other = make_batch(seed=99)
    before = batch.run(model).logits
    if modality is Modality.IMAGE:
        batch.bag = other.bag
    else:
        batch.omics[modality] = other.omics[modality]
    moved = (batch.run(model).logits - before).abs().amax(dim=1)
    if modality in model.uses:
        assert (moved > 1e-4).all()
    else:
        assert not moved.any()


@pytest.mark.parametrize("train", [False, True])
def test_every_modality_has_a_gradient_to_every_class(model, batch, train):
    model.train(train)
    given = {"image": batch.bag, **batch.omics}
    inputs = [given[m] for m in model.uses]
    for tensor in inputs:
        tensor.requires_grad_()
    logits = batch.run(model).logits
    for column in range(CLASSES):
        gradients = torch.autograd.grad(
            logits[:, column].sum(), inputs, retain_graph=True
        )
        for gradient in gradients:
            assert torch.isfinite(gradient).all()
            assert (gradient.flatten(1).abs().amax(dim=1) > 1e-7).all()
        if "image" in model.uses:
            assert (gradients[0][~batch.mask] == 0).all()


def test_every_parameter_is_trained(model, batch):
    # Two rows of each kind: everything there, everything but one modality.
    batch.present = torch.tensor(
        [[True] * 4, [False, True, True, True], [True, False, False, False], [True] * 4]
    )
    output = batch.run(model)
    loss = torch.nn.functional.cross_entropy(output.logits, torch.tensor([0, 1, 2, 0]))
    for own in output.modality_logits.values():
        loss = loss + own.square().mean()
    loss.backward()
    idle = [
        name
        for name, value in model.named_parameters()
        if value.grad is None or not value.grad.any()
    ]
    assert not idle


def test_patch_order_does_not_matter(model, batch):
    order = torch.randperm(PATCHES, generator=torch.Generator().manual_seed(3))
    before = batch.run(model)
    batch.bag, batch.mask = batch.bag[:, order], batch.mask[:, order]
    after = batch.run(model)
    back = torch.argsort(order)
    after.evidence, after.weights = after.evidence[:, back], after.weights[:, back]
    assert_same(before, after)


@pytest.mark.parametrize("value", [0.0, 1e3])
def test_padding_changes_nothing(model, batch, value):
    before = batch.run(model)
    padding = torch.full((PATIENTS, 5, DIM), value)
    batch.bag = torch.cat([batch.bag, padding], dim=1)
    batch.bag[:, :PATCHES][~batch.mask] = value
    batch.mask = torch.cat([batch.mask, torch.zeros(PATIENTS, 5, dtype=torch.bool)], 1)
    after = batch.run(model)
    assert (after.weights[~batch.mask] == 0).all()
    assert (after.evidence[~batch.mask] == 0).all()
    after.evidence, after.weights = after.evidence[:, :-5], after.weights[:, :-5]
    assert_same(before, after)


def test_batch_of_one_equals_batch_of_many(model, batch):
    together = batch.run(model)
    for row in range(PATIENTS):
        alone = batch.rows(slice(row, row + 1)).run(model)
        torch.testing.assert_close(
            alone.logits[0], together.logits[row], rtol=1e-5, atol=1e-5
        )
        torch.testing.assert_close(
            alone.evidence[0], together.evidence[row], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_any_subset_gives_an_answer_of_its_own(model, batch, subset):
    whole = batch.run(model).logits
    batch.present = torch.tensor([[m in subset for m in MODALITIES]] * PATIENTS)
    output = batch.run(model)
    assert torch.isfinite(output.logits).all()
    assert torch.allclose(output.logits, whole) == (set(model.uses) <= set(subset))
    for modality in MODALITIES:
        if modality not in subset:
            assert not output.modality_logits[modality].any()
    sums = output.weights.sum(dim=1)
    expected = 1.0 if Modality.IMAGE in set(subset) & set(model.uses) else 0.0
    torch.testing.assert_close(sums, torch.full_like(sums, expected))
    if Modality.IMAGE not in subset:
        assert not output.evidence.any()


@pytest.mark.parametrize("modality", MODALITIES[1:])
def test_marked_absent_equals_left_out(model, batch, modality):
    column = MODALITIES.index(modality)
    left_out = Batch(batch.bag, batch.mask, dict(batch.omics), batch.present)
    del left_out.omics[modality]
    marked = Batch(batch.bag, batch.mask, dict(batch.omics), batch.present.clone())
    marked.present[:, column] = False
    marked.omics[modality] = torch.full_like(batch.omics[modality], float("nan"))
    assert_same(left_out.run(model), marked.run(model), tolerance=0.0)


def test_not_a_number_where_absent_does_not_reach_the_gradient(model, batch):
    batch.present[0, 1] = False
    batch.omics["rna"][0] = float("nan")
    batch.run(model).logits.sum().backward()
    for name, value in model.named_parameters():
        assert value.grad is None or torch.isfinite(value.grad).all(), name


def test_no_image_in_every_way_it_can_be_said(model, batch):
    marked = batch.rows(slice(None))
    marked.present = batch.present.clone()
    marked.present[:, 0] = False
    masked = batch.rows(slice(None))
    masked.mask = torch.zeros_like(batch.mask)
    empty = batch.rows(slice(None))
    empty.bag, empty.mask = batch.bag[:, :0], batch.mask[:, :0]
    expected = marked.run(model)
    assert_same(expected, masked.run(model))
    torch.testing.assert_close(expected.logits, empty.run(model).logits)


def test_absent_values_do_not_matter_within_a_mixed_batch(model, batch):
    batch.present[0, 1] = False
    before = batch.run(model)
    batch.omics["rna"][0] = 1e6
    assert_same(before, batch.run(model), tolerance=0.0)


def test_nothing_at_all_is_answered_the_same_for_everyone(model, batch):
    batch.present[:] = False
    logits = batch.run(model).logits
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits, logits[:1].expand_as(logits))


def test_a_saved_model_gives_identical_bits(model, batch, tmp_path):
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "w.st"
    )
    again = make_model(model.name, seed=7, **model.options)
    again.load_state_dict(load_file(tmp_path / "w.st"))
    assert_same(batch.run(model), batch.run(again), tolerance=0.0)


def test_evaluation_is_deterministic_and_training_is_not(model, batch):
    assert torch.equal(batch.run(model).logits, batch.run(model).logits)
    model.train()
    assert not torch.equal(batch.run(model).logits, batch.run(model).logits)


def test_image_logits_are_the_sum_of_the_evidence(model, batch):
    output = batch.run(model)
    torch.testing.assert_close(
        output.modality_logits["image"], output.evidence.sum(dim=1)
    )


def test_exact_models_add_up(model, batch):
    if not model.exact_cam:
        return
    for row in range(PATIENTS):
        batch.present[row, 1:] = torch.tensor([row & 1, row & 2, row & 4]).bool()
    output = batch.run(model)
    parts = torch.stack(list(output.modality_logits.values())).sum(dim=0)
    torch.testing.assert_close(parts, output.logits, rtol=1e-5, atol=1e-5)


def test_evidence_comes_from_pixels_only_where_the_model_is_exact(model, batch):
    draw = torch.Generator().manual_seed(5)
    maps = torch.rand(PATIENTS, PATCHES, DIM, 4, 6, generator=draw)
    batch.bag = maps.mean(dim=(3, 4))
    if not model.exact_cam:
        with pytest.raises(TypeError, match="not linear"):
            model.pixel_queries(batch.omics, batch.present)
        return
    output = batch.run(model)
    queries = model.pixel_queries(batch.omics, batch.present)
    pixels = torch.einsum("bn,bcd,bndyx->bncyx", output.weights, queries, maps) / 24
    torch.testing.assert_close(
        pixels.sum(dim=(3, 4)), output.evidence, rtol=1e-4, atol=1e-5
    )


def test_a_bag_of_20000_patches_adds_up_in_float32(model):
    draw = torch.Generator().manual_seed(2)
    count = 20_000
    batch = Batch(
        torch.rand(1, count, DIM, generator=draw) * 2,
        torch.ones(1, count, dtype=torch.bool),
        {m: torch.randn(1, g, generator=draw) for m, g in OMICS.items()},
        torch.ones(1, len(MODALITIES), dtype=torch.bool),
    )
    with torch.no_grad():
        output = batch.run(model)
    exact = output.evidence.double().sum(dim=1)
    torch.testing.assert_close(
        output.modality_logits["image"].double(), exact, rtol=1e-4, atol=1e-4
    )
    total = float("image" in model.uses)
    assert output.weights.double().sum().item() == pytest.approx(total, abs=1e-4)


def test_the_image_alone_is_enough_to_build_a_model_that_uses_it(model):
    if "image" not in model.uses:
        with pytest.raises(ConfigurationError, match="looks at"):
            create_fusion(model.name, dim=DIM, classes=CLASSES, omics={})
        return
    options = {}
    if model.name == "fold_ensemble":
        members = model.options["members"]
        options = {"members": [{**member, "omics": {}} for member in members]}
    sizes = {"dim": DIM, "classes": CLASSES, "omics": {}}
    alone = create_fusion(model.name, **sizes, **options).eval()
    batch = make_batch()
    output = alone(batch.bag, batch.mask, {}, batch.present[:, :1])
    assert torch.isfinite(output.logits).all()
    assert output.logits.std(dim=0).min() > 0


def test_half_precision_bags_are_taken(model, batch):
    before = batch.run(model).logits
    batch.bag = batch.bag.half()
    torch.testing.assert_close(batch.run(model).logits, before, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bag": torch.zeros(PATIENTS, PATCHES, DIM + 1)}, "bag must be"),
        ({"mask": torch.ones(PATIENTS, 2, dtype=torch.bool)}, "mask"),
        ({"present": torch.ones(PATIENTS, 2, dtype=torch.bool)}, "present must be"),
        ({"present": torch.ones(1, 4, dtype=torch.bool)}, "1 patients"),
        ({"omics": {"rna": torch.zeros(PATIENTS, 2)}}, "rna must be"),
        ({"omics": {"proteins": torch.zeros(PATIENTS, 2)}}, "proteins"),
    ],
)
def test_wrong_shapes_are_named(model, batch, change, message):
    for name, value in change.items():
        setattr(batch, name, value)
    with pytest.raises(ValueError, match=message):
        batch.run(model)
