from __future__ import annotations

import json

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.fusion import create_fusion, list_fusions
from napari_mmsubtype.models.heads import (
    ClassHead,
    CoxHead,
    HazardHead,
    Heads,
    OrdinalHead,
    read_heads,
)
from napari_mmsubtype.models.ordinal import corn_loss
from napari_mmsubtype.models.survival_losses import cox_loss, hazard_loss

NAN = float("nan")


@pytest.fixture
def heads():
    return Heads(
        {
            "subtype": ClassHead(("a", "b", "c")),
            "stage": OrdinalHead(("I", "II", "III", "IV")),
            "risk": CoxHead(),
            "survival": HazardHead((12.0, 24.0), alpha=0.2),
        }
    )


@pytest.fixture
def targets():
    followed = torch.tensor([[5.0, 1], [12, 1], [NAN, NAN], [40, 0], [24, 1]])
    return {
        "subtype": torch.tensor([0.0, 1, 2, NAN, 1]),
        "stage": torch.tensor([NAN, 3.0, 0, 1, NAN]),
        "risk": followed,
        "survival": followed,
    }


def test_each_head_gets_its_own_columns(heads):
    logits = torch.arange(20.0).view(2, 10)
    parts = heads.split(logits)
    assert heads.size == 10
    assert {name: part.shape[1] for name, part in parts.items()} == {
        "subtype": 3,
        "stage": 3,
        "risk": 1,
        "survival": 3,
    }
    assert torch.equal(torch.cat(list(parts.values()), dim=1), logits)


def test_losses_are_those_of_the_cases_that_are_known(heads, targets):
    logits = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    losses = heads.losses(logits, targets)
    known = [0, 1, 2, 4]
    expected = torch.nn.functional.cross_entropy(
        logits[known, :3], torch.tensor([0, 1, 2, 1])
    )
    torch.testing.assert_close(losses["subtype"], expected)
    stage = corn_loss(logits[1:4, 3:6], torch.tensor([3, 0, 1]))
    torch.testing.assert_close(losses["stage"], stage)
    known = [0, 1, 3, 4]
    events = torch.tensor([True, True, False, True])
    risk = cox_loss(logits[known, 6], torch.tensor([5.0, 12, 40, 24]), events)
    torch.testing.assert_close(losses["risk"], risk)
    # An edge belongs to the interval after it.
    when = hazard_loss(logits[known, 7:], torch.tensor([0, 1, 2, 2]), events, alpha=0.2)
    torch.testing.assert_close(losses["survival"], when)


def test_a_head_without_any_target_is_left_out(heads, targets):
    targets["stage"] = torch.full((5,), NAN)
    assert set(heads.losses(torch.zeros(5, 10), targets)) == {
        "subtype",
        "risk",
        "survival",
    }


def test_answers_are_what_a_person_reads(heads):
    logits = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    answers = heads.answers(logits)
    for name, size in (("subtype", 3), ("stage", 4)):
        assert answers[name].shape == (5, size)
        torch.testing.assert_close(answers[name].sum(dim=1), torch.ones(5))
    assert torch.equal(answers["risk"], logits[:, 6:7])
    assert (answers["survival"].diff(dim=1) < 0).all()


@pytest.mark.parametrize("name", list_fusions())
def test_all_heads_train_on_one_trunk_of_any_family(name, heads, targets):
    torch.manual_seed(0)
    sizes = {"rna": 6, "methylation": 4, "clinical": 3}
    trunk = create_fusion(name, dim=5, classes=heads.size, omics=sizes)
    inputs = (
        torch.randn(5, 7, 5),
        torch.ones(5, 7, dtype=torch.bool),
        {m: torch.randn(5, g) for m, g in sizes.items()},
        torch.ones(5, 4, dtype=torch.bool),
    )
    optimizer = torch.optim.Adam(trunk.parameters(), lr=1e-2)
    totals = []
    for _ in range(25):
        losses = heads.losses(trunk(*inputs).logits, targets)
        assert set(losses) == set(heads.heads)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]


@pytest.mark.parametrize(
    "heads",
    [{}, {"stage": OrdinalHead(("I", "II"))}, {"": ClassHead(("a", "b"))}],
)
def test_the_first_head_tells_classes_apart(heads):
    with pytest.raises(ConfigurationError, match="first head must tell classes apart"):
        Heads(heads)


def test_columns_are_those_of_one_head(heads):
    assert heads.columns("stage") == slice(3, 6)
    assert list(heads.others) == ["stage", "risk", "survival"]
    assert heads.classes.labels == ("a", "b", "c")
    with pytest.raises(KeyError, match="no head 'grade'"):
        heads.columns("grade")


def test_a_description_is_read_back(heads):
    text = json.dumps(heads.describe())
    again = read_heads(json.loads(text))
    assert again.heads == heads.heads
    assert list(again.heads) == list(heads.heads)
    assert json.loads(text)["survival"] == {
        "kind": "hazard",
        "edges": [12.0, 24.0],
        "unit": "months",
        "event": "event",
        "alpha": 0.2,
    }


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"kind": "rank"}, "'extra' is of kind 'rank'; known are classes, ordinal"),
        ({}, "kind None"),
        ({"kind": "cox", "center": 0.0, "tied": 1}, "unexpected keyword.*tied"),
        ({"kind": "ordinal"}, "missing.*levels"),
        ({"kind": "ordinal", "levels": "abc"}, "must list its names"),
        ({"kind": "ordinal", "levels": ["a", "a"]}, "at least two levels"),
        ({"kind": "hazard", "edges": ["soon"]}, "could not convert"),
        ({"kind": "cox", "center": "low"}, "real number"),
    ],
)
def test_a_description_that_is_none_is_refused(entry, says):
    described = {"class": {"kind": "classes", "labels": ["a"]}, "extra": entry}
    with pytest.raises(ConfigurationError, match=says):
        read_heads(described)


def test_what_does_not_fit_is_named(heads, targets):
    with pytest.raises(ValueError, match=r"logits must be \(b, 10\)"):
        heads.split(torch.zeros(2, 9))
    with pytest.raises(ValueError, match="targets of 'risk' must be"):
        heads.losses(torch.zeros(5, 10), {**targets, "risk": torch.zeros(5)})
    targets["grade"] = targets.pop("stage")
    with pytest.raises(ValueError, match=r"targets are for.*'grade'"):
        heads.losses(torch.zeros(5, 10), targets)
