from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import LayerList, ViewerModel
from napari.layers import Image

from napari_mmsubtype.widgets.layer_adder import (
    LayerAdder,
    build_images,
    remove_layers,
)


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


@pytest.mark.skipif(
    not hasattr(LayerList, "batched_update"), reason="this napari knows no batches"
)
def test_layers_are_removed_in_one_batch_and_nothing_in_none() -> None:
    viewer = ViewerModel()
    made = [viewer.add_image(np.zeros((4, 4)), name=name) for name in "abcd"]
    told: list[tuple[str, int]] = []
    for kind in ("begin_batch", "removed", "end_batch"):
        emitter = getattr(viewer.layers.events, kind)
        emitter.connect(lambda _, k=kind: told.append((k, len(viewer.layers))))
    remove_layers(viewer, [])
    assert told == []
    remove_layers(viewer, [made[0], made[2], made[3]])
    assert [x.name for x in viewer.layers] == ["b"]
    removed = [("removed", n) for n in (3, 2, 1)]
    assert told == [("begin_batch", 4), *removed, ("end_batch", 1)]


def test_layers_are_removed_where_napari_knows_no_batches() -> None:
    older = SimpleNamespace(layers=["a", "b", "c"])
    remove_layers(older, ["a", "c"])
    assert older.layers == ["b"]
