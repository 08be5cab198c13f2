"""Small fusion models, and batches of patients to run them on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.fusion import (
    FusionModel,
    FusionOutput,
    create_fusion,
    list_fusions,
)
from napari_mmsubtype.models.mil_pooling import list_poolings

DIM, CLASSES, PATCHES, PATIENTS = 24, 3, 11, 4
OMICS = {"rna": 13, "methylation": 9, "clinical": 5}
MODALITIES = tuple(Modality)


@dataclass
class Batch:
    """What a fusion model takes."""

    bag: torch.Tensor
    mask: torch.Tensor
    omics: dict[str, torch.Tensor]
    present: torch.Tensor

    def run(self, model: FusionModel) -> FusionOutput:
        """Run a model on all patients."""
        return model(self.bag, self.mask, self.omics, self.present)

    def rows(self, index: slice) -> Batch:
        """Take some of the patients."""
        return Batch(
            self.bag[index],
            self.mask[index],
            {m: v[index] for m, v in self.omics.items()},
            self.present[index],
        )


def make_model(name: str, seed: int = 0, **options: object) -> FusionModel:
    """Make a model with random weights, as after training otherwise."""
    torch.manual_seed(seed)
    sizes = {"dim": DIM, "classes": CLASSES, "omics": OMICS}
    model = create_fusion(name, **sizes, **options).eval()
    # As after training: embeddings are far from the origin and unequal in scale.
    model.set_reference(torch.linspace(0.2, 2.0, DIM), torch.linspace(0.1, 1.0, DIM))
    return model


def make_batch(seed: int = 1) -> Batch:
    """Make four patients; two of them have fewer patches than the others."""
    draw = torch.Generator().manual_seed(seed)
    mask = torch.ones(PATIENTS, PATCHES, dtype=torch.bool)
    mask[1, 7:] = False
    mask[3, 1:] = False
    return Batch(
        torch.rand(PATIENTS, PATCHES, DIM, generator=draw) * 2,
        mask,
        {m: torch.randn(PATIENTS, g, generator=draw) for m, g in OMICS.items()},
        torch.ones(PATIENTS, len(MODALITIES), dtype=torch.bool),
    )


_MEMBERS = [{"name": "evidence", "omics": OMICS, "options": {}}] * 2
VARIANTS = (
    {name: (name, {}) for name in list_fusions()}
    | {
        f"feature_concat-{name}": ("feature_concat", {"pooling": name})
        for name in list_poolings()
    }
    | {"fold_ensemble": ("fold_ensemble", {"members": _MEMBERS})}
)
"""Every family, and every pooling in one that takes any: name and options."""


def prove_that_it_matters(
    model: FusionModel, batch: Batch, modality: Modality, row: int
) -> None:
    """Prove that one patient's image or table decides about that patient alone.

    The patient gets what somebody else has. Their own logits must move, nobody else's;
    and the gradient of every one of their logits to it must not vanish, while those of
    the other patients to it must.
    """
    other = make_batch(seed=99)
    given = {"image": batch.bag, **batch.omics}[modality]
    replaced = given.clone()
    replaced[row] = {"image": other.bag, **other.omics}[modality][row]

    def answer(value: torch.Tensor) -> torch.Tensor:
        if modality is Modality.IMAGE:
            changed = replace(batch, bag=value)
        else:
            changed = replace(batch, omics={**batch.omics, modality.value: value})
        return changed.run(model).logits

    with torch.no_grad():
        moved = (answer(replaced) - answer(given)).abs().amax(dim=1)
    others = torch.arange(len(moved)) != row
    assert moved[row] > 1e-4, f"{modality}: another one, and the answer is the same"
    assert (moved[others] < 1e-6).all(), f"{modality}: other patients are affected"
    leaf = given.clone().requires_grad_()
    logits = answer(leaf)
    for logit in logits[row]:
        (slope,) = torch.autograd.grad(logit, leaf, retain_graph=True)
        assert slope[row].abs().max() > 1e-7, f"{modality}: no gradient reaches it"
        assert not slope[others].any(), f"{modality}: other patients are asked"
