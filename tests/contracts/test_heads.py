"""One suite over every head on every fusion family: what none may get wrong."""

from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.fusion import create_fusion, list_fusions
from napari_mmsubtype.models.heads import KINDS, Heads
from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead

DIM, PATCHES, PATIENTS = 10, 7, 6
OMICS = {"rna": 8, "methylation": 5, "clinical": 4}
HEADS = Heads(
    {
        "class": ClassHead(("a", "b", "c")),
        "stage": OrdinalHead(("I", "II", "III", "IV"), late="III"),
        "risk": CoxHead(event="death", center=0.0),
        "survival": HazardHead((12.0, 24.0), event="death"),
    }
)
NAN = float("nan")
FOLLOWED = torch.tensor([[5.0, 1], [12, 1], [NAN, NAN], [40, 0], [24, 1], [8, 0]])
TARGETS = {
    "class": torch.tensor([0.0, 1, 2, NAN, 1, 0]),
    "stage": torch.tensor([NAN, 3.0, 0, 1, NAN, 2]),
    "risk": FOLLOWED,
    "survival": FOLLOWED,
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=list_fusions())
def trunk(request):
    torch.manual_seed(0)
    return create_fusion(request.param, dim=DIM, classes=HEADS.size, omics=OMICS).eval()


@pytest.fixture
def given():
    draw = torch.Generator().manual_seed(1)
    return {
        "image": torch.rand(PATIENTS, PATCHES, DIM, generator=draw) * 2,
        **{m: torch.randn(PATIENTS, g, generator=draw) for m, g in OMICS.items()},
    }


def run(trunk, given, rows=slice(None)):
    bag = given["image"][rows]
    mask = torch.ones(bag.shape[:2], dtype=torch.bool)
    omics = {m: given[m][rows] for m in OMICS}
    return trunk(bag, mask, omics, torch.ones(len(bag), 4, dtype=torch.bool)).logits


def test_the_suite_knows_all_heads():
    assert {head.kind for head in HEADS.heads.values()} == set(KINDS)


def test_a_batch_of_one_answers_like_a_batch_of_many(trunk, given):
    whole = HEADS.answers(run(trunk, given))
    for row in range(PATIENTS):
        single = HEADS.answers(run(trunk, given, slice(row, row + 1)))
        for name, answer in single.items():
            torch.testing.assert_close(
                answer[0], whole[name][row], rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("name", HEADS.heads)
def test_every_modality_has_a_gradient_from_every_head(trunk, given, name):
    inputs = [given[m].requires_grad_() for m in trunk.uses]
    loss = HEADS.losses(run(trunk, given), {name: TARGETS[name]})[name]
    for modality, gradient in zip(
        trunk.uses, torch.autograd.grad(loss, inputs), strict=True
    ):
        assert gradient.isfinite().all()
        assert gradient.abs().amax() > 1e-7, modality


@pytest.mark.parametrize("name", HEADS.heads)
def test_every_modality_moves_every_answer(trunk, given, name):
    before = HEADS.answers(run(trunk, given))[name]
    for modality in Modality:
        other = {**given, modality: given[modality].roll(1, dims=0)}
        moved = (HEADS.answers(run(trunk, other))[name] - before).abs().amax()
        assert (moved > 1e-6) == (modality in trunk.uses), modality


@pytest.mark.parametrize("name", HEADS.heads)
def test_patients_without_a_target_do_not_matter(trunk, given, name):
    target = TARGETS[name]
    known = ~target.isnan().view(PATIENTS, -1).any(dim=1)
    inputs = given["image"].requires_grad_()
    own = HEADS.losses(run(trunk, given), {name: target})[name]
    fewer = HEADS.losses(run(trunk, given, known), {name: target[known]})[name]
    torch.testing.assert_close(own, fewer, rtol=1e-4, atol=1e-5)
    if Modality.IMAGE in trunk.uses:
        (gradient,) = torch.autograd.grad(own, inputs)
        assert not gradient[~known].any()


@pytest.mark.parametrize("name", HEADS.heads)
def test_a_head_learns_through_its_own_logits_alone(name):
    logits = torch.randn(
        PATIENTS, HEADS.size, generator=torch.Generator().manual_seed(2)
    )
    logits.requires_grad_()
    HEADS.losses(logits, TARGETS)[name].backward()
    touched = logits.grad.abs().amax(dim=0) > 0
    own = torch.zeros(HEADS.size, dtype=torch.bool)
    own[HEADS.columns(name)] = True
    assert torch.equal(touched, own)
