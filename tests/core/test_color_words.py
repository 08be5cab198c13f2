import pytest

from napari_mmsubtype.core.color_words import profile_name, profile_words, stain_words


@pytest.mark.parametrize(
    ("about", "name"),
    [
        (None, ""),
        ({"space": "RGB"}, ""),
        ({"description": "ScanScope v1", "maker": "APTS"}, "ScanScope v1 (APTS)"),
        ({"description": "Leica GT450", "maker": "Leica"}, "Leica GT450"),
        ({"maker": "ACME"}, "ACME"),
        ({"model": "S60", "maker": "ACME"}, "S60 (ACME)"),
    ],
)
def test_profiles_are_named(about, name):
    assert profile_name(about) == name


def test_every_state_has_words():
    about = {"description": "ScanScope v1"}
    assert profile_words("applied", about) == "ScanScope v1: applied, colors are sRGB"
    assert profile_words("off") == "not applied, colors are as stored"
    assert "none in the file" in profile_words("none")
    assert "cannot be used" in profile_words("unusable")


def test_what_a_model_chose_is_told_as_its_choice():
    assert profile_words("off", by_model=True) == (
        "not applied, as the model was trained"
    )
    assert profile_words("applied", by_model=True) == (
        "applied, as the model was trained"
    )
    assert profile_words("none", by_model=True) == profile_words("none")


def test_stain_in_words():
    assert stain_words(None) == "as it is"
    assert stain_words({"method": "macenko"}) == (
        "normalized by Macenko, as the model was trained"
    )
    assert stain_words({"method": "vahadane", "problem": "x"}) == (
        "as it is: the fit by Vahadane failed"
    )
