"""Stages, levels and follow-up are read as manifests write them."""

import math

import pytest

from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import CoxHead
from napari_mmsubtype.workflows.cohort_targets import (
    are_stages,
    head_targets,
    stage_level,
)


def target(head, columns=(), name="stage"):
    heads = Heads({"class": ClassHead(("a", "b")), name: head})
    (found,) = head_targets(heads, columns)
    return found


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("I", 0),
        ("Stage IIB", 1),
        ("STAGE IIIA", 2),
        ("iv", 3),
        ("Stage IA2", 0),
        ("STAGE X", None),
        ("", None),
        ("Not Reported", None),
    ],
)
def test_stages_are_read(text, level):
    assert stage_level(text) == level


def test_what_is_no_stage_is_refused():
    with pytest.raises(ValueError, match="'T2' is no stage"):
        stage_level("T2")


def test_levels_are_those_of_the_head():
    stages = target(OrdinalHead(("I", "II", "III", "IV")))
    assert stages.columns == ("stage",)
    assert stages.parse({"stage": "STAGE IIIC"}) == (2.0,)
    assert math.isnan(stages.parse({"stage": "STAGE X"})[0])
    late = target(OrdinalHead(("early", "late")))
    assert [late.parse({"stage": s})[0] for s in ("IIB", "IIIA", "late")] == [0, 1, 1]
    grade = target(ClassHead(("low", "high")), name="Grade")
    assert grade.parse({"grade": "HIGH"}) == (1.0,)
    with pytest.raises(ValueError, match="grade must be one of low, high or empty"):
        grade.parse({"grade": "middle"})


def test_levels_that_are_stages_are_known():
    assert are_stages(("I", "II", "III", "IV"))
    assert are_stages(("Early", "Late"))
    assert not are_stages(("low", "high"))


def test_follow_up_is_read_from_its_own_columns_or_the_common_ones():
    common = target(CoxHead(), name="death")
    assert common.columns == ("time", "event")
    own = target(CoxHead(), ("death_time", "death_event"), name="death")
    assert own.columns == ("death_time", "death_event")
    assert common.parse({"time": "12.5", "event": "1:DECEASED"}) == (12.5, 1.0)
    assert common.parse({"time": "3", "event": "0"}) == (3.0, 0.0)
    assert all(map(math.isnan, common.parse({"time": "NA", "event": ""})))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"time": "", "event": "1"}, "must both be given or both be empty"),
        ({"time": "-1", "event": "1"}, "time must be a number from 0, found '-1'"),
        ({"time": "inf", "event": "1"}, "time must be a number from 0, found 'inf'"),
        ({"time": "1", "event": "dead"}, "event must be 1 for the event or 0"),
    ],
)
def test_impossible_follow_up_is_refused(cells, message):
    with pytest.raises(ValueError, match=message):
        target(CoxHead(), name="death").parse(cells)
