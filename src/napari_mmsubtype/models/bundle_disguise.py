"""Recognize files that can run code or hide others, by name and by content."""

from __future__ import annotations

import pickletools
import warnings
from typing import IO

NO_PICKLE = (
    "a bundle holds only JSON, Parquet, safetensors, Markdown and reference.npz; ask "
    "its author for one without it"
)
"""What to do about a file that is refused, to end a sentence."""

PICKLE_SUFFIXES = frozenset(
    {
        ".bin",
        ".ckpt",
        ".dill",
        ".joblib",
        ".npy",
        ".p",
        ".pck",
        ".pickle",
        ".pkl",
        ".pt",
        ".pth",
        ".sav",
    }
)

# First bytes of what unpacks to other files or runs.
_MAGIC = {
    b"PK\x03\x04": "an archive",
    b"PK\x05\x06": "an archive",
    b"\x1f\x8b": "an archive",
    b"BZh": "an archive",
    b"\xfd7zXZ\0": "an archive",
    b"7z\xbc\xaf\x27\x1c": "an archive",
    b"Rar!": "an archive",
    b"\x28\xb5\x2f\xfd": "an archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\xcf\xfa\xed\xfe": "a program",
    b"\xca\xfe\xba\xbe": "a program",
    b"#!": "a script",
    b"\x93NUMPY": "an array outside reference.npz",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
}
_TAR = b"ustar"
_TAR_AT = 257

# Instructions of a pickle that call or look up something by name.
_RUNS = frozenset(
    {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD"}
)
_LOOKED_AT = 2**20

# Whoever reads these refuses anything else by itself, see `bundle_content`.
_CHECKED_WHOLE = frozenset({".json", ".npz", ".parquet", ".safetensors"})


def disguise(name: str, stream: IO[bytes]) -> str:
    """Say why a file is refused whatever it claims to be.

    Parameters
    ----------
    name : str
        Of the file.
    stream : binary file
        At its start; can seek, and is left at its start.

    Returns
    -------
    str
        What it is, to follow its name in a sentence; empty where nothing was found.
    """
    lower = name.lower()
    suffix = f".{lower.rpartition('.')[2]}"
    if suffix in PICKLE_SUFFIXES:
        return f"ends in {suffix!r} (a kind of file that can run code)"
    head = stream.read(_TAR_AT + len(_TAR))
    stream.seek(0)
    if suffix == ".safetensors":
        # The header's length comes first and may look like a pickle's first bytes.
        return "" if head[8:9] == b"{" else "is not a safetensors file"
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "is a pickle by its content"
    if suffix == ".npz" and head[:2] == b"PK":
        return ""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return f"is {kind} by its content"
    if head[_TAR_AT:] == _TAR:
        return "is an archive by its content"
    if suffix in _CHECKED_WHOLE:
        return ""
    stream.seek(0)
    acts = _acts_as_pickle(stream.read(_LOOKED_AT))
    stream.seek(0)
    return "is a pickle by its content" if acts else ""


def _acts_as_pickle(data: bytes) -> bool:
    """Tell whether text reads as a pickle that runs something: the oldest have no mark.

    Nothing is unpickled: its instructions are only listed.
    """
    acts = False
    with warnings.catch_warnings():
        # Escapes in plain text are no concern of who reads the model.
        warnings.simplefilter("ignore")
        try:
            for instruction, _, _ in pickletools.genops(data):
                acts |= instruction.name in _RUNS
        except (ValueError, OverflowError, MemoryError):
            return False
    return acts
