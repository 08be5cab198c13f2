"""A request holds what was given and nothing that was not."""

from pathlib import Path

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.workflows.cohort_request import make_request

NOTHING = {"rna": None, "methylation": None, "clinical": None}


def test_one_preset_and_several_are_taken(tmp_path):
    options = {
        "out": tmp_path,
        "overrides": ["a=1"],
        "tables": NOTHING,
        "units": {},
        "embeddings": None,
        "mpp": None,
        "device": "cpu",
        "batch_size": None,
    }
    one = make_request("cohort.csv", "evidence", **options)
    assert (one.presets, one.overrides, one.tables) == (("evidence",), ("a=1",), {})
    several = make_request("cohort.csv", ["evidence", Path("own.yaml")], **options)
    assert several.presets == ("evidence", "own.yaml")


def test_tables_and_units_are_kept_by_modality(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = make_request(
        "cohort.csv",
        "evidence",
        out="results",
        overrides=(),
        tables={**NOTHING, "rna": "rna.csv"},
        units={"rna": "tpm", "methylation": None},
        embeddings="stores",
        mpp=0.25,
        device="cpu",
        batch_size=4,
    )
    assert found.tables == {Modality.RNA: "rna.csv"}
    assert found.reading == {Modality.RNA: {"unit": "tpm"}}
    assert found.out == tmp_path / "results"
    assert (found.embeddings, found.mpp, found.batch_size) == (Path("stores"), 0.25, 4)
