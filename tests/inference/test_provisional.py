import numpy as np
import pytest
import torch

from builders.stores import begin_store
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.inference import provisional
from napari_mmsubtype.inference.fuse import CaseTensors, fuse
from napari_mmsubtype.inference.provisional import ProvisionalJudge
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.results import schema

FAMILIES = ["cross_attention", "feature_concat", "gated", "bilinear", "late"]


class Clock:
    """Tells the time that it is told; every look at it may take some."""

    def __init__(self):
        self.now, self.step = 0.0, 0.0

    def __call__(self):
        self.now += self.step
        return self.now


def make_case(name):
    torch.manual_seed(3)
    model = create_fusion(name, dim=5, classes=2, omics={"rna": 9}).eval()
    rna = np.random.default_rng(0).normal(size=9)
    return CaseTensors(model, {Modality.RNA: rna})


@pytest.fixture
def writer(tmp_path):
    """A store whose patches are embedded, five of them unreadable."""
    made = begin_store(tmp_path)
    rows = np.random.default_rng(1).normal(size=(20, 5)).astype(np.float16)
    status = np.ones(20, np.uint8)
    status[::4] = 2
    made.write_patches(0, status, rows, None)
    return made


def hear(judge, writer, start, stop):
    index = np.arange(start, stop)
    return judge.hear(index, writer.read(schema.STATUS)[index])


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_said_of_all_patches_is_what_the_call_will_say(name, writer):
    case, clock = make_case(name), Clock()
    judge = ProvisionalJudge(case, writer.path, 20, clock)
    clock.now = 100.0
    found = hear(judge, writer, 0, 20)
    good = np.flatnonzero(writer.read(schema.STATUS) == 1)
    np.testing.assert_array_equal(found.index, good)
    fused = fuse(case, writer.read(schema.EMBEDDING)[good], Calibration())
    np.testing.assert_allclose(
        found.scores, fused.evidence / fused.weights[:, None], rtol=1e-3, atol=1e-5
    )


def test_patches_are_judged_now_and_then_among_those_that_are_done(writer):
    case, clock = make_case("cross_attention"), Clock()
    judge = ProvisionalJudge(case, writer.path, 20, clock)
    assert hear(judge, writer, 0, 6) is None, "too early"
    clock.now = provisional.EVERY_S
    first = hear(judge, writer, 6, 10)
    assert first.index.tolist() == [1, 2, 3, 5, 6, 7, 9]
    assert hear(judge, writer, 10, 14) is None, "just done"
    clock.now *= 2
    second = hear(judge, writer, 14, 20)
    assert len(second.index) == 15
    # Others have come: the same patch is judged among them.
    assert not np.allclose(second.scores[:7], first.scores, atol=1e-6)
    clock.now *= 2
    assert hear(judge, writer, 0, 0) is None, "nothing is new"


def test_only_groups_with_new_patches_are_judged_and_newest_first(writer, monkeypatch):
    monkeypatch.setattr(provisional, "GROUP", 8)
    clock = Clock()
    judge = ProvisionalJudge(make_case("late"), writer.path, 20, clock)
    clock.now = 100.0
    clock.step = 0.2 * provisional.SHARE * provisional.EVERY_S
    every = hear(judge, writer, 0, 20)
    assert every.index[0] > 16, "the newest first"
    assert len(every.index) == 15
    clock.now += 1000
    last = hear(judge, writer, 17, 20)
    assert last.index.tolist() == [17, 18, 19]


def test_looking_takes_no_more_than_its_share_of_the_time(writer, monkeypatch):
    monkeypatch.setattr(provisional, "GROUP", 8)
    clock = Clock()
    judge = ProvisionalJudge(make_case("late"), writer.path, 20, clock)
    clock.now, clock.step = 100.0, 3.0
    found = hear(judge, writer, 0, 20)
    assert found.index.min() > 16, "one slow group, and no more"
    over = clock.now
    clock.step = 0.0
    clock.now = over + 3.0 / provisional.SHARE - 1
    assert hear(judge, writer, 0, 0) is None
    clock.now = over + 3.0 / provisional.SHARE + 4
    assert hear(judge, writer, 0, 0).index.min() < 16
