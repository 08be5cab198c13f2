"""What an analysis will do: the request met with slide, tables and model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cam_methods import ROLLOUT, chosen_cam
from napari_mmsubtype.core.cases import Modality, ordered
from napari_mmsubtype.core.patch_grid import PatchGrid, PatchSpec, lay_grid
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.recipe import AnalyzeRecipe, digest
from napari_mmsubtype.core.trust import DEFAULT_COVERAGE
from napari_mmsubtype.errors import ConfigurationError, NoTissueError
from napari_mmsubtype.inference.patient_tables import align_tables_job
from napari_mmsubtype.inference.region_patches import patches_within
from napari_mmsubtype.models.attention_rollout import AttentionTap
from napari_mmsubtype.slides.region_geojson import read_regions
from napari_mmsubtype.slides.stain import StainNormalizer, fit_pixels
from napari_mmsubtype.slides.tissue import TissueMask, find_tissue
from napari_mmsubtype.slides.tissue_file import read_tissue
from napari_mmsubtype.slides.tissue_sample import sample_tissue

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.core.records import ModalityReport
    from napari_mmsubtype.core.units import PixelSize
    from napari_mmsubtype.models.bundle import Bundle
    from napari_mmsubtype.slides.slide import Slide


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class AnalysisPlan:
    """Everything that decides the numbers of an analysis.

    Attributes
    ----------
    recipe : AnalyzeRecipe
        The request.
    slide : Slide
        Open, with a pixel size.
    pixel_size : PixelSize
        Microns per pixel of level 0.
    bundle : Bundle
        The model.
    tissue : TissueMask
        Where tissue is.
    grid : PatchGrid
        The patches to run, at least one.
    omics : mapping of Modality to ndarray of float32, shape (g,)
        Model-ready values of the tables that are used.
    reports : tuple of ModalityReport
        What became of each table given.
    warnings : tuple of str
        What the user should know about slide and regions.
    stain : StainNormalizer or None
        Change of stain that the model asks for, fitted to the whole slide.
    """

    recipe: AnalyzeRecipe
    slide: Slide
    pixel_size: PixelSize
    bundle: Bundle
    tissue: TissueMask
    grid: PatchGrid
    omics: Mapping[Modality, NDArray[np.float32]]
    reports: tuple[ModalityReport, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())
    stain: StainNormalizer | None = None

    @property
    def present(self) -> tuple[Modality, ...]:
        """Every modality that the call takes in, image first."""
        return ordered((Modality.IMAGE, *self.omics))

    @property
    def cam_method(self) -> str:
        """How the map is drawn: ``cam`` where it is exact."""
        exact = self.bundle.fusion.exact_cam
        return chosen_cam(self.recipe.cam_method, exact=exact)

    def fingerprint(self) -> str:
        """Fingerprint everything that decides the numbers.

        Returns
        -------
        str
            SHA-256; a store with the same one may be resumed.
        """
        entry: dict[str, Any] = {
            "slide": [self.slide.path, list(self.slide.levels[0].shape)],
            "mpp": [self.pixel_size.y, self.pixel_size.x],
            "bundle": self.bundle.digest,
            "grid": self.grid.to_attributes(),
            "origins": sha256(self.grid.origin.tobytes()).hexdigest(),
            "omics": {
                str(m): sha256(values.tobytes()).hexdigest()
                for m, values in self.omics.items()
            },
            "reports": [report.used for report in self.reports],
            "patient": self.recipe.patient,
            "quality": self.recipe.quality_spec.to_dict(),
            "exclude": list(self.recipe.excluded_flags),
        }
        if self.slide.content is not None:
            # Another file may have come in the place of the one analysed before.
            entry["content"] = self.slide.content
        if self.recipe.set_coverage not in (None, DEFAULT_COVERAGE):
            entry["set_coverage"] = self.recipe.set_coverage
        if self.recipe.precision != "auto":
            # What `auto` came to is kept by the store itself, and by who resumes it.
            entry["precision"] = self.recipe.precision
        if self.recipe.cam_method not in (None, ROLLOUT):
            entry["cam_method"] = self.cam_method
        if self.recipe.regions is not None:
            # Kept apart even where the same patches are left: the store shows the mask.
            entry["regions"] = sha256(self.tissue.mask.tobytes()).hexdigest()
        if self.stain is not None:
            entry["stain"] = self.stain.to_dict()
        if self.recipe.tissue is not None:
            # The file may be painted on after the request was made: its content counts.
            mask = self.tissue.mask
            painted = sha256(mask.tobytes()).hexdigest()
            entry["tissue"] = [list(mask.shape), painted]
        return digest(entry)


def plan_job(recipe: AnalyzeRecipe, slide: Slide, bundle: Bundle) -> Job[AnalysisPlan]:
    """Resolve a request against the slide, the tables and the model.

    Parameters
    ----------
    recipe : AnalyzeRecipe
        The request.
    slide : Slide
        Open slide.
    bundle : Bundle
        Loaded model.

    Yields
    ------
    Progress
        Stages ``tables`` and ``tissue``.

    Returns
    -------
    AnalysisPlan
        Ready to run; nothing has been written.

    Raises
    ------
    MissingPixelSizeError
        If neither the slide nor the request gives microns per pixel.
    SlideTooSmallError
        If the slide is smaller than one patch.
    NoTissueError
        If no patch holds enough tissue, or none within the regions.
    ConfigurationError
        If the tissue mask or the regions cannot be read or do not fit the slide, or a
        method is asked for a map that is exact.
    OmicsError
        If a table cannot serve.
    """
    chosen_cam(recipe.cam_method, exact=bundle.fusion.exact_cam)
    if recipe.cam_method == ROLLOUT:
        # Refused now and not after the slide.
        AttentionTap(bundle.encoder)
    pixel_size = slide.require_pixel_size()
    aligned = yield from align_tables_job(recipe, bundle)
    yield Progress("tissue", message="finding tissue")
    spec = _patch_spec(recipe, bundle.patch)
    if recipe.tissue is None:
        tissue = find_tissue(slide)
    else:
        tissue = read_tissue(recipe.tissue, slide)
    found = float(tissue.mask.mean()) if tissue.mask.size else 0.0
    whole = tissue
    lay = partial(
        lay_grid,
        spec,
        slide.levels[0].shape,
        pixel_size,
        [level.downsample for level in slide.levels],
        storage_tile=slide.storage_tile,
        edge=recipe.edge,
    )
    warnings: tuple[str, ...] = ()
    if recipe.regions is None:
        grid = lay(tissue.mask)
    else:
        regions = read_regions(recipe.regions)
        try:
            mask, grid, warnings = patches_within(
                regions, tissue.mask, slide.levels[0].shape, pixel_size, lay
            )
        except ConfigurationError as err:
            msg = f"regions {recipe.regions!r}: {err}"
            raise ConfigurationError(msg) from err
        tissue = replace(tissue, mask=mask)
    if len(grid) == 0:
        raise NoTissueError(_no_patch(recipe, slide, pixel_size, found, grid))
    stain = _fit_stain(slide, whole, bundle)
    notes = (slide.color_problem, "" if stain is None else stain.problem)
    return AnalysisPlan(
        recipe=recipe,
        slide=slide,
        pixel_size=pixel_size,
        bundle=bundle,
        tissue=tissue,
        grid=grid,
        omics={m: a.values for m, a in aligned.items() if a.values is not None},
        reports=tuple(a.report for a in aligned.values()),
        warnings=(*filter(None, notes), *warnings),
        stain=stain,
    )


def _fit_stain(
    slide: Slide, tissue: TissueMask, bundle: Bundle
) -> StainNormalizer | None:
    """Fit the change of stain that the model was trained with.

    To the tissue of the whole slide: what part of it is analyzed must not change what
    a patch looks like.
    """
    method = bundle.info.get("stain")
    if method is None:
        return None
    fit = fit_pixels(sample_tissue(slide, tissue), method)
    if fit.problem:
        logger.warning("slide %r: %s", slide.name, fit.problem)
    return fit


def _patch_spec(recipe: AnalyzeRecipe, spec: PatchSpec) -> PatchSpec:
    """Put the request's stride and tissue threshold in place of the bundle's."""
    if recipe.min_tissue is not None:
        spec = replace(spec, min_tissue=recipe.min_tissue)
    if recipe.stride_px is None:
        return spec
    if recipe.stride_px > spec.size_px:
        msg = (
            f"stride {recipe.stride_px} px is larger than the bundle's patch "
            f"({spec.size_px} px) and would skip tissue; use at most that"
        )
        raise ConfigurationError(msg)
    return replace(spec, stride_px=recipe.stride_px)


def _no_patch(
    recipe: AnalyzeRecipe,
    slide: Slide,
    pixel_size: PixelSize,
    found: float,
    grid: PatchGrid,
) -> str:
    """Say why no patch is left, ``found`` being the slide's share of tissue."""
    reached = f"none of its {grid.positions} patches reaches {grid.spec.min_tissue:.0%}"
    if recipe.regions is not None and found > 0:
        return (
            f"slide {slide.name!r} has no patch left within the regions of "
            f"{recipe.regions!r}: {found:.1%} of it counts as tissue, but with the "
            f"regions {reached}; draw them larger and on tissue, or leave them out"
        )
    if recipe.tissue is not None:
        return (
            f"slide {slide.name!r} has no patch left within the tissue mask "
            f"{recipe.tissue!r}: {found:.1%} of the slide is marked, but {reached}; "
            "paint larger areas, or let the tissue be found"
        )
    return (
        f"slide {slide.name!r} shows no tissue to analyse: {found:.1%} of it counts "
        f"as tissue and {reached}; is it a blank or very faint slide, or is the pixel "
        f"size ({pixel_size.mean:g} um/px) wrong?"
    )
