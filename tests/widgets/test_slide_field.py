from __future__ import annotations

from typing import Any

import pytest

from napari_mmsubtype.widgets.slide_field import SlideChoice, SlideField

KNOWN = SlideChoice("CMU-1", "/s/CMU-1.svs", 0.499, "vendor")
UNKNOWN = SlideChoice("region", "/s/region.tif")


@pytest.fixture
def field(qtbot: Any) -> SlideField:
    widget = SlideField()
    qtbot.addWidget(widget)
    return widget


def test_nothing_open_is_a_problem(field) -> None:
    assert field.choice() is None
    assert "Open a slide" in field.problem()


def test_newest_slide_is_chosen_and_the_choice_is_kept(field) -> None:
    field.setChoices([UNKNOWN, KNOWN])
    assert field.choice() == KNOWN
    field.setChoices([KNOWN, UNKNOWN])
    assert field.choice() == KNOWN
    field.setChoices([UNKNOWN])
    assert field.choice() == UNKNOWN


def test_slide_that_is_opened_is_chosen(field) -> None:
    field.setChoices([UNKNOWN])
    field.setChoices([KNOWN, UNKNOWN], KNOWN.path)
    assert field.choice() == KNOWN
    field.setChoices([KNOWN, UNKNOWN])
    assert field.choice() == KNOWN


def test_another_slide_that_is_selected_is_named_and_offered(field) -> None:
    field.setChoices([KNOWN, UNKNOWN], KNOWN.path)
    for path in ("", KNOWN.path, "/not/open.svs"):
        field.setSelected(path)
        assert field._other.isHidden()
    field.setSelected(UNKNOWN.path)
    assert not field._other.isHidden()
    assert UNKNOWN.name in field._other.text()
    field._take_other.click()
    assert field.choice() == UNKNOWN
    assert field._other.isHidden()
    assert field._take_other.isHidden()


def test_size_of_the_file_is_shown_and_not_asked_for(field) -> None:
    field.setChoices([KNOWN])
    assert field._spin.isHidden()
    assert "0.499" in field._size_text.text()
    assert "from the file" in field._size_text.text()
    assert field.userMpp() is None
    assert field.problem() == ""


def test_missing_size_is_asked_for(field, qtbot) -> None:
    field.setChoices([UNKNOWN])
    assert not field._spin.isHidden()
    assert "0.25" in field.problem()
    with qtbot.waitSignal(field.pixelSizeChanged, timeout=1000) as told:
        field._spin.setValue(0.25)
    assert told.args == [UNKNOWN.path, 0.25]
    assert field.userMpp() == 0.25
    assert field.problem() == ""


def test_size_can_be_overruled_and_given_back(field, qtbot) -> None:
    field.setChoices([KNOWN])
    field._change.click()
    assert field.userMpp() == 0.499
    with qtbot.waitSignal(field.pixelSizeChanged, timeout=1000) as told:
        field._spin.setValue(0.0)
    assert told.args == [KNOWN.path, 0.0]
    assert field.userMpp() is None
    assert field._spin.isHidden()


def test_unbelievable_size_is_a_problem(field) -> None:
    field.setValue("/s/a.svs", 0.01)
    assert "not believable" in field.problem()


def test_each_slide_keeps_its_own_size(field) -> None:
    other = SlideChoice("other", "/s/other.tif")
    field.setChoices([UNKNOWN, other])
    field._spin.setValue(0.5)
    field.setValue(UNKNOWN.path, None)
    assert field.userMpp() is None
    field.setValue(other.path, 0.5)
    assert field.userMpp() == 0.5


@pytest.mark.parametrize("mpp", [None, 0.123456789])
@pytest.mark.parametrize("path", ["/s/CMU-1.svs", "/else/b.svs", "synthetic:seed=1"])
def test_round_trip(field, path: str, mpp: float | None) -> None:
    field.setChoices([KNOWN])
    field.setValue(path, mpp)
    assert field.choice().path == path
    assert field.userMpp() == mpp


def test_size_that_the_user_gave_before_is_known(field) -> None:
    field.setChoices([SlideChoice("a", "/s/a.tif", None, "user", 0.5)])
    assert field.userMpp() == 0.5
    assert field.problem() == ""


def test_images_of_the_file_are_offered_with_the_label_last(field, qtbot) -> None:
    assert not field._more.isEnabled()
    names = ("label", "macro", "thumbnail")
    field.setChoices([SlideChoice("a", "/s/a.svs", 0.5, "vendor", associated=names)])
    shown = {action.text(): action for action in field._images.actions()}
    assert list(shown) == ["Show macro", "Show thumbnail", "Show label…"]
    with qtbot.waitSignal(field.associatedRequested, timeout=1000) as told:
        shown["Show label…"].trigger()
    assert told.args == ["label"]
    field.setChoices([UNKNOWN])
    assert not field._more.isEnabled()
