from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.errors import UnmatchedSampleError
from napari_mmsubtype.omics.identifiers import (
    find_sample,
    parse_barcode,
    select_sample,
)

PATIENT = "TCGA-E2-A14V"
TUMOUR = "TCGA-E2-A14V-01A-11R-A12D-07"

alphanumeric = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
digits = st.sampled_from("0123456789")


@st.composite
def full_barcodes(draw) -> str:
    def text(alphabet: st.SearchStrategy[str], size: int) -> str:
        return "".join(draw(st.lists(alphabet, min_size=size, max_size=size)))

    letter = draw(st.sampled_from("ABCDZ"))
    analyte = draw(st.sampled_from("DRWX"))
    return (
        f"TCGA-{text(alphanumeric, 2)}-{text(alphanumeric, 4)}-{text(digits, 2)}"
        f"{letter}-{text(digits, 2)}{analyte}-{text(alphanumeric, 4)}-{text(digits, 2)}"
    )


@given(full_barcodes(), st.sampled_from([12, 15, 16, 19, 20, 25, 28]))
def test_every_length_of_a_barcode_names_the_same_patient(barcode, length):
    parsed = parse_barcode(barcode[:length])
    assert parsed is not None
    assert parsed.patient == barcode[:12]
    assert parsed.site == barcode[5:7]
    assert parsed.sample_type == (barcode[13:15] if length >= 15 else "")
    assert parsed.vial == (barcode[15:16] if length >= 16 else "")
    assert parsed.text == barcode[:length]


@given(full_barcodes(), st.sampled_from("._"))
def test_case_and_separators_do_not_change_a_barcode(barcode, separator):
    changed = barcode.lower().replace("-", separator)
    assert parse_barcode(changed) == parse_barcode(barcode)


@given(st.lists(full_barcodes(), min_size=1, max_size=8, unique=True), st.data())
def test_a_sample_is_found_by_its_own_full_barcode(samples, data):
    wanted = data.draw(st.sampled_from(samples))
    assert select_sample(samples, wanted) == wanted


LENGTHS = st.sampled_from([12, 15, 16, 19, 20, 25, 28])


@given(full_barcodes(), full_barcodes(), LENGTHS, LENGTHS)
def test_any_length_finds_any_length_but_never_other_tissue(barcode, other, row, asked):
    sample_type = barcode[13:15]
    sample, request = barcode[:row], barcode[:asked]
    samples = [other, sample] if other[:12] != barcode[:12] else [sample]
    typed_row, typed_request = row > 12, asked > 12
    normal_by_patient = typed_request and not typed_row and sample_type >= "10"
    not_primary = typed_row and not typed_request
    not_primary &= sample_type not in {"01", "03", "09"}
    if normal_by_patient or not_primary:
        with pytest.raises(UnmatchedSampleError, match=re.escape(sample)):
            find_sample(samples, request)
    else:
        assert find_sample(samples, request).sample == sample


@pytest.mark.parametrize(
    "text", ["", "P-17", "TCGA", "TCGA-E2", "TCGA-E2-A14", "XTCGA-E2-A14V", "tp53"]
)
def test_other_text_is_no_barcode(text):
    assert parse_barcode(text) is None


@pytest.mark.parametrize(
    "request_", [PATIENT, "tcga-e2-a14v", TUMOUR[:15], TUMOUR[:16], TUMOUR]
)
def test_tumour_is_preferred_to_normal_and_metastasis(request_):
    samples = [
        "TCGA-E2-A14V-11A-11R-A12D-07",
        "TCGA-E2-A14V-06A-11R-A12D-07",
        TUMOUR,
        "TCGA-E2-A15A-01A-11R-A12D-07",
    ]
    assert select_sample(samples, request_) == TUMOUR


def test_slide_barcode_finds_the_patients_tumour():
    match = find_sample([TUMOUR], "TCGA-E2-A14V-01Z-00-DX1")
    assert match.sample == TUMOUR
    assert match.notes == ()


@pytest.mark.parametrize(("kind", "word"), [("11", "normal"), ("06", "metastasis")])
def test_other_tissue_is_never_taken_for_the_tumour(kind, word):
    other = f"TCGA-E2-A14V-{kind}A-11R-A12D-07"
    with pytest.raises(UnmatchedSampleError, match=f"{other}.*{word}"):
        select_sample([other], PATIENT)
    assert select_sample([other], other[:15]) == other


def test_normal_slide_never_takes_a_row_by_patient():
    with pytest.raises(UnmatchedSampleError, match="type not said"):
        select_sample([PATIENT], "TCGA-E2-A14V-11A-01-TS1")


def test_row_by_patient_serves_a_tumour_with_a_note():
    match = find_sample([PATIENT], "TCGA-E2-A14V-01A-01-TS1")
    assert match.sample == PATIENT
    assert "does not say its sample type" in match.notes[0]


def test_several_tumour_rows_are_listed():
    second = "TCGA-E2-A14V-01B-11R-A12D-07"
    with pytest.raises(UnmatchedSampleError) as caught:
        select_sample([TUMOUR, second], PATIENT)
    assert TUMOUR in str(caught.value)
    assert second in str(caught.value)
    assert select_sample([TUMOUR, second], "TCGA-E2-A14V-01B") == second


def test_exact_text_wins_over_longer_barcodes():
    assert find_sample([TUMOUR, PATIENT], PATIENT).index == 1


def test_another_vial_is_noted():
    match = find_sample([TUMOUR], "TCGA-E2-A14V-01B-01-TS1")
    assert "vial A, not B" in match.notes[0]


def test_blood_cancer_serves_with_a_note_where_there_is_no_solid_tumour():
    match = find_sample(["TCGA-AB-2803-03A-01T-0734-13"], "TCGA-AB-2803")
    assert "blood-derived" in match.notes[0]


def test_plain_identifier_ignores_case_and_spaces_with_a_note():
    match = find_sample(["Patient 7", "Patient 8"], "patient7")
    assert match.sample == "Patient 7"
    assert "case or spaces" in match.notes[0]
    assert find_sample(["P7", "p7"], "p7").notes == ()


def test_plain_identifiers_alike_are_ambiguous():
    with pytest.raises(UnmatchedSampleError, match="2 samples could be meant"):
        select_sample(["P 7", "P7"], "p7")


def test_repeated_sample_cannot_be_chosen():
    with pytest.raises(UnmatchedSampleError, match="stands in 2 samples"):
        select_sample(["a", "b", "a"], "a")


def test_unknown_patient_names_the_nearest_and_the_count():
    samples = [f"TCGA-E2-A1{i}V-01A" for i in range(10, 40)]
    with pytest.raises(UnmatchedSampleError) as caught:
        select_sample(samples, "TCGA-E2-A115")
    assert "30 samples" in str(caught.value)
    assert "nearest" in str(caught.value)


def test_no_patient_named_is_an_error():
    with pytest.raises(UnmatchedSampleError, match="no patient was named"):
        select_sample(["a"], " ")
    with pytest.raises(UnmatchedSampleError, match="1 sample of"):
        select_sample(["a"], "zzz")
