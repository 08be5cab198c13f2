from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from builders.profiles import matrix_profile
from builders.slides import break_tile, write_pyramid_tiff, write_svs
from builders.stains import DAB, HEMATOXYLIN, stained_tissue
from napari_mmsubtype.plugin.color_view import (
    PREVIEW_KIND,
    Window,
    placement_of,
    preview_job,
    profile_job,
    read_ahead,
    window_of,
)
from napari_mmsubtype.plugin.layers import METADATA_KEY, slide_layers
from napari_mmsubtype.slides.color import ColorTransform
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.stain import StainNormalizer, fit_pixels
from napari_mmsubtype.slides.tifffile_backend import TifffileBackend
from napari_mmsubtype.workflows.jobs import run_job

PROFILE = matrix_profile(gamma=1.8, words="ScanScope v1")
PLACE = {"name": "s", "scale": (0.5, 0.5), "units": ("um", "um")}
ALL = Window(0, (0, 0, 10_000, 10_000))


@pytest.fixture(scope="module")
def image() -> Any:
    with open_slide("synthetic:seed=3,size=1536") as slide:
        return slide.read_region(0, 0, 0, 1536, 1536)


@pytest.fixture
def slide_path(tmp_path: Path, image: Any) -> Path:
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, image, compression="lzw", iccprofile=PROFILE)
    return path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Level, row and column of every tile that is decoded."""
    tiles: list[tuple[int, int, int]] = []
    real = TifffileBackend.read_tile

    def read_tile(self: Any, *at: int) -> Any:
        tiles.append(at)  # type: ignore[arg-type]
        return real(self, *at)

    monkeypatch.setattr(TifffileBackend, "read_tile", read_tile)
    return tiles


def facts_of(path: Any, **given: Any) -> dict[str, Any]:
    slide = open_slide(path, **given)
    ((_, kwargs, _),) = slide_layers(slide)
    slide.close()
    return kwargs["metadata"][METADATA_KEY]


def test_the_profile_is_switched_on_and_off(slide_path: Path, image: Any) -> None:
    facts = facts_of(slide_path, mpp=0.31)
    assert (facts["icc"], facts["icc_profile"]) == ("off", "ScanScope v1 (ACME)")
    on = run_job(profile_job(facts, True, ALL))
    assert on.facts == {**facts, "icc": "applied"}
    assert (on.data[0].compute() == ColorTransform(PROFILE).apply(image)).all()
    off = run_job(profile_job(on.facts, False, ALL))
    assert off.facts == facts
    assert (off.data[0].compute() == image).all()
    assert on.problem == off.problem == ""


def test_only_what_is_in_view_is_decoded(
    slide_path: Path, decoded: list[tuple[int, int, int]]
) -> None:
    facts = facts_of(slide_path)
    shown = run_job(profile_job(facts, True, Window(0, (600, 100, 700, 1000))))
    fine = {at for at in decoded if at[0] == 0}
    # Tiles of 128 px.
    assert fine == {(0, row, col) for row in (4, 5) for col in range(8)}
    assert {at[0] for at in decoded} == {0, 2}
    count = len(decoded)
    assert count == len(set(decoded))
    shown.data[0][600:700, 100:1000].compute()
    shown.data[2].compute()
    assert len(decoded) == count


def test_a_preview_shows_the_slide_in_the_fitted_stain(
    slide_path: Path, image: Any
) -> None:
    facts = facts_of(slide_path)
    preview = run_job(preview_job(facts, "macenko", ALL, PLACE))
    assert not preview.fit.is_identity
    data, kwargs, kind = preview.layer
    assert kind == "image"
    assert (data[0].compute() == preview.fit.transform(image)).all()
    assert [level.shape for level in data] == [
        (1536 // f, 1536 // f, 3) for f in (1, 2, 4)
    ]
    assert kwargs["name"] == "s: Macenko stain"
    assert kwargs["scale"] == PLACE["scale"]
    about = kwargs["metadata"][METADATA_KEY]
    assert (about["kind"], about["path"]) == (PREVIEW_KIND, str(slide_path))
    assert StainNormalizer.from_dict(about["stain"]) == preview.fit


def test_a_preview_is_fitted_to_the_colors_that_are_shown(
    slide_path: Path, image: Any
) -> None:
    facts = facts_of(slide_path, icc=True)
    preview = run_job(preview_job(facts, "reinhard", ALL, PLACE))
    srgb = ColorTransform(PROFILE).apply(image)
    assert (preview.layer[0][0].compute() == preview.fit.transform(srgb)).all()
    plain = run_job(preview_job(facts_of(slide_path), "reinhard", ALL, PLACE))
    assert plain.fit != preview.fit


def test_another_method_needs_no_second_look_at_the_tissue(
    slide_path: Path, decoded: list[tuple[int, int, int]]
) -> None:
    facts = facts_of(slide_path)
    window = Window(2, (0, 0, 100, 100))
    first = run_job(preview_job(facts, "macenko", window, PLACE))
    decoded.clear()
    second = run_job(preview_job(facts, "vahadane", window, PLACE, first.pixels))
    assert second.fit == fit_pixels(first.pixels, "vahadane")
    assert {at[0] for at in decoded} == {2}


def test_a_failed_fit_gives_no_layer(tmp_path: Path) -> None:
    image = stained_tissue(512 * 512, stains=(HEMATOXYLIN, DAB))[2]
    write_pyramid_tiff(tmp_path / "a.tif", image.reshape(512, 512, 3), levels=1)
    preview = run_job(preview_job(facts_of(tmp_path / "a.tif"), "macenko", ALL, PLACE))
    assert preview.layer is None
    assert "not stained with hematoxylin and eosin" in preview.fit.problem


def test_a_slide_without_pixel_size_can_be_previewed(
    tmp_path: Path, image: Any
) -> None:
    write_pyramid_tiff(tmp_path / "a.tif", image, mpp=None, levels=1)
    facts = facts_of(tmp_path / "a.tif")
    assert facts["mpp"] is None
    preview = run_job(preview_job(facts, "macenko", ALL, PLACE))
    assert not preview.fit.is_identity
    assert preview.layer[1]["multiscale"] is False
    assert preview.layer[0].shape == image.shape


def test_an_unusable_profile_is_told(tmp_path: Path, image: Any) -> None:
    path = tmp_path / "a.tif"
    write_pyramid_tiff(path, image[:256, :256], levels=1, iccprofile=b"broken" * 30)
    shown = run_job(profile_job(facts_of(path), True, ALL))
    assert "cannot be used" in shown.problem
    assert shown.facts["icc"] == "unusable"


def test_a_damaged_tile_does_not_stop_reading_ahead(tmp_path: Path, image: Any) -> None:
    write_svs(tmp_path / "b.svs", image, levels=1)
    break_tile(tmp_path / "b.svs", 0, 0)
    with open_slide(tmp_path / "b.svs") as slide:
        read_ahead(slide, ALL)
        assert len(slide.unreadable_tiles) == 1


def test_the_window_and_place_of_a_layer() -> None:
    levels = [np.zeros((512 // f, 768 // f, 3), np.uint8) for f in (1, 2, 4)]
    layer = Image(
        levels,
        rgb=True,
        multiscale=True,
        scale=(0.3, 0.4),
        units=("um", "um"),
        name="s",
    )
    assert window_of(layer) == Window(2, (0, 0, 128, 192))
    place = placement_of(layer)
    again = Image(levels, rgb=True, multiscale=True, **place)
    assert placement_of(again)["name"] == "s"
    np.testing.assert_allclose(again.scale, layer.scale)
    assert again.units == layer.units
    flat = Image(levels[0], rgb=True)
    assert window_of(flat).level == 0
