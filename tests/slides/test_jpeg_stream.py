import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from builders.slides import draw_scene
from builders.slides_jpeg import (
    abbreviate,
    encode_tile,
    join_stream,
    rename_components,
    split_stream,
)
from napari_mmsubtype.slides.jpeg_stream import complete_stream, require_whole

TILE = draw_scene(96, 64)
SHAPE = (96, 64)
NO_ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"


def decode(stream):
    return imagecodecs.jpeg_decode(stream)


@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
def test_shared_tables_are_put_in(subsampling):
    whole = encode_tile(TILE, subsampling=subsampling)
    short, tables = abbreviate(whole)
    with pytest.raises(Exception, match=r"table|JPEG"):
        decode(short)
    completed = complete_stream(short, tables, SHAPE)
    np.testing.assert_array_equal(decode(completed), decode(whole))
    assert completed.endswith(whole[-500:])


def test_a_stream_with_tables_of_its_own_needs_no_others():
    whole = encode_tile(TILE)
    completed = complete_stream(whole, None, SHAPE)
    np.testing.assert_array_equal(decode(completed), decode(whole))


def test_own_tables_win_over_shared_ones():
    fine, coarse = encode_tile(TILE, level=95), encode_tile(TILE, level=20)
    _, other = abbreviate(coarse)
    completed = complete_stream(fine, other, SHAPE)
    np.testing.assert_array_equal(decode(completed), decode(fine))


def test_the_container_says_that_components_are_rgb():
    whole = encode_tile(TILE, rgb=True)
    short, tables = abbreviate(whole, markers=False)
    stream = complete_stream(short, tables, SHAPE, is_rgb=True)
    assert stream[2:18] == NO_ADOBE + b"\0"
    np.testing.assert_array_equal(decode(stream), decode(whole))
    # Nothing in the stream itself says so: left to itself, it is taken for YCbCr.
    wrong = complete_stream(short, tables, SHAPE)
    assert wrong[2:18] == NO_ADOBE + b"\1"
    assert np.abs(decode(wrong).astype(int) - TILE).mean() > 20


def test_a_jfif_marker_does_not_speak_against_rgb():
    segments, scan = split_stream(encode_tile(TILE, rgb=True))
    ycbcr, _ = split_stream(encode_tile(TILE))
    jfif = [segment for segment in ycbcr if segment[0] == 0xE0]
    assert jfif
    own = [segment for segment in segments if segment[0] != 0xEE]
    stream = join_stream([*jfif, *own], scan)
    assert np.abs(decode(stream).astype(int) - TILE).mean() > 20
    right = complete_stream(stream, None, SHAPE, is_rgb=True)
    assert np.abs(decode(right).astype(int) - TILE).mean() < 3
    left_alone = complete_stream(stream, None, SHAPE)
    np.testing.assert_array_equal(decode(left_alone), decode(stream))


@pytest.mark.parametrize(
    ("adobe", "ids", "is_rgb"),
    [
        (b"\0", b"\1\2\3", True),
        (b"\1", b"RGB", False),
        (None, b"RGB", True),
        (None, b"\1\2\3", False),
        (None, b"\0\1\2", False),
    ],
)
def test_colors_are_told_as_libjpeg_tells_them(adobe, ids, is_rgb):
    segments, scan = split_stream(encode_tile(TILE))
    own = [segment for segment in segments if segment[0] != 0xE0]
    own, scan = rename_components(own, scan, ids)
    if adobe is not None:
        own.insert(0, (0xEE, NO_ADOBE + adobe))
    stream = join_stream(own, scan)
    completed = complete_stream(stream, None, SHAPE)
    assert completed[17] == (0 if is_rgb else 1)
    np.testing.assert_array_equal(decode(completed), decode(stream))


def test_an_end_padded_with_zeros_is_an_end():
    whole = encode_tile(TILE)
    assert complete_stream(whole + bytes(7), None, SHAPE).endswith(whole[-400:])


def test_restart_markers_are_part_of_the_scan():
    segments, scan = split_stream(encode_tile(TILE, subsampling="444"))
    # Eight columns of blocks a row: a marker that is where decoders expect none is
    # not this function's to judge, only that restarts are no damage.
    middle = len(scan) // 2
    while scan[middle - 1] == 0xFF:
        middle += 1
    stream = join_stream(segments, scan[:middle] + b"\xff\xd3" + scan[middle:])
    assert b"\xff\xd3" in complete_stream(stream, None, SHAPE)


def damaged(kind):
    whole = encode_tile(TILE)
    segments, scan = split_stream(whole)
    half = len(whole) - len(scan) // 2
    marker = join_stream(segments, scan)
    return {
        "not a JPEG": bytes(200),
        "cut short": whole[:half],
        "no end": whole[:-2],
        "a header within": marker[:half] + b"\xff\xc4" + marker[half + 2 :],
        "an end within": marker[:half] + b"\xff\xd9" + marker[half + 2 :],
        "a marker overwritten": whole[:2] + b"\x00\x00" + whole[4:],
        "a length beyond": whole[:4] + b"\xff\xff" + whole[6:],
        "no scan": join_stream(segments, b"\xff\xd9"),
        "no quantization": join_stream([s for s in segments if s[0] != 0xDB], scan),
        "no Huffman": join_stream([s for s in segments if s[0] != 0xC4], scan),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("not a JPEG", "a JPEG begins with"),
        ("cut short", "ends early"),
        ("no end", "ends early"),
        ("a header within", r"has b'\\xff\\xc4' in its scan"),
        ("an end within", "bytes before its tile"),
        ("a marker overwritten", "no marker segment at byte 2"),
        ("a length beyond", "no marker segment at byte 2"),
        ("no scan", "has no scan"),
        ("no quantization", "no quantization table"),
        ("no Huffman", "no Huffman table"),
    ],
)
def test_damage_is_left_to_another_decoder(kind, words):
    with pytest.raises(ValueError, match=words):
        complete_stream(damaged(kind), None, SHAPE)


def test_other_kinds_and_sizes_are_refused():
    whole = encode_tile(TILE)
    with pytest.raises(ValueError, match="96 x 64 px in 03 components; 64 x 96"):
        complete_stream(whole, None, (64, 96))
    grey = imagecodecs.jpeg_encode(np.ascontiguousarray(TILE[:, :, 0]))
    with pytest.raises(ValueError, match="several scans; one of three"):
        complete_stream(grey, None, SHAPE)
    at = whole.index(b"\xff\xc0")
    progressive = whole[: at + 1] + b"\xc2" + whole[at + 2 :]
    with pytest.raises(ValueError, match="found 0xC2"):
        complete_stream(progressive, None, SHAPE)


def flat_glass():
    """Zeros alone, as optimized tables make of a tile without anything on it."""
    stream = io.BytesIO()
    Image.new("RGB", (512, 512), "white").save(stream, "JPEG", optimize=True)
    return stream.getvalue()


def whole_streams():
    restarts = io.BytesIO()
    Image.fromarray(TILE).save(restarts, "JPEG", restart_marker_blocks=4)
    progressive = io.BytesIO()
    Image.fromarray(TILE).save(progressive, "JPEG", progressive=True)
    whole = encode_tile(TILE)
    grey = np.ascontiguousarray(TILE[:, :, 0])
    return {
        "444": whole,
        "420": encode_tile(TILE, subsampling="420"),
        "rgb": encode_tile(TILE, rgb=True),
        "grey": imagecodecs.jpeg_encode(grey),
        "restarts": restarts.getvalue(),
        "progressive": progressive.getvalue(),
        "lossless": imagecodecs.ljpeg_encode(grey),
        "glass": flat_glass(),
        "padded": whole + bytes(9),
        "bytes behind": whole + b"slack",
        "filled": whole[:-2] + b"\xff\xff\xff\xd9",
    }


@pytest.mark.parametrize("kind", whole_streams())
def test_what_is_whole_passes(kind):
    require_whole(whole_streams()[kind])


def test_what_is_whole_with_shared_tables_passes():
    short, tables = abbreviate(encode_tile(TILE))
    require_whole(short, tables)


def test_zeros_are_glass_where_the_tables_say_so():
    glass = flat_glass()
    _, scan = split_stream(glass)
    assert bytes(64) in scan
    short, tables = abbreviate(glass)
    require_whole(short, tables)


def lose(stream, kind):
    at = len(stream) // 2
    gap = {"gap": bytes(64), "erased": b"\xff" * 64, "garbage": b"\xff\x3c" * 32}
    if kind in gap:
        return stream[:at] + gap[kind] + stream[at + 64 :]
    return stream[:at] + bytes(0 if kind == "cut" else len(stream) - at)


@pytest.mark.parametrize("kind", ["cut", "zeros", "gap", "erased", "garbage"])
@pytest.mark.parametrize("shared", [False, True])
def test_what_decoders_would_make_up_is_refused(kind, shared):
    stream, tables = encode_tile(TILE, level=95), None
    if shared:
        stream, tables = abbreviate(stream)
    reason = "zeros in its scan" if kind == "gap" else "ends early|in its scan"
    with pytest.raises(ValueError, match=reason):
        require_whole(lose(stream, kind), tables)


@pytest.mark.parametrize("kind", ["progressive", "lossless"])
def test_a_lost_end_is_seen_in_other_kinds_too(kind):
    with pytest.raises(ValueError, match="ends early"):
        require_whole(lose(whole_streams()[kind], "zeros"))


@pytest.mark.parametrize("kind", ["not a JPEG", "a length beyond", "no scan"])
def test_no_stream_at_all_is_refused(kind):
    with pytest.raises(ValueError, match="JPEG"):
        require_whole(damaged(kind))
