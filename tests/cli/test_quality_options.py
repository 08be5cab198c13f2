import pytest

from napari_mmsubtype.cli.quality_options import read_flags, read_thresholds
from napari_mmsubtype.core.quality_spec import FLAGS
from napari_mmsubtype.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("pen, blur", ("pen", "blur")),
        ("Fold,pen", ("pen", "fold")),
        ("none", ()),
        ("all", FLAGS),
    ],
)
def test_flags_are_read_from_a_list(text, flags):
    assert read_flags(text) == flags


@pytest.mark.parametrize("text", ["ink", "pen,none", "", ","])
def test_what_is_no_flag_is_told_with_the_choice(text):
    with pytest.raises(ConfigurationError, match=r"pen, blur, fold, bubble.*none"):
        read_flags(text)


def test_thresholds_are_read_one_by_one_or_joined():
    expected = {"blur_ratio": 0.05, "pen_share": 0.2}
    assert read_thresholds(["blur_ratio=0.05", "pen_share=0.2"]) == expected
    assert read_thresholds(["blur_ratio=0.05,pen_share = 0.2"]) == expected


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("blur_ratio", "write name=number"),
        ("blur_ratio=soft", "write name=number"),
        ("blurr=0.1", "unknown quality threshold 'blurr'"),
        ("blur_ratio=3", "cannot be used"),
    ],
)
def test_what_is_no_threshold_is_told(entry, says):
    with pytest.raises(ConfigurationError, match=says):
        read_thresholds([entry])
