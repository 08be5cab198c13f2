"""A request is refused for its presets before anything is embedded."""

from dataclasses import replace

import pandas as pd
import pytest

from builders.crossval import SETTINGS, draw, use_bags, write
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.workflows.cohort_record import cohort_record
from napari_mmsubtype.workflows.cohort_request import make_request
from napari_mmsubtype.workflows.cohort_setup import load_presets, open_cohort_job
from napari_mmsubtype.workflows.jobs import run_job


def request(folder, drawn=None, *, presets="evidence", changes=(), **tables):
    options = write(folder, drawn or draw(24))
    return make_request(
        preset=presets,
        out=folder / "out",
        overrides=[*SETTINGS, *changes],
        device="cpu",
        **{**options, **tables},
    )


def test_cohort_presets_and_bags_are_opened_together(tmp_path, monkeypatch):
    use_bags(monkeypatch, tmp_path)
    opened = run_job(open_cohort_job(request(tmp_path)))
    (entry,) = opened.inputs
    assert [len(bag) for bag in entry.bags] == [6] * 24
    assert [str(m) for m in entry.preset.modalities] == ["rna", "clinical"]
    record = cohort_record(opened)
    assert record["patterns"] == {"image+rna+clinical": 24}
    assert record["modalities"] == {"image": 24, "rna": 24, "clinical": 24}


def test_patients_without_a_label_are_left_out_unless_they_answer_something(
    tmp_path, monkeypatch
):
    use_bags(monkeypatch, tmp_path)
    asked = request(tmp_path)
    frame = pd.read_csv(asked.manifest)
    frame["stage"] = "II"
    frame.loc[2, "label"] = ""
    frame.to_csv(asked.manifest, index=False)
    opened = run_job(open_cohort_job(asked))
    assert (len(opened.cohort), opened.unlabelled) == (23, 1)
    heads = "heads={stage: {kind: ordinal, levels: [I, II]}}"
    asked = replace(asked, overrides=(*asked.overrides, heads))
    opened = run_job(open_cohort_job(asked))
    assert (len(opened.cohort), opened.unlabelled) == (24, 0)


def test_a_cohort_without_slides_needs_no_weights(tmp_path):
    drawn = draw(24)
    drawn["bags"] = [bag[:0] for bag in drawn["bags"]]
    weights = "encoder.weights=nowhere.safetensors"
    opened = run_job(open_cohort_job(request(tmp_path, drawn, changes=[weights])))
    assert [len(bag) for bag in opened.inputs[0].bags] == [0] * 24
    assert cohort_record(opened)["slides"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"presets": ()}, "no preset was given"),
        ({"presets": ("evidence", "evidence")}, "must have different names"),
        ({"presets": ("evidence", "lung-mmlm")}, "tell the same classes apart"),
        ({"changes": ["synthesis={}"]}, "does not make; pass .*synthesis=null"),
        (
            {"presets": "brca-crossattention", "changes": ["fusion.options={}"],
             "methylation": "x.csv"},
            "no preset of brca-crossattention takes a methylation table",
        ),
    ],
)  # fmt: skip
def test_presets_that_cannot_be_compared_are_refused(tmp_path, change, message):
    asked = request(tmp_path, **change)
    if len(asked.presets) == 2 or "brca" in "".join(asked.presets):
        asked = replace(asked, overrides=tuple(change.get("changes", ())))
    with pytest.raises(ConfigurationError, match=message):
        load_presets(asked)
