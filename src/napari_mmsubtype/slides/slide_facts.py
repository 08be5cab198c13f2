"""What is known about a slide, in plain JSON types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.slides.color import describe_profile
from napari_mmsubtype.slides.identifiers import find_identifiers

if TYPE_CHECKING:
    from napari_mmsubtype.slides.backend import SlideBackend
    from napari_mmsubtype.slides.slide import Slide


def slide_facts(slide: Slide, backend: SlideBackend) -> dict[str, Any]:
    """Describe a slide.

    Parameters
    ----------
    slide : Slide
        The slide.
    backend : SlideBackend
        What reads its file.

    Returns
    -------
    dict
        Path, backend, vendor, levels, pixel size and its source, objective,
        compression, color profile, associated images and the tiles that could not be
        decoded so far; under ``"identifiers"`` the names (never the values) of what
        may identify someone.
    """
    size, found = slide.pixel_size, backend.pixel_size
    return {
        "path": slide.path,
        "name": slide.name,
        "backend": slide.backend,
        "vendor": slide.vendor,
        "levels": [
            {
                "height": level.shape[0],
                "width": level.shape[1],
                "downsample": level.downsample,
                "stored": index < slide.native_levels,
            }
            for index, level in enumerate(slide.levels)
        ],
        "mpp": None if size is None else [size.y, size.x],
        "mpp_source": slide.mpp_source.value,
        "mpp_is_guess": slide.mpp_source is MppSource.OBJECTIVE,
        "mpp_in_file": None if found is None else [found.y, found.x],
        "objective": slide.properties.get("objective"),
        "compression": backend.compression,
        "tile": list(backend.tile_shapes[0]),
        "unreadable_tiles": [
            {"level": level, "row": row, "column": column}
            for level, row, column in slide.unreadable_tiles
        ],
        "icc": slide.icc,
        "icc_profile": describe_profile(slide.icc_profile) or None,
        "icc_profile_bytes": len(slide.icc_profile or b""),
        "icc_problem": slide.color_problem or None,
        "associated": list(backend.associated_names),
        "identifiers": find_identifiers(slide.properties, backend.associated_names),
    }
