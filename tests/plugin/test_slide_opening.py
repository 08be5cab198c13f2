from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.utils.notifications import notification_manager

from builders.profiles import matrix_profile
from napari_mmsubtype.core.icc_choice import ICC_VARIABLE
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.plugin.layers import METADATA_KEY
from napari_mmsubtype.plugin.reader import read_slide
from napari_mmsubtype.plugin.slide_opening import (
    open_for_view,
    show_problem,
)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Messages of napari's notifications."""
    messages: list[str] = []
    monkeypatch.setattr(
        notification_manager,
        "dispatch",
        lambda notification: messages.append(notification.message),
    )
    return messages


def write(path: Path, profile: bytes | None) -> Path:
    image = np.full((64, 80, 3), 150, np.uint8)
    tifffile.imwrite(
        path,
        image,
        photometric="rgb",
        iccprofile=profile,
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )
    return path


def test_slides_open_in_srgb_unless_the_environment_says_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[str]
) -> None:
    path = write(tmp_path / "a.tif", matrix_profile(gamma=1.0, words="ScanScope v1"))
    ((_, kwargs, _),) = read_slide(str(path))
    facts = kwargs["metadata"][METADATA_KEY]
    assert facts["icc"] == "applied"
    assert facts["icc_profile"] == "ScanScope v1 (ACME)"
    monkeypatch.setenv(ICC_VARIABLE, "0")
    with open_for_view(path, mpp=0.3) as slide:
        assert slide.icc == "off"
        assert slide.pixel_size.mean == pytest.approx(0.3)
    assert shown == []


def test_an_unusable_profile_is_a_notification_and_no_python_warning(
    tmp_path: Path, shown: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.tif", b"broken" * 40)
    ((data, kwargs, _),) = read_slide(str(path))  # warnings are errors in this suite
    assert len(shown) == 1
    assert "its color profile cannot be used" in shown[0]
    assert shown[0] in caplog.text
    assert kwargs["metadata"][METADATA_KEY]["icc"] == "unusable"
    assert (np.asarray(data) == 150).all()


def test_problems_are_shown_and_logged(
    shown: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    show_problem("It is so.")
    assert shown == ["It is so."]
    assert "It is so." in caplog.text


def test_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(SlideOpenError):
        open_for_view(tmp_path / "absent.svs")
