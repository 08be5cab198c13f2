"""A request holds what was given and nothing that was not."""

from pathlib import Path

import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.workflows.cohort_request import (
    CohortRequest,
    command_words,
    make_request,
)


def test_one_preset_and_several_are_taken(tmp_path):
    one = make_request("cohort.csv", "evidence", out=tmp_path, overrides=["a=1"])
    assert (one.presets, one.overrides, one.tables) == (("evidence",), ("a=1",), {})
    assert (one.device, one.tensorboard, one.ensemble_of) == ("auto", None, None)
    given = ["evidence", Path("own.yaml")]
    several = make_request("cohort.csv", given, out=tmp_path)
    assert several.presets == ("evidence", "own.yaml")


def test_tables_and_their_reading_are_kept_by_modality(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = make_request(
        "cohort.csv",
        "evidence",
        out="results",
        rna="rna.csv",
        clinical=None,
        rna_unit="tpm",
        methylation_unit=None,
        methylation_samples_in="columns",
        embeddings="stores",
        mpp=0.25,
        device="cpu",
        precision="bfloat16",
        batch_size=4,
        tensorboard="curves",
        ensemble_of="before",
    )
    assert found.tables == {Modality.RNA: "rna.csv"}
    assert found.reading == {
        Modality.RNA: {"unit": "tpm"},
        Modality.METHYLATION: {"samples_in": "columns"},
    }
    assert found.out == tmp_path / "results"
    assert (found.embeddings, found.mpp, found.batch_size) == (Path("stores"), 0.25, 4)
    assert (found.device, found.precision) == ("cpu", "bfloat16")
    assert (found.tensorboard, found.ensemble_of) == (Path("curves"), Path("before"))


def test_a_misspelled_option_is_refused(tmp_path):
    with pytest.raises(TypeError, match="unknown option 'rna_units'; options are"):
        make_request("cohort.csv", "evidence", out=tmp_path, rna_units="tpm")


def test_the_command_says_what_is_not_usual(tmp_path):
    plain = make_request("cohort.csv", "evidence", out=tmp_path)
    words = ["napari-mmsubtype", "train", "cohort.csv", "--preset", "evidence"]
    assert command_words("train", plain) == [*words, "--out", str(tmp_path)]
    full = CohortRequest(
        manifest="cohort.csv",
        presets=("evidence",),
        out=tmp_path,
        reading={Modality.RNA: {"samples_in": "rows"}},
        mpp=0.2512345678,
        precision="float32",
        batch_size=8,
        tensorboard=Path("curves"),
    )
    assert command_words("train", full) == [
        *words, "--rna-samples-in", "rows", "--tensorboard", "curves",
        "--mpp", "0.2512345678", "--precision", "float32", "--batch-size", "8",
        "--out", str(tmp_path),
    ]  # fmt: skip
