"""Say in words what became of the patches of a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mmsubtype.core.quality_spec import FLAG_WORDS, flag_names

if TYPE_CHECKING:
    from napari_mmsubtype.core.records import PatchCounts


def patch_words(counts: PatchCounts) -> str:
    """Account for the tissue patches of a slide.

    Parameters
    ----------
    counts : PatchCounts
        Of one analysis.

    Returns
    -------
    str
        For example ``"137 tissue patches: 131 used, 6 left out; flagged: 4 pen, 2
        blurred"``; flags are counted whether their patches were left out or not.
    """
    flagged = [
        f"{counts.flagged[name]:,} {word}"
        for name, word in FLAG_WORDS.items()
        if counts.flagged.get(name)
    ]
    found = ", ".join(flagged)
    parts = [f"{counts.done:,} used"]
    if counts.excluded:
        parts.append(f"{counts.excluded:,} left out")
    if counts.unreadable:
        parts.append(f"{counts.unreadable:,} unreadable")
    text = f"{counts.tissue:,} tissue patches: {', '.join(parts)}"
    return f"{text}; flagged: {found}" if found else text


def flag_words(bits: int) -> str:
    """Say what is wrong with a patch.

    Parameters
    ----------
    bits : int
        Its flags, as stored.

    Returns
    -------
    str
        For example ``"pen, blurred"``; ``"good"`` without a flag.
    """
    return ", ".join(FLAG_WORDS[name] for name in flag_names(bits)) or "good"
