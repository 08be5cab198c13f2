from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_mmsubtype.core.option_words import (
    Door,
    for_analysis,
    for_door,
    leave_out,
    name_option,
    pass_option,
    pass_setting,
)

OMICS = Path(__file__).parents[2] / "src" / "napari_mmsubtype" / "omics"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((), "pass unit="),
        (("tpm",), "pass unit='tpm'"),
        (("tpm", "log2(x+1)"), "pass unit='tpm' or 'log2(x+1)'"),
        (("a", "b", "c"), "pass unit='a', 'b' or 'c'"),
    ],
)
def test_options_are_named_as_python_does(values, words):
    assert pass_option("unit", *values) == words
    assert for_door(words, Door.PYTHON) == words


TEXT = f"'a.csv': odd values; {pass_option('unit', 'tpm', 'counts')}, or mend the table"


@pytest.mark.parametrize(
    ("door", "advice"),
    [
        (Door.COMMAND, "give --unit 'tpm' or 'counts'"),
        (Door.RECIPE, "write unit: 'tpm' or 'counts' into the recipe"),
        (Door.OMICS_PANEL, "choose 'tpm' or 'counts' under Unit"),
    ],
)
def test_every_door_has_its_words_and_nothing_else_changes(door, advice):
    assert for_door(TEXT, door) == f"'a.csv': odd values; {advice}, or mend the table"


@pytest.mark.parametrize(
    ("door", "advice"),
    [
        (Door.PYTHON, "pass fallback_cpu=True"),
        (Door.COMMAND, "give --fallback-cpu"),
        (Door.RECIPE, "write fallback_cpu: true into the recipe"),
    ],
)
def test_a_switch_takes_no_value_on_the_command_line(door, advice):
    text = f"{pass_option('fallback_cpu', True)} to go on"
    assert for_door(text, door) == f"{advice} to go on"


@pytest.mark.parametrize(
    ("text", "command", "recipe", "cohort"),
    [
        (
            pass_setting("synthesis=null"),
            "give --set synthesis=null",
            "set synthesis=null",
            "write synthesis=null into the field 'Settings'",
        ),
        (
            f"{name_option('stride_px')} must be",
            "--stride must be",
            "stride_px must be",
            "the option stride_px must be",
        ),
        (
            leave_out("patch_px"),
            "leave out --patch-size",
            "leave out patch_px",
            "leave out patch_px=",
        ),
    ],
)
def test_settings_and_names_have_the_words_of_their_door(text, command, recipe, cohort):
    assert for_door(text, Door.PYTHON) == text
    assert for_door(text, Door.COMMAND) == command
    assert for_door(text, Door.RECIPE) == recipe
    assert for_door(text, Door.COHORT_PANEL) == cohort


def test_analyze_names_its_own_options():
    text = for_analysis(TEXT, "rna")
    assert "pass rna_unit='tpm' or 'counts', or mend" in text
    assert "give --rna-unit 'tpm' or 'counts', or mend" in for_door(text, Door.COMMAND)
    shown = for_door(text, Door.ANALYZE_PANEL)
    assert "'counts' under Unit of the RNA table in the panel Omics, or mend" in shown


def test_the_panel_of_cohorts_takes_options_in_one_line():
    for text, words in (
        ("pass rna_unit='tpm' or 'counts'", "write rna_unit=tpm or counts into"),
        ("pass methylation_samples_in=", "write methylation_samples_in=… into"),
        ("leave out rna_unit='tpm'", "take rna_unit out of"),
    ):
        expected = f"{words} the field 'Tables are'"
        assert for_door(text, Door.COHORT_PANEL) == expected
    assert for_door("leave out rna=", Door.COHORT_PANEL) == "empty the field RNA"


@pytest.mark.parametrize(
    ("text", "command", "panel"),
    [
        (
            pass_option("samples_in", "rows"),
            "give --samples-in 'rows'",
            "choose 'rows' under Samples in",
        ),
        (
            pass_option("modality", "rna", "methylation"),
            "give --modality 'rna' or 'methylation'",
            "choose RNA or Methylation under Modality",
        ),
        (pass_option("unit"), "give --unit", "choose one under Unit"),
        (
            leave_out("unit", "tpm"),
            "leave out --unit 'tpm'",
            "choose 'Recognize' under Unit",
        ),
        (leave_out("rna"), "leave out --rna", "empty the field RNA"),
        (pass_option("layer", "raw"), "give --layer 'raw'", "keep the layer meant as"),
    ],
)
def test_every_option_has_a_place(text, command, panel):
    assert for_door(text, Door.COMMAND) == command
    assert for_door(text, Door.OMICS_PANEL).startswith(panel)


def test_what_analyze_has_no_option_for_is_said_otherwise():
    found = for_analysis(pass_option("modality", "methylation"), "rna")
    assert found == "pass methylation="
    assert for_door(found, Door.COMMAND) == "give --methylation"
    shown = for_door(found, Door.ANALYZE_PANEL)
    assert shown == "choose the table in the field Methylation"
    found = for_analysis(pass_option("layer", "raw"), "rna")
    assert "write_omics" in found
    assert for_door(found, Door.COMMAND) == found


def test_other_words_stay():
    for text in ("pass the full name", "pass nothing=", "x = 'tpm'", "bypass unit", ""):
        for door in (Door.OMICS_PANEL, Door.ANALYZE_PANEL, Door.COHORT_PANEL):
            assert for_door(text, door) == text


def test_no_message_about_tables_words_the_advice_itself():
    own = re.compile(r"(pass|leave out) (unit|modality|samples_in|layer)=")
    found = [p.name for p in OMICS.glob("*.py") if own.search(p.read_text("utf-8"))]
    assert found == []
