"""Patients are counted by class, site and what they have."""

from types import SimpleNamespace

from builders.crossval import draw, open_cohort, write
from napari_mmsubtype.workflows.cohort_record import cohort_record


def test_counts_are_those_of_the_cohort(tmp_path):
    drawn = draw(12)
    drawn["rna"] = drawn["rna"].drop(index=["P001", "P002"])
    drawn["sites"][0] = ""
    cohort = open_cohort(write(tmp_path, drawn))
    bags = [bag if i != 5 else bag[:0] for i, bag in enumerate(drawn["bags"])]
    entry = SimpleNamespace(bags=bags, failures={"synthetic:seed=5": "damaged"})
    opened = SimpleNamespace(cohort=cohort, inputs=(entry,), unlabelled=2)
    record = cohort_record(opened)
    high = int(drawn["labels"].sum())
    assert record["classes"] == {"Luminal": 12 - high, "Basal/HER2": high}
    assert record["modalities"] == {"image": 11, "rna": 10, "clinical": 12}
    assert record["patterns"] == {
        "image+rna+clinical": 9,
        "image+clinical": 2,
        "rna+clinical": 1,
    }
    assert sum(record["sites"][""].values()) == 1
    assert sum(record["sites"]["S1"].values()) == 3
    assert record["failed_slides"] == {"synthetic:seed=5": "damaged"}
    assert (record["patients"], record["slides"], record["unlabelled"]) == (12, 12, 2)
