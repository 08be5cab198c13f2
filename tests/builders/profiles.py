"""ICC profiles whose colors are known in closed form, written byte by byte."""

import struct

import numpy as np
from PIL import ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

# sRGB's primaries adapted to the white of profiles (D50), columns of the matrix.
SRGB_COLUMNS = (
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.06061, 0.71410),
)
D50 = (0.96420, 1.00000, 0.82491)


def encode_srgb(linear):
    """Linear light, 0 to 1, to sRGB."""
    low = 12.92 * linear
    linear = np.maximum(linear, 0)
    return np.where(linear <= 0.0031308, low, 1.055 * linear ** (1 / 2.4) - 0.055)


def fixed(values):
    """Numbers as s15Fixed16."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def text_tag(words):
    """One text in English, as of version 4."""
    data = words.encode("utf-16-be")
    head = struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(data), 28)
    return head + data


def xyz_tag(values):
    """One color in XYZ."""
    return b"XYZ \0\0\0\0" + fixed(values)


def gamma_tag(gamma):
    """A power law."""
    return b"para" + struct.pack(">IHH", 0, 0, 0) + fixed([gamma])


def write_profile(tags, *, space=b"RGB ", kind=b"mntr", pcs=b"XYZ ", maker=b"ACME"):
    """Put tags behind a header."""
    place = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        data += b"\0" * (-len(data) % 4)
        table += struct.pack(">4sII", name, place + len(body), len(data))
        body += data
    head = bytearray(128)
    struct.pack_into(">I4s", head, 0, 128 + len(table) + len(body), b"lcms")
    head[8:12] = b"\x04\x40\x00\x00"
    head[12:24] = kind + space + pcs
    struct.pack_into(">6H", head, 24, 2020, 1, 1, 0, 0, 0)
    head[36:40] = b"acsp"
    head[48:52] = maker
    head[68:80] = fixed(D50)
    return bytes(head) + table + body


def matrix_profile(columns=SRGB_COLUMNS, gamma=2.2, words="Scanner of the tests"):
    """Primaries and one power law; columns are those of red, green and blue."""
    tags = {b"desc": text_tag(words), b"wtpt": xyz_tag(D50)}
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True):
        tags[name] = xyz_tag(column)
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        tags[name] = gamma_tag(gamma)
    return write_profile(tags)


def gray_profile(gamma=2.2):
    """A device that knows gray only."""
    tags = {
        b"desc": text_tag("Gray of the tests"),
        b"wtpt": xyz_tag(D50),
        b"kTRC": gamma_tag(gamma),
    }
    return write_profile(tags, space=b"GRAY")


def lab_of(xyz):
    """CIELAB of XYZ under D50."""
    ratio = np.asarray(xyz) / D50
    f = np.where(
        ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29
    )
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def table_profile(curve, columns=SRGB_COLUMNS, *, nodes=17, space=b"RGB "):
    """A scanner that is told by a table of colors alone (A2B0, no matrix).

    ``curve`` takes device values, 0 to 1, shape (n, inputs), and gives linear sRGB
    light, shape (n, 3); the table holds its CIELAB at ``nodes`` per axis.
    """
    inputs = 3 if space == b"RGB " else 4
    axis = np.linspace(0, 1, nodes)
    grid = np.stack(np.meshgrid(*[axis] * inputs, indexing="ij"), -1)
    light = curve(grid.reshape(-1, inputs))
    lab = lab_of(light @ np.asarray(columns))
    # mft2 keeps the encoding of version 2: L* 100 is 0xFF00, a* 0 is 0x8000.
    coded = np.stack(
        [lab[:, 0] * 652.8, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], -1
    )
    coded = np.rint(coded).clip(0, 65535).astype(">u2")
    straight = np.array([0, 65535], ">u2").tobytes()
    table = struct.pack(">4sIBBBx", b"mft2", 0, inputs, 3, nodes)
    table += fixed(np.eye(3).ravel()) + struct.pack(">HH", 2, 2)
    table += straight * inputs + coded.tobytes() + straight * 3
    tags = {
        b"desc": text_tag("Table of the tests"),
        b"wtpt": xyz_tag(D50),
        b"A2B0": table,
    }
    return write_profile(tags, space=space, kind=b"scnr", pcs=b"Lab ")


def gamma_profile(gamma):
    """The sRGB profile of littlecms, its tone curves changed to a power law."""
    count = struct.unpack(">I", SRGB[128:132])[0]
    tags = [struct.unpack(">4sII", SRGB[132 + 12 * i :][:12]) for i in range(count)]
    data = bytearray(SRGB)
    for name, start, _ in tags:
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            data[start : start + 16] = gamma_tag(gamma)
    return bytes(data)
