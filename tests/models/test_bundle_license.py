from __future__ import annotations

import pytest

from napari_mmsubtype.errors import BundleIntegrityError
from napari_mmsubtype.models.bundle_license import hub_license, license_findings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", "mit"),
        ("Apache-2.0 with research terms", "apache-2.0"),
        ("CC-BY-NC-4.0", "cc-by-nc-4.0"),
        ("cc-by-nc-nd-4.0.", "cc-by-nc-nd-4.0"),
        ("MIT-like", "other"),
        ("as agreed", "other"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_licenses_get_the_names_of_hubs(text, expected):
    assert hub_license(text) == expected


def test_a_license_that_nobody_states_is_said_to_be_missing():
    name, notes = license_findings({}, "demo-cnn")
    assert name == "not stated"
    assert len(notes) == 1
    assert "ask its author" in notes[0]


def test_a_stated_license_without_a_foundation_model_needs_no_note():
    assert license_findings({"license": "MIT"}, "resnet18") == ("MIT", [])


def test_fewer_restrictions_than_the_encoder_has_are_refused():
    with pytest.raises(BundleIntegrityError, match=r"'MIT'.*'uni'.*CC-BY-NC-ND-4\.0"):
        license_findings({"license": "MIT"}, "uni")
    name, notes = license_findings({"license": "CC-BY-NC-ND-4.0"}, "uni")
    assert name == "CC-BY-NC-ND-4.0"
    assert "not for commercial use" in notes[0]


def test_an_encoder_that_saw_tcga_is_named():
    _, notes = license_findings({"license": "MIT"}, "midnight-12k")
    assert any("patients of TCGA are not independent" in note for note in notes)
    _, notes = license_findings({"license": "MIT"}, "h-optimus-0")
    assert not any("TCGA" in note for note in notes)


def test_weights_of_unknown_origin_are_to_be_asked_for_unless_the_author_says():
    stated = {"license": "MIT"}
    _, (note,) = license_findings(stated, "resnet18", "file w.pth")
    assert note.startswith(
        "the encoder 'resnet18' was pretrained on data that file w.p"
    )
    assert "ask its authors" in note
    stated["pretraining"] = "our slides"
    assert license_findings(stated, "resnet18", "file w.pth")[1] == []
    _, notes = license_findings(stated, "resnet18", "hf://owkin/phikon-v2@main")
    assert any("patients of TCGA are not independent" in note for note in notes)
