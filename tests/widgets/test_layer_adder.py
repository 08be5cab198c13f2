from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_mmsubtype.widgets.layer_adder import LayerAdder, build_images


def layer(name: str, kind: str = "image"):
    return (np.zeros((4, 4), np.uint8), {"name": name}, kind)


def test_layers_arrive_in_order_one_per_turn_of_the_loop(qtbot) -> None:
    viewer = ViewerModel()
    adder = LayerAdder(viewer)
    adder.add([layer("a"), layer("b", "labels"), layer("c")])
    assert len(viewer.layers) == 0  # nothing is added by the call itself
    counts: list[int] = []
    adder._timer.timeout.connect(lambda: counts.append(len(viewer.layers)))
    with qtbot.waitSignal(adder.finished, timeout=5000):
        pass
    assert counts[:3] == [1, 2, 3]
    assert [x.name for x in viewer.layers] == ["a", "b", "c"]


def test_images_are_built_beforehand_and_labels_are_not(qtbot) -> None:
    built = build_images([layer("a"), layer("b", "labels")])
    assert isinstance(built[0], Image)
    assert isinstance(built[1], tuple)
    viewer = ViewerModel()
    adder = LayerAdder(viewer)
    with qtbot.waitSignal(adder.finished, timeout=5000):
        adder.add(built)
    assert viewer.layers[0] is built[0]
    assert [x.name for x in viewer.layers] == ["a", "b"]


def test_further_layers_join_the_queue(qtbot) -> None:
    viewer = ViewerModel()
    adder = LayerAdder(viewer)
    with qtbot.waitSignal(adder.finished, timeout=5000):
        adder.add([layer("a")])
        adder.add([layer("b")])
    assert [x.name for x in viewer.layers] == ["a", "b"]
