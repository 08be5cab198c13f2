"""What the engine computes is what the plainest loop over the patches computes.

The loop shares no code with the engine but the network: it opens the file with another
reader, cuts every patch out of the whole image by itself, resizes it by its own
arithmetic and puts it through the network alone, in float32.
"""

from copy import deepcopy
from itertools import product

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.slides import draw_scene, write_pyramid_tiff
from builders.stores import attributes
from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.inference.batch_limit import BatchLimit
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import batches_left, encode_job, prepare
from napari_mmsubtype.inference.forward import forward_batches
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store_writer import StoreWriter
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.registry import open_slide

CPU = Processor(torch.device("cpu"), None)
SLIDE_MPP = 0.5
HEIGHT, WIDTH = 150, 205


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "scene.tif"
    write_pyramid_tiff(path, draw_scene(HEIGHT, WIDTH), levels=3, mpp=SLIDE_MPP)
    return path


def make_encoders(name):
    """The network as it was made, and as the engine prepares it."""
    torch.manual_seed(3)
    plain = create_encoder(name).eval()
    for module in plain.modules():
        # Statistics of a new network are 0 and 1 and would hide a mistake.
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return plain, prepare(deepcopy(plain), CPU)


@pytest.fixture(scope="module")
def encoders():
    """A small network, for many tries."""
    return make_encoders("demo-cnn")


def share_matrix(old, new):
    """Share of each old pixel in each new one: its overlap, or linear if it grows."""
    shares = np.zeros((new, old))
    for i in range(new):
        if new > old:
            place = min(max((i + 0.5) * old / new - 0.5, 0), old - 1)
            low = int(place)
            shares[i, low] += 1 - (place - low)
            shares[i, min(low + 1, old - 1)] += place - low
            continue
        start, stop = i * old / new, (i + 1) * old / new
        for j in range(int(start), min(int(np.ceil(stop)), old)):
            shares[i, j] = max(min(j + 1, stop) - max(j, start), 0)
    return shares / shares.sum(axis=1, keepdims=True)


def patch_by_hand(levels, spec, row, col):
    """Cut one patch out of the coarsest level that is fine enough."""
    factor = spec.mpp / SLIDE_MPP
    scales = [levels[0].shape[0] / level.shape[0] for level in levels]
    usable = [i for i, scale in enumerate(scales) if scale <= factor * 1.05]
    index = max(usable, default=0)
    image, scale = levels[index], scales[index]
    side = max(round(spec.size_px * factor / scale), 1)
    top, left = (
        round(round(place * spec.stride_px * factor) / scale) for place in (row, col)
    )
    padded = np.full((top + side, left + side, 3), 255, np.uint8)
    part = image[: top + side, : left + side]
    padded[: part.shape[0], : part.shape[1]] = part
    patch = padded[top:, left:].astype(float)
    shares = share_matrix(side, spec.size_px)
    resized = np.einsum("ij,jkc->ikc", shares, patch)
    return np.rint(np.einsum("ij,kjc->kic", shares, resized)).astype(np.uint8)


def loop_by_hand(path, encoder, spec, edge):
    """Embed all patches of a slide one by one; rows and columns beside them."""
    with tifffile.TiffFile(path) as file:
        levels = [level.asarray() for level in file.series[0].levels]
    mean, std = (np.array(v, np.float32) for v in (encoder.mean, encoder.std))
    side, step = (n * spec.mpp / SLIDE_MPP for n in (spec.size_px, spec.stride_px))
    fits = np.floor if edge == "inside" else np.ceil
    counts = [
        1 + max(int(fits((length - side) / step)), 0) for length in (HEIGHT, WIDTH)
    ]
    places = list(product(*map(range, counts)))
    maps = []
    with torch.inference_mode():
        for row, col in places:
            patch = patch_by_hand(levels, spec, row, col)
            image = (patch.astype(np.float32) / 255 - mean) / std
            tensor = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous()
            maps.append(encoder.feature_map(tensor)[0].numpy())
    return places, np.stack(maps)


def lay(slide, spec, edge):
    return lay_grid(
        spec,
        slide.levels[0].shape,
        slide.require_pixel_size(),
        [level.downsample for level in slide.levels],
        np.ones((15, 21), bool),
        storage_tile=slide.storage_tile,
        edge=edge,
    )


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    size=st.sampled_from([32, 64]),
    mpp=st.sampled_from([0.4, 0.5, 0.7, 1.0, 1.3]),
    overlap=st.sampled_from([1.0, 0.75, 0.6]),
    edge=st.sampled_from(["cover", "inside"]),
    batch_size=st.integers(1, 19),
    parts=st.integers(1, 5),
)
def test_the_engine_gives_what_a_plain_loop_gives(
    slide_path, encoders, size, mpp, overlap, edge, batch_size, parts
):
    plain, prepared = encoders
    spec = PatchSpec(size, mpp, int(size * overlap), min_tissue=0.0)
    places, expected = loop_by_hand(slide_path, plain, spec, edge)
    with open_slide(slide_path) as slide:
        grid = lay(slide, spec, edge)
        stream = forward_batches(
            prepared,
            PatchSource(slide, grid),
            batches_left(np.zeros(len(grid)), batch_size),
            CPU,
            size,
            lambda features, _part: [features.clone()],
            # Never more than so many at once, as where memory ran out.
            BatchLimit(parts, CPU.device, "the network"),
        )
        found = np.concatenate([maps for _, (maps,) in stream])
    assert sorted(map(tuple, grid.cell.tolist())) == places
    order = [places.index(tuple(cell)) for cell in grid.cell.tolist()]
    np.testing.assert_allclose(found, expected[order], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["demo-cnn", "resnet18"])
def test_the_store_holds_it_to_half_precision(slide_path, tmp_path, name):
    plain, prepared = make_encoders(name)
    spec = PatchSpec(64, 0.7, 48, min_tissue=0.0)
    places, maps = loop_by_hand(slide_path, plain, spec, "cover")
    torch.manual_seed(0)
    queries = torch.randn(2, plain.dim) / plain.dim**0.5
    with open_slide(slide_path) as slide:
        grid = lay(slide, spec, "cover")
        writer = StoreWriter.create(
            tmp_path / "s.mmsubtype.zarr",
            attributes=attributes(),
            grid=grid,
            tissue=np.ones((15, 21), bool),
            embedding_size=plain.dim,
            classes=2,
            cells=maps.shape[2:],
        )
        source = PatchSource(slide, grid)
        job = encode_job(
            prepared, source, writer, CPU, size_px=64, batch_size=7, queries=queries
        )
        told = np.concatenate([event.partial.index for event in job])
    # Whoever watches hears of every patch once.
    assert sorted(told.tolist()) == list(range(len(grid)))
    maps = maps[[places.index(tuple(cell)) for cell in grid.cell.tolist()]]
    embeddings = maps.mean(axis=(2, 3))
    np.testing.assert_allclose(
        writer.read(schema.EMBEDDING).astype(np.float32),
        embeddings,
        rtol=2**-10,
        atol=1e-4,
    )
    cells = np.einsum("cd,ndyx->ncyx", queries.numpy(), maps) / np.prod(maps.shape[2:])
    np.testing.assert_allclose(
        writer.read(schema.CELL_EVIDENCE), cells, rtol=1e-3, atol=1e-4
    )
