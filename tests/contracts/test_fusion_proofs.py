"""What must be proved of every fusion model before its explanations can be believed."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from builders.fusion import (
    CLASSES,
    DIM,
    MODALITIES,
    OMICS,
    PATIENTS,
    VARIANTS,
    Batch,
    make_batch,
    make_model,
    prove_that_it_matters,
)
from builders.published_fusion import PublishedCrossAttention
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.inference.fuse import CaseTensors, fuse
from napari_mmsubtype.models.fusion import FusionModel, list_fusions

LARGE = 20_000
# Attention over one key is 1 whatever is asked: what else there is must carry the rest.
TRAP = {"cross_attention-one-group": ("cross_attention", {"groups": 1})}
EXACT = {"evidence", "image_only", "rna_only", "methylation_only", "clinical_only"}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=(VARIANTS | TRAP).values(), ids=VARIANTS | TRAP)
def model(request: pytest.FixtureRequest) -> FusionModel:
    name, options = request.param
    return make_model(name, **options)


@pytest.mark.parametrize("modality", MODALITIES)
def test_another_patients_data_moves_this_patient_and_nobody_else(model, modality):
    if modality not in model.uses:
        with pytest.raises(AssertionError, match="the answer is the same"):
            prove_that_it_matters(model, make_batch(), modality, 0)
        return
    for row in range(PATIENTS):
        prove_that_it_matters(model, make_batch(), modality, row)


def test_one_slide_for_many_patients_is_what_copies_of_it_would_be(model):
    batch = make_batch()
    batch.present[1, 0] = False
    one = replace(
        batch,
        bag=batch.bag[1:2].expand(PATIENTS, -1, -1),
        mask=batch.mask[1:2].expand(PATIENTS, -1),
    )
    copies = replace(one, bag=one.bag.clone(), mask=one.mask.clone())
    with torch.no_grad():
        left, right = one.run(model), copies.run(model)
    for name in ("logits", "evidence", "weights"):
        torch.testing.assert_close(getattr(left, name), getattr(right, name))
    assert left.modality_logits.keys() == right.modality_logits.keys()
    for name, value in left.modality_logits.items():
        torch.testing.assert_close(value, right.modality_logits[name])
    leaf = batch.bag[1:2].clone().requires_grad_()
    slopes = [
        torch.autograd.grad(replace(one, bag=bag).run(model).logits.sum(), leaf)[0]
        for bag in (leaf.expand(PATIENTS, -1, -1), leaf.repeat(PATIENTS, 1, 1))
        if "image" in model.uses
    ]
    if slopes:
        torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)


def test_the_published_cross_attention_fails_this_proof_for_the_image():
    torch.manual_seed(0)
    published = PublishedCrossAttention(DIM, CLASSES, OMICS).eval()
    batch = make_batch()
    batch.omics = {"rna": batch.omics["rna"]}
    batch.present = batch.present[:, :2]
    prove_that_it_matters(published, batch, Modality.RNA, 0)
    with pytest.raises(AssertionError, match="image: another one, and the answer is"):
        prove_that_it_matters(published, batch, Modality.IMAGE, 0)


def test_these_families_claim_that_evidence_adds_up():
    assert {name for name in list_fusions() if make_model(name).exact_cam} == EXACT


@pytest.mark.parametrize("name", sorted(EXACT))
def test_pixels_patches_slide_and_logit_add_up_over_20000_patches(name):
    model = make_model(name)
    draw = torch.Generator().manual_seed(2)
    maps = torch.rand(LARGE, DIM, 2, 3, generator=draw) * 2
    batch = Batch(
        maps.mean(dim=(2, 3))[None],
        torch.ones(1, LARGE, dtype=torch.bool),
        {m: torch.randn(1, g, generator=draw) for m, g in OMICS.items()},
        torch.ones(1, len(MODALITIES), dtype=torch.bool),
    )
    with torch.inference_mode():
        output = batch.run(model)
        queries = model.pixel_queries(batch.omics, batch.present)[0]
        # Everything in float32, as a graphics processor would.
        pixels = torch.einsum("cd,ndyx->ncyx", queries, maps) / 6
        pixels = output.weights[0, :, None, None, None] * pixels
    evidence = output.evidence[0].numpy()
    assert evidence.any() == ("image" in model.uses)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(
        pixels.sum(dim=(2, 3)).numpy(), evidence, rtol=1e-4, atol=1e-9
    )
    slide = output.modality_logits["image"][0].numpy()
    np.testing.assert_allclose(evidence.sum(axis=0), slide, **close)
    np.testing.assert_allclose(pixels.sum(dim=(0, 2, 3)).numpy(), slide, **close)
    parts = torch.stack(list(output.modality_logits.values())).detach()
    torch.testing.assert_close(parts.sum(dim=0), output.logits, **close)


@pytest.mark.parametrize("name", list_fusions())
def test_shapley_shares_are_the_average_over_all_orders(name):
    model = make_model(name)
    draw = np.random.default_rng(0)
    tables = {m: draw.normal(size=OMICS[m]) for m in MODALITIES[1:]}
    case = CaseTensors(model, tables)
    embeddings = draw.uniform(0, 2, (9, DIM)).astype(np.float16)
    found = fuse(case, embeddings, Calibration())
    bag = torch.from_numpy(embeddings.astype(np.float32))[None]

    def logits(members):
        with torch.inference_mode():
            return case.forward(bag, members).logits[0].double().numpy()

    orders = list(itertools.permutations(MODALITIES))
    expected = {m: np.zeros(CLASSES) for m in MODALITIES}
    for order in orders:
        for count, member in enumerate(order):
            step = logits(order[: count + 1]) - logits(order[:count])
            expected[member] += step / len(orders)
    for member in MODALITIES:
        # What is not looked at has none, and would have 0.
        share = found.shapley.get(str(member), (0.0,) * CLASSES)
        np.testing.assert_allclose(share, expected[member], atol=1e-6)
        assert any(share) == (str(member) in found.shapley) == (member in model.uses)
