from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
import torch
import torchvision.io

from builders.slides import draw_scene
from builders.slides_jpeg import encode_tile
from napari_mmsubtype.inference.jpeg_decoder import decode_streams
from napari_mmsubtype.slides.jpeg_stream import complete_stream

CPU = torch.device("cpu")
TILES = [draw_scene(96, 64, seed=seed) for seed in range(3)]


def streams_of(**options):
    whole = [encode_tile(tile, **options) for tile in TILES]
    is_rgb = options.get("rgb")
    return [complete_stream(one, None, (96, 64), is_rgb=is_rgb) for one in whole]


@pytest.mark.parametrize("options", [{}, {"subsampling": "420"}, {"rgb": True}])
def test_the_cpu_decodes_what_the_slides_decoder_does(options):
    streams = streams_of(**options)
    tiles = decode_streams(streams, CPU)
    assert (tiles.dtype, tiles.shape) == (torch.uint8, (3, 96, 64, 3))
    expected = np.stack([imagecodecs.jpeg_decode(stream) for stream in streams])
    np.testing.assert_array_equal(tiles.numpy(), expected)
    assert np.abs(expected.astype(int) - np.stack(TILES)).mean() < 4


def test_a_stream_that_is_none_fails_them_all():
    with pytest.raises(RuntimeError):
        decode_streams([*streams_of(), bytes(100)], CPU)


@pytest.mark.gpu
@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
def test_the_gpu_decodes_about_the_same(subsampling):
    streams = streams_of(subsampling=subsampling)
    expected = decode_streams(streams, CPU)
    tiles = decode_streams(streams, torch.device("cuda"))
    assert tiles.device.type == "cuda"
    change = (tiles.cpu().float() - expected.float()).abs()
    # Reduced chroma is spread over pixels in another way.
    assert change.mean() < (0.5 if subsampling == "444" else 3)


class Card:
    """Tells in which order the decoder and its caller's stream are waited for."""

    def __init__(self, monkeypatch, error=None):
        self.story = []
        stream = SimpleNamespace(synchronize=lambda: self.story.append("stream"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream)
        monkeypatch.setattr(
            torch.cuda, "synchronize", lambda _: self.story.append("device")
        )

        def decode(raw, **_):
            self.story.append("decode")
            if error is not None:
                raise error
            return [torch.zeros(3, 96, 64, dtype=torch.uint8) for _ in raw]

        monkeypatch.setattr(torchvision.io, "decode_jpeg", decode)


def test_a_card_has_done_with_the_memory_that_its_decoder_writes_to(monkeypatch):
    card = Card(monkeypatch)
    decode_streams(streams_of(), torch.device("cuda"))
    assert card.story == ["stream", "decode"]


def test_a_decoder_that_fails_has_done_with_its_memory_too(monkeypatch):
    card = Card(monkeypatch, RuntimeError("nvjpegDecodeBatched failed: 5"))
    with pytest.raises(RuntimeError, match="failed: 5"):
        decode_streams(streams_of(), torch.device("cuda"))
    assert card.story == ["stream", "decode", "device"]


@pytest.mark.gpu
def test_memory_that_is_still_read_from_is_not_written_to():
    streams = streams_of()
    device = torch.device("cuda")
    decode_streams(streams, device)
    for _ in range(20):
        shape = (64, 3, 96, 64)
        full = [one.clone() for one in torch.full(shape, 7, device=device).byte()]
        torch.cuda.synchronize(device)
        torch.cuda._sleep(20_000_000)
        sums = [one.sum() for one in full]
        # Freed for the decoder, and still to be summed.
        del full
        decode_streams(streams * 20, device)
        assert {int(total) for total in sums} == {7 * 3 * 96 * 64}
