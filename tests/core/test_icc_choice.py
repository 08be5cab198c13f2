from __future__ import annotations

import pytest

from napari_mmsubtype.core.icc_choice import ICC_VARIABLE, icc_by_default
from napari_mmsubtype.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "wanted"), [(None, True), ("", True), ("1", True), (" 0 ", False)]
)
def test_the_environment_chooses(
    monkeypatch: pytest.MonkeyPatch, text: str | None, wanted: bool
) -> None:
    monkeypatch.delenv(ICC_VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(ICC_VARIABLE, text)
    assert icc_by_default() is wanted


def test_another_word_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ICC_VARIABLE, "no")
    with pytest.raises(ConfigurationError, match="MMSUBTYPE_ICC is 'no'; expected 0"):
        icc_by_default()
