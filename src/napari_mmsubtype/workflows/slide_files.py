"""Files that are made of a slide, and whether they are of the slide as it is now."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.slides.slide_name import file_stem, slide_name
from napari_mmsubtype.workflows.folder_files import write_json

if TYPE_CHECKING:
    from napari_mmsubtype.workflows.manifest import SlideEntry


def slide_file(slide: SlideEntry, *asked: Any) -> str:
    """Name a file that is made of a slide.

    Parameters
    ----------
    slide : SlideEntry
        Of a manifest.
    *asked : object
        Plain JSON types; what else decides its content.

    Returns
    -------
    str
        Without an ending; another name for whatever else is asked.
    """
    text = json.dumps([slide.path, slide.mpp, *asked])
    mark = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{file_stem(slide_name(slide.path))}-{mark}"


def write_state(file: Path, slide: SlideEntry, **facts: Any) -> None:
    """Say which state of a slide a file is of; it counts from then on.

    Parameters
    ----------
    file : Path
        Made of the slide, complete.
    slide : SlideEntry
        Of a manifest.
    **facts : object
        Plain JSON types; what else is known of the file.
    """
    write_json(file.with_suffix(".json"), {**_state(slide), **facts})


def read_state(file: Path, slide: SlideEntry) -> dict[str, Any] | None:
    """Look up what is known of a file, if it is of the slide as it is now.

    Parameters
    ----------
    file : Path
        Of the file.
    slide : SlideEntry
        Of a manifest.

    Returns
    -------
    dict or None
        As `write_state` wrote it; None where the file is absent, not complete, or of
        another state of the slide.
    """
    record = file.with_suffix(".json")
    if not (file.is_file() and record.is_file()):
        return None
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        return None
    if not isinstance(known, dict) or not _state(slide).items() <= known.items():
        return None
    return known


def _state(slide: SlideEntry) -> dict[str, Any]:
    """Tell one state of a slide from another."""
    path = Path(slide.path)
    if not path.exists():
        return {"slide": slide.path}
    facts = path.stat()
    return {"slide": slide.path, "size": facts.st_size, "changed": facts.st_mtime_ns}
