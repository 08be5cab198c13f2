import numpy as np
import pytest

from napari_mmsubtype.core.subtypes import LUMINAL
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.results.colors import evidence_colors
from napari_mmsubtype.results.map_scale import (
    LINEAR,
    PERCENTILE,
    SCALES,
    SYMLOG,
    MapRange,
    attention_colors,
    scaled_colors,
    symmetric_limit,
)


def test_the_range_is_that_of_what_was_analysed():
    canvas = np.zeros((20, 20), np.float32)
    canvas[:10, :10] = -np.arange(1, 101).reshape(10, 10)
    measured = MapRange.measure([canvas, np.zeros((3, 3), np.float32)])
    assert measured.largest == 100
    assert measured.typical == pytest.approx(99.01)
    assert symmetric_limit([canvas]) == measured.typical
    assert measured.limit(PERCENTILE) == measured.typical
    assert measured.limit(LINEAR) == measured.limit(SYMLOG) == 100


def test_of_nothing_the_range_is_one():
    assert MapRange.measure([]) == MapRange(1.0, 1.0)
    assert symmetric_limit([np.zeros((3, 3), np.float32)]) == 1.0


def test_an_unknown_scale_is_refused():
    with pytest.raises(ConfigurationError, match=r"'cubic'.*symmetric log"):
        MapRange(1.0, 2.0).limit("cubic")


def place_of(colors, value):
    """The color of a value of -1 to 1."""
    return colors[round((value + 1) / 2 * (len(colors) - 1))]


def test_only_a_logarithmic_scale_bends_the_colors():
    plain = evidence_colors(LUMINAL)
    for scale in (PERCENTILE, LINEAR):
        assert scaled_colors(plain, scale) is plain
    bent = scaled_colors(plain, SYMLOG)
    for end in (-1, 1, 0):
        np.testing.assert_allclose(place_of(bent, end), place_of(plain, end), atol=1e-6)
    # Over two decades and a linear part of the length of one e-fold.
    for value in (0.03, 0.1, 0.5):
        bent_to = (1 + np.log(value * 100)) / (1 + np.log(100))
        for sign in (-1, 1):
            np.testing.assert_allclose(
                place_of(bent, sign * value), place_of(plain, sign * bent_to), atol=0.03
            )
    one_sided = scaled_colors(attention_colors(), SYMLOG, signed=False)
    np.testing.assert_allclose(one_sided[0], attention_colors()[0], atol=1e-6)
    np.testing.assert_allclose(one_sided[-1], attention_colors()[-1], atol=1e-6)


def test_attention_colors_rise_from_nothing():
    colors = attention_colors()
    assert colors.shape == (65, 4)
    assert colors[0, 3] == 0
    assert (np.diff(colors[:, 3]) >= 0).all()
    brightness = colors[:, :3] @ [0.3, 0.59, 0.11]
    assert (np.diff(brightness) > 0).all()


def test_words_say_what_full_color_means():
    measured = MapRange(0.0021, 0.01)
    said = [measured.words(scale, "logits") for scale in SCALES]
    assert said == [
        "Full color at ±0.0021 logits: 99 % of the slide is below.",
        "Full color at ±0.01 logits, the largest value of the slide.",
        "Logarithmic from ±0.0001 to ±0.01 logits, the largest value; linear below.",
    ]
    assert measured.words(PERCENTILE, "times", signed=False).startswith(
        "Full color at 0.0021 times"
    )
