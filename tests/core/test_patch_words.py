import pytest

from napari_mmsubtype.core.patch_words import flag_words, patch_words
from napari_mmsubtype.core.records import PatchCounts


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (PatchCounts(9, 4, 4, 0), "4 tissue patches: 4 used"),
        (
            PatchCounts(900, 137, 131, 0, 6, {"pen": 4, "blur": 2, "fold": 0}),
            "137 tissue patches: 131 used, 6 left out; flagged: 4 pen, 2 blurred",
        ),
        (
            PatchCounts(5000, 1200, 1198, 2, 0, {"fold": 1}),
            "1,200 tissue patches: 1,198 used, 2 unreadable; flagged: 1 folded",
        ),
    ],
)
def test_every_patch_is_accounted_for(counts, text):
    assert patch_words(counts) == text


def test_a_patch_is_called_by_all_its_flags():
    assert flag_words(0) == "good"
    assert flag_words(0b1001) == "pen, bubble"
