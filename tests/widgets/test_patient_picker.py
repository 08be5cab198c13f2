from __future__ import annotations

from typing import Any

import pytest

from napari_mmsubtype.widgets.patient_picker import PatientPicker, match_slide

PATIENTS = ("TCGA-E2-A14V", "TCGA-A1-A0SB", "Case 7", "cmu-1-small-region")


@pytest.fixture
def picker(qtbot: Any) -> PatientPicker:
    widget = PatientPicker()
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize(
    ("slide", "patient"),
    [
        ("/d/TCGA-E2-A14V-01Z-00-DX1.tif", "TCGA-E2-A14V"),
        ("tcga-zz-0000-01Z.svs", "TCGA-ZZ-0000"),
        ("/d/CMU-1-Small-Region.svs", "cmu-1-small-region"),
        ("case7.ome.tif", "Case 7"),
        ("case 77.tif", ""),
        ("synthetic:seed=1", ""),
        ("", ""),
    ],
)
def test_a_slide_names_its_patient(slide, patient) -> None:
    assert match_slide(slide, PATIENTS) == patient


def test_patients_are_offered_and_what_is_chosen_stays(picker, qtbot) -> None:
    picker.setValue("me")
    with qtbot.assertNotEmitted(picker.valueChanged):
        picker.setPatients(PATIENTS)
    assert picker.patients() == tuple(sorted(PATIENTS))
    assert picker.value() == "me"
    picker.setPatients(())
    assert picker.value() == "me"


def test_nobody_is_chosen_unasked(picker) -> None:
    picker.setPatients(PATIENTS)
    assert picker.value() == ""


def test_the_slide_chooses_until_the_user_does(picker, qtbot) -> None:
    picker.setPatients(PATIENTS)
    with qtbot.waitSignal(picker.valueChanged, timeout=1000):
        picker.setSlide("TCGA-E2-A14V-01Z.tif")
    assert picker.value() == "TCGA-E2-A14V"
    assert picker.note() == ""
    picker.setSlide("cmu-1-small-region.svs")
    assert picker.value() == "cmu-1-small-region"
    picker.setValue("TCGA-A1-A0SB")
    assert picker.note() == "The slide's name says cmu-1-small-region."
    picker.setSlide("TCGA-E2-A14V-01Z.tif")
    assert picker.value() == "TCGA-A1-A0SB"
    assert picker.note() == "The slide's name says TCGA-E2-A14V."


def test_a_table_that_comes_later_is_matched_too(picker) -> None:
    picker.setSlide("case 7.tif")
    assert picker.value() == ""
    picker.setPatients(("Other",))
    assert picker.note() == "No patient is named as the slide case 7.tif: choose."
    picker.setPatients(PATIENTS)
    assert picker.value() == "Case 7"


def test_completion_finds_any_part_of_a_name(picker) -> None:
    picker.setPatients(PATIENTS)
    completer = picker._combo.completer()
    completer.setCompletionPrefix("a14")
    assert completer.currentCompletion() == "TCGA-E2-A14V"
