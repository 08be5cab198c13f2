from __future__ import annotations

from functools import partial

import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.fusion import check_fusion_options, list_fusions
from napari_mmsubtype.models.option_names import option_names, require_options
from napari_mmsubtype.models.registry import check_encoder_options


class First:
    def __init__(self, size, *, deep=1, network=None):
        pass


class Second(First):
    def __init__(self, size, *, wide=2, **options):
        pass


class Third(Second):
    pass


def make(size, *, color=3):
    pass


@pytest.mark.parametrize(
    ("factory", "names"),
    [
        (First, ("deep",)),
        (Second, ("deep", "wide")),
        (Third, ("deep", "wide")),
        (partial(Second, 3, wide=1), ("deep",)),
        (make, ("color",)),
    ],
)
def test_options_are_found_through_partials_and_parents(factory, names):
    assert option_names(factory) == names


def test_unknown_options_are_told_with_the_known_ones():
    require_options(Second, {"deep": 1}, "it")
    with pytest.raises(
        ConfigurationError, match="it has no options 'a', 'b'; known are color"
    ):
        require_options(make, {"b": 1, "color": 2, "a": 1}, "it")
    with pytest.raises(ConfigurationError, match="known are none"):
        require_options(lambda size: size, {"a": 1}, "it")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("resnet50", "small_stem"),
        ("resvit", "cell_px"),
        ("seresnet50", "input_size"),
        ("uni", "allow_noncommercial"),
        ("timm:test_vit", "input_size"),
    ],
)
def test_options_of_encoders_are_known(name, option):
    check_encoder_options(name, {option: 1})
    with pytest.raises(ConfigurationError, match=f"has no options 'x'.*{option}"):
        check_encoder_options(name, {"x": 1})


@pytest.mark.parametrize("name", list_fusions())
def test_options_of_fusion_models_are_known(name):
    check_fusion_options(name, {"dropout": 0.1})
    with pytest.raises(ConfigurationError, match=r"no options 'x'; known are .*drop"):
        check_fusion_options(name, {"x": 1})
