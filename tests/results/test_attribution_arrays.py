import numpy as np
import pytest
import zarr

from napari_mmsubtype.core.attributions import Attributions, TableAttribution
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.attribution_arrays import (
    read_attributions,
    write_attributions,
)


def make(*modalities, gap=1e-4):
    draw = np.random.default_rng(len(modalities))
    tables = tuple(
        TableAttribution(
            name,
            ("ESR1", "α-SMA", "a/b"),
            draw.normal(size=(3, 2)).astype(np.float32),
            {"one": (0, 2)} if name == "rna" else {},
        )
        for name in modalities
    )
    return Attributions(tables, (0.25, -0.5), gap, 1e-3, 32)


def same(left, right):
    assert (left.baseline, left.gap, left.limit, left.steps) == (
        right.baseline, right.gap, right.limit, right.steps
    )  # fmt: skip
    for a, b in zip(left.tables, right.tables, strict=True):
        assert (a.modality, a.features, a.groups) == (b.modality, b.features, b.groups)
        assert a.values.dtype == np.float32
        assert (a.values == b.values).all()


@pytest.fixture
def root(tmp_path):
    return zarr.open_group(tmp_path / "store.zarr", mode="w")


def test_what_is_written_is_read_again(root):
    written = make("rna", "clinical")
    write_attributions(root, written)
    same(read_attributions(root), written)


def test_a_store_without_them_has_none(root):
    assert read_attributions(root) is None


def test_a_resumed_run_replaces_them(root):
    write_attributions(root, make("rna", "clinical"))
    second = make("rna", gap=2e-4)
    write_attributions(root, second)
    same(read_attributions(root), second)


def test_what_a_kill_cut_short_is_not_read(root):
    root.require_group(schema.ATTRIBUTIONS).create_array("rna", data=np.zeros((2, 2)))
    assert read_attributions(root) is None
