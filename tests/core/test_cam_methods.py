import pytest

from napari_mmsubtype.core.cam_methods import (
    CAM_METHODS,
    DEFAULT,
    EXACT,
    checked_cam,
    chosen_cam,
)
from napari_mmsubtype.errors import ConfigurationError


def test_an_unknown_method_is_refused_with_the_known_ones():
    assert [checked_cam(name) for name in CAM_METHODS] == list(CAM_METHODS)
    with pytest.raises(ConfigurationError, match=r"'score-cam'.*grad-cam\+\+"):
        checked_cam("score-cam")


def test_there_is_a_choice_only_where_the_map_is_not_exact():
    assert chosen_cam(None, exact=True) == EXACT
    assert chosen_cam(None, exact=False) == DEFAULT
    assert chosen_cam("layer-cam", exact=False) == "layer-cam"
    with pytest.raises(ConfigurationError, match="exact without it"):
        chosen_cam("layer-cam", exact=True)
