from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from napari_mmsubtype.inference.head_answers import answers
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead

HEADS = Heads(
    {
        "class": ClassHead(("a", "b")),
        "receptor": ClassHead(("+", "-")),
        "stage": OrdinalHead(("I", "II", "III"), late="II"),
        "risk": CoxHead(event="death", center=0.5),
        "survival": HazardHead((12.0, 24.0), event="death"),
    }
)


@pytest.fixture
def found():
    row = torch.zeros(1, HEADS.size, dtype=torch.float64)
    other = row.clone()
    # In turn: receptor "-", risk 2, and a hazard of 3/4 in the second year.
    other[0, 3], other[0, 6], other[0, 8] = math.log(3), 2.0, math.log(3)
    return answers(HEADS, {"image+rna": row, "image": other})


def test_every_head_but_the_first_answers_for_every_subset(found):
    assert list(found) == ["receptor", "stage", "risk", "survival"]
    assert all(list(a.subsets) == ["image+rna", "image"] for a in found.values())
    assert [a.kind for a in found.values()] == ["classes", "ordinal", "cox", "hazard"]


def test_numbers_are_those_of_the_formulas(found):
    assert found["receptor"].subsets["image"] == pytest.approx((0.25, 0.75))
    assert found["stage"].subsets["image"] == pytest.approx((0.5, 0.25, 0.25))
    assert found["stage"].late_probability("image") == pytest.approx(0.5)
    assert found["risk"].subsets == {"image+rna": (0.0,), "image": (2.0,)}
    assert found["risk"].log_ratio("image") == 1.5


def test_chances_are_calibrated_where_a_temperature_was_fitted(found):
    assert not any(found[n].calibrated for n in ("receptor", "stage", "survival"))
    fitted = Heads(
        {
            name: head
            if name in ("class", "risk")
            else replace(head, temperature=math.log(3) / math.log(2))
            for name, head in HEADS.heads.items()
        }
    )
    row = torch.zeros(1, HEADS.size, dtype=torch.float64)
    row[0, 3] = row[0, 8] = math.log(3)
    softer = answers(fitted, {"image": row})
    assert all(softer[n].calibrated for n in ("receptor", "stage", "survival"))
    assert softer["receptor"].subsets["image"] == pytest.approx((1 / 3, 2 / 3))
    assert softer["survival"].subsets["image"] == pytest.approx((1 / 2, 1 / 6))


def test_the_open_last_interval_has_no_time(found):
    answer = found["survival"]
    assert (answer.times, answer.unit, answer.event) == ((12, 24), "months", "death")
    assert answer.subsets["image+rna"] == pytest.approx((0.5, 0.25))
    assert answer.subsets["image"] == pytest.approx((0.5, 0.125))
