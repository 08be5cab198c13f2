"""A fusion model is trained on one part, stopped by another, judged on the third."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from builders.crossval import draw, fold_data, open_cohort, small_preset, write
from napari_mmsubtype.training.fusion_trainer import fit_fusion
from napari_mmsubtype.workflows import fold_fusion
from napari_mmsubtype.workflows.fold_data import prepare_fold
from napari_mmsubtype.workflows.fold_fusion import SkippedFoldError, fit_fold_job
from napari_mmsubtype.workflows.fold_plan import plan_folds
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.model_list import fusion_variants


def variant(preset, name):
    return next(v for v in fusion_variants(preset) if v.name == name)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fold_data(tmp_path_factory.mktemp("fold"), n=32)


def fit(data, name="evidence"):
    return run_job(fit_fold_job(data, variant(data.preset, name)))


def test_a_preset_answers_test_patients_from_every_subset(data):
    torch.manual_seed(5)
    fitted = fit(data)
    assert torch.initial_seed() == 5
    frame = fitted.predictions
    test = sorted(data.cases.patients[i] for i in data.test)
    for subset, rows in frame.groupby("subset"):
        assert sorted(rows["patient_id"]) == test, subset
    assert frame["subset"].nunique() == 7
    main = frame[frame["main"]]
    assert set(main["subset"]) == {"image+rna+clinical"}
    assert set(frame["model"]) == {"evidence"}
    assert fitted.facts["epochs"] == len(fitted.facts["training_losses"]) == 2
    assert fitted.facts["training_patients"] == len(data.train)


def test_the_same_fold_gives_the_same_answers(data):
    first, second = fit(data).predictions, fit(data).predictions
    assert first.equals(second)


def test_a_model_of_one_modality_does_not_see_the_others(data, tmp_path):
    changed = fold_data(tmp_path, n=32)
    for bag in changed.cases.bags:
        bag += 5
    first, second = fit(data, "evidence/rna_only"), fit(changed, "evidence/rna_only")
    assert first.predictions.equals(second.predictions)
    assert set(first.predictions["present"]) == {"rna"}
    image = fit(data, "evidence/image_only"), fit(changed, "evidence/image_only")
    assert not image[0].predictions["p0"].equals(image[1].predictions["p0"])


def test_an_ablation_never_saw_what_it_lacks(data, tmp_path):
    changed = fold_data(tmp_path, n=32)
    for bag in changed.cases.bags:
        bag += 5
    name = "evidence/without_image"
    assert fit(data, name).predictions.equals(fit(changed, name).predictions)


def test_the_control_is_trained_and_judged_on_shuffled_labels(data):
    frame = fit(data, "evidence/random_labels").predictions
    truth = dict(zip(data.cases.patients, data.cases.labels, strict=True))
    own = [truth[p] for p in frame["patient_id"]]
    assert frame["y"].tolist() != own
    everywhere = np.bincount(data.cases.labels)
    assert (np.bincount(frame["y"], minlength=2) <= everywhere).all()


def test_a_modality_that_few_have_skips_the_fold(tmp_path):
    drawn = draw(32)
    for row in range(29):
        drawn["bags"][row] = drawn["bags"][row][:0]
    preset = small_preset()
    cohort = open_cohort(write(tmp_path, drawn), preset)
    split = plan_folds(cohort, preset.validation).splits[0]
    data = prepare_fold(cohort, preset, drawn["bags"], split)
    with pytest.raises(SkippedFoldError, match="at least 2 of each are needed"):
        fit(data, "evidence/image_only")
    assert len(fit(data).predictions) > 0


def test_a_fold_that_nobody_can_be_judged_in_is_skipped(tmp_path):
    data = fold_data(tmp_path, n=32)
    present = data.cases.present.copy()
    present[data.test, 0] = False
    cases = replace(data.cases, present=present)
    with pytest.raises(SkippedFoldError, match="no patient of the held-out fold"):
        fit(replace(data, cases=cases), "evidence/image_only")


def test_several_questions_are_answered_at_once(tmp_path):
    drawn = draw(40)
    rng = np.random.default_rng(0)
    import pandas as pd

    extra = pd.DataFrame(
        {
            "stage": rng.choice(["I", "II", "STAGE IIIA", "IV", ""], 40),
            "time": rng.uniform(1, 60, 40).round(1),
            "event": rng.integers(0, 2, 40),
        }
    )
    preset = small_preset(
        "heads={stage: {kind: ordinal, levels: [I, II, III, IV]}, "
        "death: {kind: cox}, when: {kind: hazard, edges: [12, 30]}}"
    )
    cohort = open_cohort(write(tmp_path, drawn, extra), preset)
    split = plan_folds(cohort, preset.validation).splits[0]
    data = prepare_fold(cohort, preset, drawn["bags"], split)
    frame = fit(data).predictions
    main = frame[frame["main"]].set_index("head")
    assert set(main.index) == {"class", "stage", "death", "when"}
    np.testing.assert_allclose(
        main.loc["stage", ["p0", "p1", "p2", "p3"]].sum(axis=1), 1
    )
    risk = main.loc["death"]
    assert risk["risk"].notna().all()
    assert set(risk["high_risk"]) == {0.0, 1.0}
    assert main.loc["when", "risk"].between(-3, 0).all()
    for head in ("death", "when"):
        judged = main.loc[head, ["brier", "brier_reference"]]
        assert (judged.mean() < 0.6).all()
        assert (judged >= 0).all(axis=None)
    known = extra["time"].to_numpy()[split.test]
    np.testing.assert_allclose(np.sort(risk["time"]), np.sort(known))


def test_a_training_goes_on_from_its_checkpoint(data, tmp_path, monkeypatch):
    whole = fit(data)
    # A checkpoint at every step, not every minute.
    monkeypatch.setattr(fold_fusion, "fit_fusion", eager_fit)
    path, own = tmp_path / "begun.safetensors", variant(data.preset, "evidence")
    job = fit_fold_job(data, own, path)
    next(job)
    job.close()
    assert path.is_file()
    events = []
    again = run_job(fit_fold_job(data, own, path), events.append)
    assert "going on after epoch" in events[0].message
    pd.testing.assert_frame_equal(again.predictions, whole.predictions)
    assert again.facts["training_losses"] == whole.facts["training_losses"]


def eager_fit(*arguments, **options):
    return fit_fusion(*arguments, checkpoint_seconds=0.0, **options)
