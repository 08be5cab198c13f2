from __future__ import annotations

import pytest

from builders.omics import GENES, barcodes
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.orientation import detect_orientation

PLAIN = [f"P{i}" for i in range(12)]
OTHER = [f"locus-{i}" for i in range(15)]


@pytest.mark.parametrize(
    ("samples", "features", "corner", "evidence"),
    [
        (barcodes(5), OTHER, "x", "barcodes"),
        (barcodes(5, ""), GENES, "", "barcodes"),
        (PLAIN, GENES, "sample", "genes or probes"),
        (PLAIN, [f"cg{i:08d}" for i in range(9)], "", "genes or probes"),
        (PLAIN, [f"ENSG{i:011d}.1" for i in range(9)], "", "genes or probes"),
        (PLAIN, [f"g{i}" for i in range(6000)], "", "long axis"),
    ],
)
def test_orientation_is_found_either_way(samples, features, corner, evidence):
    upright = detect_orientation(samples, features, corner)
    turned = detect_orientation(features, samples, corner)
    assert upright.samples_in == "rows"
    assert turned.samples_in == "columns"
    assert evidence in upright.evidence
    assert evidence in turned.evidence


@pytest.mark.parametrize(
    ("corner", "axis"),
    [
        ("patient_id", "rows"),
        ("Case ID", "rows"),
        ("gene", "columns"),
        ("Hugo_Symbol", "columns"),
        ("Ensembl_ID", "columns"),
    ],
)
def test_first_header_decides_where_labels_do_not(corner, axis):
    assert detect_orientation(PLAIN, OTHER, corner).samples_in == axis


def test_ambiguous_table_says_how_to_say_it():
    with pytest.raises(TableReadError) as caught:
        detect_orientation(PLAIN, OTHER, "sample")
    assert "samples_in='rows'" in str(caught.value)
    assert "'P0'" in str(caught.value)
    assert "'locus-0'" in str(caught.value)


def test_barcodes_on_both_sides_are_refused():
    with pytest.raises(TableReadError, match="both rows"):
        detect_orientation(barcodes(4), barcodes(4, "-01A"), "")
