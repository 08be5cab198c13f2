import logging

import numpy as np
import pytest
import torch

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import JobCancelled
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.conformal import fit_conformal
from napari_mmsubtype.evaluation.guard import fit_guard
from napari_mmsubtype.inference.fuse import CaseTensors
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.quality import assess_quality
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.workflows.analyze import analyze

SLIDE = "synthetic:seed=5,size=1536"
BLUE = np.array([0.15, 0.3, 0.75])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def paint(monkeypatch):
    """Make every patch whose index is a multiple of a number blue as ink."""

    def every(number):
        read = PatchSource.read

        def painted(self, index):
            patch = read(self, index)
            if index % number:
                return patch
            return np.rint(patch * BLUE).astype(np.uint8)

        monkeypatch.setattr(PatchSource, "read", painted)

    return every


def run(bundle, out, **request):
    return analyze(SLIDE, bundle, out=out, device="cpu", **request)


HEADS = Heads(
    {
        "class": ClassHead(("Luminal", "Basal/HER2")),
        "stage": OrdinalHead(("I", "II", "III", "IV"), late="III"),
        "risk": CoxHead(event="death", center=0.25),
        "survival": HazardHead((12.0, 60.0), event="death"),
    }
)


@pytest.mark.parametrize("fusion", ["evidence", "cross_attention"])
def test_every_head_answers_and_the_map_is_that_of_the_class(fusion, tmp_path):
    folder = tiny_bundle(tmp_path / "b", fusion, heads=HEADS)
    result = open_result(run(folder, tmp_path).path)
    prediction = result.prediction
    assert prediction.classes == ("Luminal", "Basal/HER2")
    assert len(prediction.call.logits) == result.patch_evidence.shape[1] == 2
    assert list(prediction.answers) == ["stage", "risk", "survival"]
    bundle = load_bundle(folder)
    case = CaseTensors(bundle.fusion, {}, bundle.heads)
    done = result.patch_status == PatchStatus.DONE
    bag = torch.from_numpy(result.embeddings[done].astype(np.float32))[None]
    with torch.no_grad():
        logits = case.forward(bag, case.available).logits
    for name, expected in HEADS.answers(logits).items():
        if name != "class":
            (found,) = prediction.answers[name].subsets.values()
            assert found == pytest.approx(expected[0, : len(found)].tolist(), abs=1e-5)
    if result.exact:
        total = [result.evidence_map(c).sum(dtype=np.float64) for c in (0, 1)]
        evidence = result.patch_evidence.sum(axis=0, dtype=np.float64)
        np.testing.assert_allclose(total, evidence, rtol=1e-4, atol=1e-5)


def test_marked_patches_stay_out_of_the_call_and_are_told(bundle, tmp_path, paint):
    paint(4)
    result = run(bundle, tmp_path)
    counts = result.prediction.patches
    marked = np.arange(len(result.grid)) % 4 == 0
    assert counts.flagged["pen"] == counts.excluded == marked.sum()
    assert counts.done + counts.unreadable + counts.excluded == counts.tissue
    assert result.prediction.warnings == ()
    np.testing.assert_array_equal(result.patch_status == PatchStatus.EXCLUDED, marked)
    np.testing.assert_array_equal(result.patch_flags & 1, marked)
    assert not result.patch_weights[marked].any()
    assert not result.patch_evidence[marked].any()
    assert result.class_map()[tuple(result.grid.cell[marked].T)].max() == 0
    assert result.patch_weights.sum() == pytest.approx(1, abs=1e-5)


def test_evidence_still_adds_up_without_them(bundle, tmp_path, paint):
    paint(3)
    result = run(bundle, tmp_path)
    for index in range(2):
        total = float(result.evidence_map(index).sum(dtype=np.float64))
        patches = float(result.patch_evidence[:, index].sum(dtype=np.float64))
        assert total == pytest.approx(patches, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("fusion", ["evidence", "cross_attention"])
def test_the_call_is_that_of_the_patches_left(tmp_path, paint, fusion):
    """Patches that are left out and patches that cannot be read weigh alike: nothing.

    The encoder sees the same batches in both runs, so that the numbers are equal.
    """
    bundle = tiny_bundle(tmp_path / "b", fusion=fusion)
    paint(4)
    out = run(bundle, tmp_path / "out")
    whole = run(bundle, tmp_path / "out", exclude=())
    assert whole.path != out.path
    assert whole.prediction.patches.excluded == 0
    assert whole.prediction.patches.flagged == out.prediction.patches.flagged
    np.testing.assert_array_equal(whole.embeddings, out.embeddings)
    difference = np.subtract(whole.prediction.call.logits, out.prediction.call.logits)
    assert np.abs(difference).max() > 1e-6
    marked = out.patch_status == PatchStatus.EXCLUDED
    cells = out.evidence_map(0)
    side = cells.shape[0] // out.grid.shape[0]
    for row, col in out.grid.cell[marked]:
        block = cells[row * side : (row + 1) * side, col * side : (col + 1) * side]
        assert not block.any()


def test_a_slide_marked_throughout_is_called_with_a_warning(
    bundle, tmp_path, paint, caplog
):
    paint(1)
    with caplog.at_level(logging.WARNING):
        result = run(bundle, tmp_path)
    counts = result.prediction.patches
    assert (counts.excluded, counts.done) == (0, counts.tissue)
    assert counts.flagged["pen"] == counts.tissue
    (warning,) = result.prediction.warnings
    assert "more than half" in warning
    assert warning in caplog.text


def test_the_analysis_and_the_library_judge_alike(bundle, tmp_path, paint):
    paint(4)
    result = run(bundle, tmp_path)
    with open_slide(SLIDE) as slide:
        quality = assess_quality(slide, result.grid)
    np.testing.assert_array_equal(result.patch_measures, quality.measures)
    np.testing.assert_array_equal(result.patch_flags, quality.bits)


def test_thresholds_and_flags_belong_to_the_request(bundle, tmp_path):
    plain = run(bundle, tmp_path)
    strict = run(bundle, tmp_path, quality={"blur_ratio": 0.9})
    assert strict.path != plain.path
    assert strict.prediction.patches.flagged["blur"] > 5
    assert strict.recipe.quality == {"blur_ratio": 0.9}
    assert run(bundle, tmp_path, exclude=("bubble", "blur", "pen")).path == plain.path


def test_a_resumed_run_judges_all_patches_again(bundle, tmp_path, paint):
    paint(4)

    def stop_at(stage, done):
        def stop(event):
            if event.stage == stage and event.done >= done:
                raise JobCancelled

        return stop

    for stage, done in (("patches", 9), ("maps", 0)):
        with pytest.raises(JobCancelled):
            run(bundle, tmp_path, batch_size=8, on_progress=stop_at(stage, done))
    store = next(tmp_path.glob("*" + schema.SUFFIX))
    assert (open_result(store).patch_status == PatchStatus.EXCLUDED).any()
    resumed = run(bundle, tmp_path, batch_size=8)
    assert resumed.path == store
    straight = run(bundle, tmp_path / "straight", batch_size=8)
    np.testing.assert_array_equal(resumed.patch_measures, straight.patch_measures)
    assert resumed.prediction == straight.prediction


def test_a_call_comes_with_its_set_and_the_likeness_to_training(tmp_path):
    rng = np.random.default_rng(0)
    odds = rng.random((60, 2))
    rule = fit_conformal(rng.integers(0, 2, 60), odds / odds.sum(axis=1, keepdims=True))
    calibration = Calibration(1.5, {"image": 4.0}, {"image": rule})
    plain = load_bundle(tiny_bundle(tmp_path / "plain"))
    own = run(plain.path, tmp_path / "first")
    usual = [
        own.embeddings[rng.choice(len(own.grid), 20)].astype(float)
        + 0.02 * rng.normal(size=(1, plain.encoder.dim))
        for _ in range(40)
    ]
    for name, bags, verdict in (
        ("near", usual, "typical"),
        ("far", [bag + 3 for bag in usual], "unlike"),
    ):
        folder = tiny_bundle(
            tmp_path / name, calibration=calibration, guard=fit_guard(bags, {})
        )
        prediction = run(folder, tmp_path / f"{name}-out", set_coverage=0.8).prediction
        logits = np.array(prediction.call.logits)
        expected = np.exp(logits / 4) / np.exp(logits / 4).sum()
        assert prediction.call.probabilities == pytest.approx(tuple(expected))
        held = rule.sets(expected[None], 0.8)[0]
        assert prediction.conformal.classes == tuple(np.array(prediction.classes)[held])
        assert prediction.conformal.coverage == 0.8
        (finding,) = prediction.guard.findings
        assert (finding.modality, finding.verdict) == ("image", verdict)
    assert set(finding.patches) <= set(range(len(own.grid)))
    assert finding.patches


def test_a_bundle_without_reference_says_that_nothing_was_judged(bundle, tmp_path):
    prediction = run(bundle, tmp_path).prediction
    assert prediction.conformal is None
    assert prediction.guard.verdict == ""
    assert "was not judged" in prediction.guard.problem
