"""What holds of the classes holds of every head: order, padding, subsets, evidence."""

from __future__ import annotations

import pytest
import torch

from builders.fusion import (
    DIM,
    MODALITIES,
    OMICS,
    PATCHES,
    PATIENTS,
    Batch,
    make_batch,
)
from napari_mmsubtype.core.cases import subsets
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.fusion import create_fusion, list_fusions
from napari_mmsubtype.models.heads import KINDS, Heads
from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead

HEADS = Heads(
    {
        "class": ClassHead(("a", "b", "c")),
        "stage": OrdinalHead(("I", "II", "III", "IV")),
        "risk": CoxHead(),
        "survival": HazardHead((12.0, 24.0)),
    }
)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=list_fusions())
def trunk(request):
    torch.manual_seed(0)
    trunk = create_fusion(request.param, dim=DIM, classes=HEADS.size, omics=OMICS)
    trunk.set_reference(torch.linspace(0.2, 2.0, DIM), torch.linspace(0.1, 1.0, DIM))
    return trunk.eval()


@pytest.fixture(params=HEADS.heads)
def name(request):
    return request.param


def answer(trunk, batch, name):
    with torch.no_grad():
        return HEADS.answers(batch.run(trunk).logits)[name]


def test_the_suite_knows_all_heads():
    assert {head.kind for head in HEADS.heads.values()} == set(KINDS)


def test_order_and_padding_of_patches_do_not_matter(trunk, name):
    batch = make_batch()
    before = answer(trunk, batch, name)
    order = torch.randperm(PATCHES, generator=torch.Generator().manual_seed(3))
    mixed = Batch(
        torch.cat([batch.bag[:, order], torch.full((PATIENTS, 4, DIM), 7.0)], dim=1),
        torch.cat([batch.mask[:, order], torch.zeros(PATIENTS, 4) > 0], dim=1),
        batch.omics,
        batch.present,
    )
    torch.testing.assert_close(answer(trunk, mixed, name), before, **CLOSE)


@pytest.mark.parametrize("subset", [*subsets(MODALITIES), ()], ids="+".join)
def test_any_subset_is_answered_within_its_range(trunk, name, subset):
    batch = make_batch()
    batch.present = torch.tensor([[m in subset for m in MODALITIES]] * PATIENTS)
    found = answer(trunk, batch, name)
    assert found.isfinite().all()
    if name in {"class", "stage"}:
        assert (found >= 0).all()
        torch.testing.assert_close(found.sum(dim=1), torch.ones(PATIENTS))
    elif name == "survival":
        assert ((found > 0) & (found < 1)).all()
        assert (found.diff(dim=1) < 0).all()
    if not subset:
        torch.testing.assert_close(found, found[:1].expand_as(found))


def test_evidence_has_columns_for_every_head_that_add_up_where_they_claim_to(
    trunk, name
):
    batch, columns = make_batch(), HEADS.columns(name)
    draw = torch.Generator().manual_seed(5)
    maps = torch.rand(PATIENTS, PATCHES, DIM, 3, 2, generator=draw) * 2
    batch.bag = maps.mean(dim=(3, 4))
    with torch.no_grad():
        output = batch.run(trunk)
    evidence = output.evidence[..., columns]
    assert evidence.shape[2] == HEADS.heads[name].size
    assert bool(evidence.any()) == ("image" in trunk.uses)
    torch.testing.assert_close(
        output.modality_logits["image"][:, columns], evidence.sum(dim=1), **CLOSE
    )
    if not trunk.exact_cam:
        return
    with torch.no_grad():
        queries = trunk.pixel_queries(batch.omics, batch.present)[:, columns]
    pixels = torch.einsum("bn,bcd,bndyx->bncyx", output.weights, queries, maps) / 6
    torch.testing.assert_close(pixels.sum(dim=(3, 4)), evidence, **CLOSE)
    parts = torch.stack(list(output.modality_logits.values()))[..., columns].detach()
    torch.testing.assert_close(parts.sum(dim=0), output.logits[:, columns], **CLOSE)


def test_one_patient_moves_only_their_own_answer(trunk, name):
    batch, other = make_batch(), make_batch(seed=99)
    before = answer(trunk, batch, name)
    for modality in trunk.uses:
        changed = make_batch()
        given = {"image": changed.bag, **changed.omics}[modality]
        given[2] = {"image": other.bag, **other.omics}[modality][2]
        moved = (answer(trunk, changed, name) - before).abs().amax(dim=1)
        assert moved[2] > 1e-6, modality
        assert moved[[0, 1, 3]].max() < 1e-5, modality
