import math

import pytest

from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.pixel_size import believe, explain_missing, measured


@pytest.mark.parametrize("bad", [None, 0.0, -1.0, math.inf, math.nan])
def test_numbers_that_measure_nothing_give_none(bad):
    assert measured(bad, 0.5) is None
    assert measured(0.5, bad) is None


def test_the_user_wins_over_the_file():
    size, source = believe(PixelSize.square(0.25), MppSource.VENDOR, 0.5)
    assert (size, source) == (PixelSize.square(0.5), MppSource.USER)


def test_the_file_is_believed_within_reason():
    found = PixelSize(0.25, 0.26)
    assert believe(found, MppSource.VENDOR, None) == (found, MppSource.VENDOR)
    for bogus in (352.8, 0.001):
        size, source = believe(PixelSize.square(bogus), MppSource.VENDOR, None)
        assert (size, source) == (None, MppSource.NONE)
    assert believe(None, MppSource.NONE, None) == (None, MppSource.NONE)


@pytest.mark.parametrize("mpp", [0.0, -0.5, 0.01, 50.0, math.nan])
def test_an_unbelievable_word_of_the_user_is_an_error(mpp):
    with pytest.raises(ConfigurationError, match="at 40x"):
        believe(None, MppSource.NONE, mpp)


def test_the_explanation_names_the_ways_out():
    text = explain_missing("a", None)
    assert "--mpp 0.25" in text
    assert "panel" in text
    assert "352.8" in explain_missing("a", PixelSize.square(352.8))


@pytest.mark.parametrize(
    ("objective", "mpp"),
    [("40", 0.25), ("20x", 0.5), ("10.0", 1.0), ("63", None), ("", None), ("x", None)],
)
def test_the_objective_is_the_last_to_be_asked(objective, mpp):
    guess = None if mpp is None else PixelSize.square(mpp)
    source = MppSource.NONE if mpp is None else MppSource.OBJECTIVE
    assert believe(None, MppSource.NONE, None, objective) == (guess, source)
    told = PixelSize.square(0.3)
    assert believe(told, MppSource.VENDOR, None, objective) == (told, MppSource.VENDOR)
