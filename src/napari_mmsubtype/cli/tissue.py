"""``napari-mmsubtype tissue``: the tissue of a slide as a mask that can be edited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tissue_command(  # numpydoc ignore=PR01
    slide: Annotated[
        str, typer.Argument(help="Slide file or folder, or a synthetic: address.")
    ],
    *,
    out: Annotated[
        str,
        typer.Option(help="Mask to write: .geojson for outlines, else a zarr folder."),
    ],
    tissue: Annotated[
        str | None,
        typer.Option(help="Write this mask in another format; find nothing."),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(help="Microns per pixel, where the slide does not say."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON.")
    ] = False,
) -> None:
    """Find the tissue of a slide and write it for editing and for --tissue."""
    from napari_mmsubtype.cli.report import to_json
    from napari_mmsubtype.slides.registry import open_slide
    from napari_mmsubtype.slides.tissue import find_tissue
    from napari_mmsubtype.slides.tissue_file import read_tissue, write_tissue

    with open_slide(slide, mpp=mpp) as opened:
        mask = find_tissue(opened) if tissue is None else read_tissue(tissue, opened)
        path = write_tissue(Path(out).expanduser(), mask, opened)
        share = float(mask.mask.mean())
        record = {
            "slide": opened.path,
            "mask": str(path.absolute()),
            "shape": list(mask.mask.shape),
            "mpp": [mask.pixel_size.y, mask.pixel_size.x],
            "tissue": share,
        }
    if as_json:
        typer.echo(to_json(record))
        return
    rows, cols = mask.mask.shape
    typer.echo(f"tissue       {share:.1%} of the slide")
    typer.echo(f"mask         {path} ({rows} x {cols} px)")
