from __future__ import annotations

from builders.stains import stained_tissue
from napari_mmsubtype.slides.stain import fit_pixels
from napari_mmsubtype.slides.stain_vectors import angle_between
from napari_mmsubtype.widgets.stain_swatches import StainSwatches


def test_the_stains_of_a_fit_are_drawn_in_their_colors(qtbot) -> None:
    fit = fit_pixels(stained_tissue()[2])
    widget = StainSwatches()
    qtbot.addWidget(widget)
    widget.setFit(fit)
    hematoxylin, eosin, angle = widget.texts()
    assert hematoxylin == "  ".join(f"{value:.2f}" for value in fit.stains[0])
    assert eosin == "  ".join(f"{value:.2f}" for value in fit.stains[1])
    assert angle == f"{angle_between(*fit.stains):.1f}°"
    widget.resize(widget.sizeHint())
    pictures = [swatch.grab().toImage() for swatch in widget._swatches]
    for picture, swatch in zip(pictures, widget._swatches, strict=True):
        right = picture.pixelColor(picture.width() - 2, picture.height() // 2)
        assert right.rgb() == swatch.colors[-1].rgb()
        lightness = [color.lightness() for color in swatch.colors]
        assert lightness == sorted(lightness, reverse=True)
    blue, pink = (swatch.colors[-1] for swatch in widget._swatches)
    assert blue.blue() > blue.red()
    assert pink.red() > pink.blue()
