from __future__ import annotations

import numpy as np
import pytest
from napari.components import LayerList
from napari.layers import Image

from napari_mmsubtype.plugin.layer_list import index_of_new, raise_slide
from napari_mmsubtype.plugin.placement import METADATA_KEY


def make(name: str) -> Image:
    """``A`` is slide A, ``a1`` lies on it, and ``-`` is nobody's."""
    about = {"kind": "slide" if name.isupper() else "map", "path": name[0].upper()}
    known = {} if name == "-" else {METADATA_KEY: about}
    return Image(np.zeros((2, 2)), name=name, metadata=known)


def names(layers: LayerList) -> list[str]:
    return [layer.name for layer in layers]


@pytest.mark.parametrize(
    ("there", "new", "index"),
    [
        ("A a1 B b1 -", "a2", 2),
        ("A a1 B b1 -", "b2", 4),
        ("A a1 - a2 B", "a3", 4),  # what the user laid between stays there
        ("A a1 B", "c1", 3),
        ("A a1 B", "A", 3),
        ("A a1 B", "-", 3),
        ("- -", "-", 2),
        ("", "a1", 0),
    ],
)
def test_a_map_goes_directly_above_what_lies_on_its_slide(there, new, index) -> None:
    layers = LayerList([make(name) for name in there.split()])
    for layer, name in zip(layers, there.split(), strict=True):
        layer.name = name
    assert index_of_new(layers, make(new)) == index


def test_a_slide_is_raised_with_all_that_lies_on_it() -> None:
    layers = LayerList([make(name) for name in ["A", "a1", "B", "b1", "a2"]])
    raise_slide(layers, "A")
    assert names(layers) == ["B", "b1", "A", "a1", "a2"]


@pytest.mark.parametrize("there", ["A a1 -", "B b1 A a1 b2", "B b1", ""])
def test_a_slide_that_none_covers_stays_where_it_is(there: str) -> None:
    layers = LayerList([make(name) for name in there.split()])
    raise_slide(layers, "A")
    assert names(layers) == there.split()


def test_a_slide_that_is_hidden_covers_nothing() -> None:
    layers = LayerList([make(name) for name in ["A", "a1", "B", "b1"]])
    layers["B"].visible = False
    raise_slide(layers, "A")
    assert names(layers) == ["A", "a1", "B", "b1"]
