"""Tell what in a slide file may identify a patient or the staff, by name only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PHOTOGRAPHED = ("label", "macro", "overview", "barcode")
"""Further images on which a written name or a barcode may be seen."""

TELLING_WORDS = frozenset(
    {
        "accession",
        "acquisitiondate",
        "artist",
        "author",
        "barcode",
        "birth",
        "created",
        "creationdatetime",
        "date",
        "datetime",
        "experimenter",
        "filename",
        "institution",
        "operator",
        "patient",
        "performer",
        "person",
        "physician",
        "physicians",
        "reference",
        "serial",
        "time",
        "updated",
        "user",
        "username",
    }
)
"""Words in the name of a property whose value may identify someone."""

TELLING_NAMES = frozenset(
    {
        "scanscope id",
        "image id",
        "slide id",
        "slide name",
        "study id",
        "project name",
        "title",
        "host computer",
        "container identifier",
        "specimen identifier",
        "scanner hardware id",
        "s n",
    }
)
"""Whole names, in lower-case words, that identify though no single word does."""

HARMLESS_WORDS = frozenset(
    {"exposure", "sequence", "zone", "orientation", "frame", "type"}
)
"""With these a telling word means something else, such as an exposure time."""

PEOPLE = frozenset({"author", "experimenter", "operator", "patient", "user"})
"""Parts of a path under which everything tells of someone."""

FREE_TEXT = ("tiff.ImageDescription", "openslide.comment")
_MARKUP = re.compile(
    r"\b(Patient\w*|Experimenter|AcquisitionDate|Bar[cC]ode\w*|UserName|Operator\w*"
    r"|Physician\w*|SlideID|AccessionNumber)(?=[\s=>\":])"
)


def is_label(name: str) -> bool:
    """Say whether a further image is the slide's label.

    Parameters
    ----------
    name : str
        Name of the image.

    Returns
    -------
    bool
        Whether it shows the label, on which a patient's name may stand.
    """
    return "label" in name.lower()


def find_identifiers(
    properties: Mapping[str, str], associated: Iterable[str]
) -> list[str]:
    """List the images and fields that may identify someone.

    Parameters
    ----------
    properties : mapping of str to str
        What the file says, as a backend gives it.
    associated : iterable of str
        Names of its further images.

    Returns
    -------
    list of str
        Names such as ``"label image"`` or ``"aperio.User"``, never a value; fields that
        are empty are left out.
    """
    found = [
        f"{name} image"
        for name in associated
        if any(word in name.lower() for word in PHOTOGRAPHED)
    ]
    # What has a property of its own need not be found in the text around it again.
    own = {name.rpartition(".")[2] for name in properties}
    for name, value in properties.items():
        if not value.strip():
            continue
        if name in FREE_TEXT:
            words = dict.fromkeys(_MARKUP.findall(value))
            found += [f"{name} ({word})" for word in words if word not in own]
        elif _is_telling(name):
            found.append(name)
    return found


def _is_telling(name: str) -> bool:
    """Say whether a property's name announces an identifier."""
    above, _, last = name.rpartition(".")
    if PEOPLE.intersection(above.lower().split(".")):
        return True
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", last)
    words = re.findall(r"[a-z]+", spaced.lower())
    if HARMLESS_WORDS.intersection(words):
        return False
    text = " ".join(words)
    joined = "".join(words)
    return (
        bool(TELLING_WORDS.intersection(words))
        or text in TELLING_NAMES
        or "barcode" in joined
        or joined.endswith(("scanscopeid", "username"))
    )
