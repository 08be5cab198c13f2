"""Trained models joined: calibrated logits averaged, each in its own features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from builders.fusion import CLASSES, MODALITIES, OMICS, make_batch, make_model
from napari_mmsubtype.core.cases import Modality, subset_key, subsets
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.fold_ensemble import (
    NAME,
    Member,
    TableView,
    join_members,
)
from napari_mmsubtype.models.fusion import (
    check_fusion_options,
    create_fusion,
    list_fusions,
)
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import CoxHead
from napari_mmsubtype.omics.spec_union import SpecView

PLAIN = Heads({"class": ClassHead(("a", "b", "c"))})


def view(length, **change):
    whole = SpecView(
        index=np.arange(length),
        scale=np.ones(length),
        shift=np.zeros(length),
        clip=100.0,
        variable=np.full(length, -1),
        fill=np.zeros(length),
    )
    return replace(whole, **change)


VIEWS = {Modality(m): view(length) for m, length in OMICS.items()}


def member(name="evidence", seed=0, calibration=None, heads=PLAIN, views=VIEWS):
    model = make_model(name, seed)
    return Member(model, heads, calibration or Calibration(), views)


def calibrations():
    return [
        Calibration(temperature=2.0, temperatures={"rna": 4.0}),
        Calibration(
            temperature=0.5,
            offset=(0.3, -0.1, -0.2),
            offsets={"image+rna": (1.0, 0.0, -1.0)},
        ),
    ]


@pytest.mark.parametrize("subset", subsets(MODALITIES))
def test_calibrated_logits_are_averaged_by_what_a_patient_has(subset):
    members = [member(seed=s, calibration=c) for s, c in enumerate(calibrations())]
    model, _ = join_members(members, OMICS)
    batch = make_batch()
    batch.present = torch.tensor([[m in subset for m in MODALITIES]] * 4)
    key = subset_key(subset)
    expected = 0
    for one in members:
        found = one.calibration.scaling_of(key)
        offset = torch.tensor(found.offset or (0.0,) * CLASSES)
        expected = expected + (batch.run(one.model).logits / found.temperature + offset)
    torch.testing.assert_close(batch.run(model).logits, expected / 2)


def test_evidence_of_additive_members_adds_up():
    members = [member(seed=s, calibration=c) for s, c in enumerate(calibrations())]
    model, _ = join_members(members, OMICS)
    batch = make_batch()
    batch.present[1, 2] = False
    output = batch.run(model)
    total = sum(output.modality_logits.values())
    torch.testing.assert_close(total, output.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        output.evidence.sum(dim=1), output.modality_logits["image"]
    )
    torch.testing.assert_close(output.weights.sum(dim=1), torch.ones(4))
    assert not output.modality_logits["methylation"][1].any()
    assert not model.exact_cam


def test_a_single_member_says_what_it_said_alone():
    one = member("cross_attention", seed=3)
    model, heads = join_members([one], OMICS)
    batch = make_batch()
    torch.testing.assert_close(batch.run(model).logits, batch.run(one.model).logits)
    assert heads.heads == PLAIN.heads


def test_members_look_at_features_of_their_own():
    rng = np.random.default_rng(0)
    lengths = {**OMICS, "rna": 20}
    members = []
    for seed in range(2):
        own = view(
            OMICS["rna"],
            index=rng.choice(20, OMICS["rna"], replace=False),
            scale=rng.uniform(0.5, 2, OMICS["rna"]),
            shift=rng.normal(size=OMICS["rna"]),
            clip=1.5,
        )
        members.append(member(seed=seed, views={**VIEWS, Modality.RNA: own}))
    model, _ = join_members(members, lengths)
    batch = make_batch()
    batch.omics["rna"] = torch.from_numpy(rng.normal(size=(4, 20))).float()
    expected = []
    for one in members:
        place = one.views[Modality.RNA]
        own = batch.omics["rna"].double().numpy()[:, place.index]
        own = np.clip(own * place.scale + place.shift, -1.5, 1.5)
        alone = make_batch()
        alone.omics["rna"] = torch.from_numpy(own).float()
        expected.append(alone.run(one.model).logits)
    torch.testing.assert_close(batch.run(model).logits, (expected[0] + expected[1]) / 2)


def test_a_level_that_a_member_never_saw_takes_its_fill():
    table = TableView(4, has_categories=True)
    table.load_state_dict(
        {
            "index": torch.tensor([0, 1, 3, 4]),
            "scale": torch.tensor([2.0, 1.0, 1.0, 1.0]),
            "shift": torch.zeros(4),
            "clip": torch.tensor(6.0),
            "variable": torch.tensor([-1, 0, 0, -1]),
            "fill": torch.tensor([0.0, 0.75, 0.25, 0.0]),
        }
    )
    rows = torch.tensor([[1.0, 1, 0, 0, 0], [9.0, 0, 1, 0, 1]])
    expected = torch.tensor([[2.0, 1, 0, 0], [6.0, 0.75, 0.25, 1]])
    torch.testing.assert_close(table(rows), expected)


def test_other_questions_are_scaled_and_centered():
    classes = ClassHead(("a",))
    heads = [
        Heads(
            {
                "class": classes,
                "stage": OrdinalHead(("I", "II"), temperature=t),
                "risk": CoxHead(center=center),
            }
        )
        for t, center in ((2.0, 1.0), (4.0, -3.0))
    ]
    members = [member(seed=s, heads=h) for s, h in enumerate(heads)]
    model, joint = join_members(members, OMICS)
    batch = make_batch()
    one, two = (batch.run(m.model).logits for m in members)
    found = batch.run(model).logits
    torch.testing.assert_close(found[:, 1], (one[:, 1] / 2 + two[:, 1] / 4) / 2)
    torch.testing.assert_close(found[:, 2], (one[:, 2] - 1 + two[:, 2] + 3) / 2)
    assert joint.heads["stage"].temperature == 1.0
    assert joint.heads["risk"].center == 0.0


def test_members_of_other_questions_are_refused():
    other = Heads({"class": ClassHead(("a", "b", "x"))})
    with pytest.raises(ConfigurationError, match="different questions"):
        join_members([member(), member(heads=other)], OMICS)
    with pytest.raises(ConfigurationError, match="evidence, late"):
        join_members([member(), member("late")], OMICS)


def test_an_ensemble_is_made_of_trained_models_only():
    assert NAME not in list_fusions()
    with pytest.raises(ConfigurationError, match="is not trained itself"):
        check_fusion_options(NAME, {"members": []})
    sizes = {"dim": 4, "classes": 2, "omics": {"rna": 3}}
    with pytest.raises(ConfigurationError, match="at least one member"):
        create_fusion(NAME, **sizes, members=[])
    inner = {"name": NAME, "omics": {"rna": 3}, "options": {"members": []}}
    with pytest.raises(ConfigurationError, match="found 'fold_ensemble' of image, rna"):
        create_fusion(NAME, **sizes, members=[inner])
    entry = {"name": "evidence", "omics": {}, "options": {}}
    with pytest.raises(ConfigurationError, match="found 'evidence' of image"):
        create_fusion(NAME, **sizes, members=[entry])
