"""The JPEG streams of tiles: whether one is whole, and complete ones out of short ones.

TIFF tiles hold abbreviated streams, whose tables stand in a tag of the page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
APP0, APP14, APP15, COMMENT = 0xE0, 0xEE, 0xEF, 0xFE
BASELINE, EXTENDED, HUFFMAN, QUANTIZATION, SCAN = 0xC0, 0xC1, 0xC4, 0xDB, 0xDA
OTHER_FRAMES = frozenset(range(0xC1, 0xD0)) - {HUFFMAN, 0xC8, 0xCC}
"""Frames of extended, progressive, lossless and arithmetic JPEG."""

_MARKER_IN_SCAN = re.compile(rb"\xff(?!\x00)[^\xd0-\xd7]")
"""Neither a stuffed zero nor a restart: the end, in a stream that is whole."""

_GAP = bytes(64)
"""Zeros that no coded picture holds, unless blocks without detail are all zeros."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker segment of a stream.

    Attributes
    ----------
    marker : int
        Its second byte, such as ``0xC0``.
    body : bytes
        What follows the two bytes of its length.
    """

    marker: int
    body: bytes

    def pack(self) -> bytes:
        """Give the segment as it stands in a stream.

        Returns
        -------
        bytes
            Marker, length and body.
        """
        length = (len(self.body) + 2).to_bytes(2, "big")
        return bytes((0xFF, self.marker)) + length + self.body


def require_whole(data: bytes, tables: bytes | None = None) -> None:
    """Refuse a stream that has lost its end or a piece.

    Decoders only warn of that, and make up the pixels that are missing.

    Parameters
    ----------
    data : bytes
        The JPEG of a tile, of any kind.
    tables : bytes or None, default: None
        The JPEGTables tag of its page.

    Raises
    ------
    ValueError
        If it is damaged as far as its markers and runs of zeros tell.
    """
    segments, start = _head(data)
    if not start:
        msg = "the JPEG has no scan"
        raise ValueError(msg)
    frames = [s.body[5:6] for s in segments if s.marker in (BASELINE, EXTENDED)]
    if frames != [segments[-1].body[:1]]:
        # Several scans, with segments between them, or a stream of another kind.
        if data.rfind(EOI) < start:
            msg = "the JPEG ends early"
            raise ValueError(msg)
        return
    # Sound writers may leave bytes behind the end, which no decoder looks at.
    end = _find_end(data, start)
    if data.find(_GAP, start, end) >= 0 and not _may_be_zeros(segments, tables):
        msg = "the JPEG has a gap of zeros in its scan"
        raise ValueError(msg)


def complete_stream(
    data: bytes,
    tables: bytes | None,
    shape: tuple[int, int],
    *,
    is_rgb: bool | None = None,
) -> bytes:
    """Make a JPEG stream that any decoder turns into the colors of the file.

    Tables that all tiles share are put in, and an Adobe marker (APP14) tells whether
    the three components are RGB already; all other application markers go, of which a
    JFIF marker would speak against it.

    Parameters
    ----------
    data : bytes
        The JPEG of a tile, with tables of its own or without.
    tables : bytes or None
        The JPEGTables tag of its page.
    shape : tuple of int
        Height and width of a tile.
    is_rgb : bool or None, default: None
        What the container says of the components; None where the stream itself says
        it, which is read as libjpeg does.

    Returns
    -------
    bytes
        Baseline JPEG with three components of 8 bits. The entropy-coded bytes are
        those of ``data``.

    Raises
    ------
    ValueError
        If it is damaged as far as its markers tell, of another kind or of another size.
    """
    segments, scan = _split(data)
    shared = _split(tables)[0] if tables else []
    frame = _find_frame(segments, shape)
    if is_rgb is None:
        is_rgb = _says_rgb(segments, frame)
    # Version 100, no flags, and the transform: 0 for RGB, 1 for YCbCr.
    adobe = Segment(APP14, b"Adobe\0\x64\0\0\0\0" + (b"\0" if is_rgb else b"\1"))
    own = [s for s in segments if not _is_comment(s.marker)]
    kept = [s for s in shared if s.marker in (HUFFMAN, QUANTIZATION)] + own
    for marker, name in ((HUFFMAN, "Huffman"), (QUANTIZATION, "quantization")):
        if not any(segment.marker == marker for segment in kept):
            msg = f"the JPEG has no {name} table"
            raise ValueError(msg)
    return b"".join([SOI, *(segment.pack() for segment in (adobe, *kept)), scan])


def _split(data: bytes) -> tuple[list[Segment], bytes]:
    """Give the segments up to the scan, and its entropy-coded bytes up to the end."""
    segments, start = _head(data)
    if not start:
        return segments, b""
    if segments[-1].body[:1] != b"\3":
        msg = "the JPEG has several scans; one of three components expected"
        raise ValueError(msg)
    return segments, _cut_scan(data, start)


def _head(data: bytes) -> tuple[list[Segment], int]:
    """Give the segments up to the scan, and where it begins, 0 where there is none."""
    if data[:2] != SOI:
        msg = f"a JPEG begins with {SOI!r}, found {data[:2]!r}"
        raise ValueError(msg)
    at, segments = 2, []
    while (marker := data[at : at + 2]) not in (EOI, b""):
        if marker == b"\xff\xff":
            # A marker may be preceded by any number of bytes 0xFF.
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if marker[0] != 0xFF or length < 2 or end > len(data):
            msg = f"no marker segment at byte {at} of {len(data)} of the JPEG"
            raise ValueError(msg)
        segments.append(Segment(marker[1], data[at + 4 : end]))
        if marker[1] == SCAN:
            return segments, end
        at = end
    return segments, 0


def _cut_scan(data: bytes, start: int) -> bytes:
    """Give entropy-coded bytes and the end marker."""
    end = _find_end(data, start)
    if data[end:].strip(b"\0"):
        msg = f"the JPEG ends {len(data) - end} bytes before its tile"
        raise ValueError(msg)
    return data[start:end]


def _find_end(data: bytes, start: int) -> int:
    """Give where entropy-coded bytes end; refuse any other marker in them.

    What a decoder makes of such damage differs from one to the next.
    """
    found = _MARKER_IN_SCAN.search(data, start)
    if found is None:
        msg = "the JPEG ends early"
        raise ValueError(msg)
    at = found.start()
    # A marker may be preceded by any number of bytes 0xFF.
    while data[at : at + 2] == b"\xff\xff":
        at += 1
    if data[at : at + 2] != EOI:
        msg = f"the JPEG has {data[at : at + 2]!r} in its scan"
        raise ValueError(msg)
    return at + 2


def _may_be_zeros(segments: list[Segment], tables: bytes | None) -> bool:
    """Say whether zeros are the code of blocks without detail, as plain glass has.

    Zeros are the code of the first symbol of a table. Where that is another one than
    the end of a block, a run of zeros is detail that no picture has.
    """
    first: dict[int, int] = {}
    for segment in (*(_head(tables)[0] if tables else ()), *segments):
        body = segment.body if segment.marker == HUFFMAN else b""
        while len(body) > 17:
            first[body[0]] = body[17]
            body = body[17 + sum(body[1:17]) :]
    scan = segments[-1].body
    used = {0x10 | parts & 0x0F for parts in scan[2 : 1 + 2 * scan[0] : 2]}
    return not any(first.get(table) for table in used)


def _find_frame(segments: list[Segment], shape: tuple[int, int]) -> Segment:
    """Give the frame header of a baseline stream of the right size."""
    if not segments or segments[-1].marker != SCAN:
        msg = "the JPEG has no scan"
        raise ValueError(msg)
    frames = [s for s in segments if s.marker == BASELINE or s.marker in OTHER_FRAMES]
    if [frame.marker for frame in frames] != [BASELINE]:
        kinds = ", ".join(f"0x{frame.marker:X}" for frame in frames) or "none"
        msg = f"one baseline JPEG frame (0xC0) is expected, found {kinds}"
        raise ValueError(msg)
    body = frames[0].body
    size = (int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big"))
    if body[:1] != b"\x08" or body[5:6] != b"\3" or size != shape or len(body) != 15:
        msg = (
            f"the JPEG is of {size[0]} x {size[1]} px in {body[5:6].hex() or 'no'} "
            f"components; {shape[0]} x {shape[1]} px in 3 of 8 bits are expected"
        )
        raise ValueError(msg)
    return frames[0]


def _says_rgb(segments: list[Segment], frame: Segment) -> bool:
    """Tell the colors as libjpeg does where nobody tells it."""
    if any(s.marker == APP0 and s.body[:5] == b"JFIF\0" for s in segments):
        return False
    for segment in segments:
        if segment.marker == APP14 and segment.body[:5] == b"Adobe":
            return segment.body[11:12] == b"\0"
    return frame.body[6:15:3] == b"RGB"


def _is_comment(marker: int) -> bool:
    """Tell segments that do not take part in decoding."""
    return APP0 <= marker <= APP15 or marker == COMMENT


__all__ = ["Segment", "complete_stream", "require_whole"]
