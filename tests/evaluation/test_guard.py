from __future__ import annotations

import io

import numpy as np
import pytest

from builders.cohorts import bags, pattern_rows
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.trust import TYPICAL, UNLIKE
from napari_mmsubtype.evaluation.guard import (
    NO_REFERENCE,
    PREFIX,
    Guard,
    fit_guard,
)

RNA, CLINICAL = Modality.RNA, Modality.CLINICAL
NAMES = {RNA: [f"GENE{i}" for i in range(60)], CLINICAL: list("abcdefgh")}


def tables(n: int, seed: int = 0) -> dict:
    return {RNA: pattern_rows(n, seed=seed), CLINICAL: pattern_rows(n, 8, seed=seed)}


@pytest.fixture(scope="module")
def guard() -> Guard:
    return fit_guard(bags(60), tables(60))


def patient(seed: int, factor: float = 1.0) -> dict:
    return {m: factor * rows[0] for m, rows in tables(1, seed).items()}


def test_every_modality_at_hand_is_judged(guard) -> None:
    bag = bags(1, seed=70)[0]
    report = guard.judge(bag, patient(70), NAMES)
    assert [f.modality for f in report.findings] == ["image", "rna", "clinical"]
    only = guard.judge(None, {CLINICAL: patient(70)[CLINICAL]}, NAMES)
    assert [f.modality for f in only.findings] == ["clinical"]


def test_gravest_finding_is_the_verdict(guard) -> None:
    report = guard.judge(bags(1, seed=71)[0], patient(71, factor=6), NAMES)
    verdicts = {f.modality: f.verdict for f in report.findings}
    assert verdicts["rna"] == UNLIKE
    assert report.verdict == UNLIKE


def test_without_a_reference_nothing_is_judged(guard) -> None:
    report = Guard.from_arrays({"embedding_mean": np.zeros(3)}).judge(
        bags(1)[0], patient(1), NAMES
    )
    assert (report.findings, report.problem, report.verdict) == ((), NO_REFERENCE, "")
    assert not Guard()
    assert guard
    other = Guard(tables=guard.tables)
    assert other.judge(bags(1)[0], {}, NAMES).problem == NO_REFERENCE


def test_patients_without_a_modality_do_not_teach_it() -> None:
    rows = tables(60)
    has = np.arange(60) < 40
    rows[RNA][~has] = np.nan
    found = fit_guard(bags(60), rows, {RNA: has})
    assert len(found.tables[RNA].scale.scores) == 40
    assert len(found.tables[CLINICAL].scale.scores) == 60
    few = fit_guard(bags(60), rows, {RNA: np.arange(60) < 19, Modality.IMAGE: ~has})
    assert RNA not in few.tables
    assert len(few.image.scale.scores) == 20


def test_changing_test_rows_changes_nothing(guard) -> None:
    # Fitted to rows 0 to 59 of a larger cohort whose other rows are then replaced.
    first, second = tables(90), tables(90)
    slides = bags(90)
    for rows in second.values():
        rows[60:] = 1e3
    fitted = [
        fit_guard(slides[:60], {m: rows[:60] for m, rows in t.items()}).to_arrays()
        for t in (first, second)
    ]
    assert fitted[0].keys() == fitted[1].keys()
    assert all(np.array_equal(fitted[0][k], fitted[1][k]) for k in fitted[0])


def test_npz_without_pickle_gives_the_same_report(guard) -> None:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **guard.to_arrays(), other=np.ones(2))
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as arrays:
        again = Guard.from_arrays({name: arrays[name] for name in arrays.files})
    case = (bags(1, seed=80)[0], patient(80, factor=6), NAMES)
    first, second = guard.judge(*case), again.judge(*case)
    assert [f.verdict for f in first.findings] == [f.verdict for f in second.findings]
    assert first.findings[1].reasons == second.findings[1].reasons


def test_references_of_other_models_are_named(guard) -> None:
    assert guard.problems(12, {RNA: 60, CLINICAL: 8}) == []
    assert guard.problems(13, {RNA: 61}) == [
        "the image reference has 12 features but the encoder gives 13",
        "the rna reference has 60 features but the model takes 61",
        "the clinical reference has 8 features but the model takes no such table",
    ]


def test_unknown_modalities_are_refused(guard) -> None:
    with pytest.raises(ValueError, match="unknown modalities: proteins"):
        Guard.from_arrays({f"{PREFIX}proteins.mean": np.zeros(3)})


def test_held_out_patient_is_typical(guard) -> None:
    report = guard.judge(bags(1, seed=93)[0], patient(93), NAMES)
    assert report.verdict == TYPICAL
