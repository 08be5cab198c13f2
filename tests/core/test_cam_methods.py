import pytest

from napari_mmsubtype.core.cam_methods import (
    CAM_METHODS,
    DEFAULT,
    EXACT,
    METHODS,
    ROLLOUT,
    cam_unit,
    checked_cam,
    chosen_cam,
    other_methods,
    require_redrawable,
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
    says = "exact without it: leave out cam_method='layer-cam'"
    with pytest.raises(ConfigurationError, match=says):
        chosen_cam("layercam", exact=True)


def test_hyphens_and_capitals_of_a_name_do_not_matter():
    assert checked_cam("HiResCAM") == "hires-cam"
    assert checked_cam("gradcam++") == "grad-cam++"
    assert checked_cam("attention_rollout") == ROLLOUT
    with pytest.raises(ConfigurationError, match="unknown cam method"):
        checked_cam(ROLLOUT, CAM_METHODS)


def test_rollout_is_drawn_beside_the_map_of_evidence():
    assert chosen_cam(ROLLOUT, exact=True) == EXACT
    assert chosen_cam(ROLLOUT, exact=False) == DEFAULT


def test_units_are_logits_wherever_a_logit_is_split():
    units = {name: cam_unit(name) for name in (EXACT, *METHODS)}
    assert {name for name, unit in units.items() if unit != "logits"} == {
        "grad-cam++",
        ROLLOUT,
    }


def test_another_map_is_never_drawn_by_the_method_of_the_first():
    gradient = ("grad-cam++", "hires-cam", "layer-cam")
    assert other_methods(DEFAULT, exact=False, rollout=False) == gradient
    assert other_methods(DEFAULT, exact=False, rollout=True) == (*gradient, ROLLOUT)
    assert other_methods("layer-cam", exact=False, rollout=False) == CAM_METHODS[:3]
    assert other_methods(EXACT, exact=True, rollout=True) == (ROLLOUT,)
    assert other_methods(EXACT, exact=True, rollout=False) == ()


@pytest.mark.parametrize("method", METHODS)
def test_a_finished_exact_map_leaves_nothing_to_draw_anew(method):
    with pytest.raises(ConfigurationError, match=r"is exact, and there is nothing"):
        require_redrawable(method, EXACT, exact=True, rollout=False)


def test_what_can_be_drawn_anew_is_offered_and_passes():
    others = other_methods("layer-cam", exact=False, rollout=False)
    for method in (*others, "layer-cam"):
        require_redrawable(method, "layer-cam", exact=False, rollout=False)
    with pytest.raises(ConfigurationError, match=", ".join(others).replace("+", r"\+")):
        require_redrawable(ROLLOUT, "layer-cam", exact=False, rollout=False)
    require_redrawable(ROLLOUT, EXACT, exact=True, rollout=True)
