from __future__ import annotations

from qtpy.QtWidgets import QLabel

from napari_mmsubtype.widgets.folded_part import FoldedPart


def test_a_click_shows_the_content_and_folds_it_again(qtbot) -> None:
    content = QLabel("many words " * 40)
    content.setWordWrap(True)
    part = FoldedPart("Notes", content)
    qtbot.addWidget(part)
    assert not part.isOpen()
    assert content.isHidden()
    part.button.click()
    assert part.isOpen()
    assert not content.isHidden()
    assert part.button.text() == "▾ Notes"
    part.button.click()
    assert content.isHidden()
    assert part.button.text() == "▸ Notes"


def test_another_title_leaves_it_open(qtbot) -> None:
    part = FoldedPart("Notes", QLabel("a"))
    qtbot.addWidget(part)
    part.setOpen(True)
    part.setTitle("Notes (3)")
    assert part.isOpen()
    assert part.button.text() == "▾ Notes (3)"
