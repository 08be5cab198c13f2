"""Read a TorchScript file, after looking at what is in it."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from napari_mmsubtype.errors import ConfigurationError

_MAX_BYTES = 8 * 2**30
_MAX_CODE_BYTES = 64 * 2**20
_MAX_ENTRIES = 100_000

# TorchScript knows operators that write or map files, or talk to other machines.
_REFUSED = re.compile(r"\btorch\.(from_file|save)\b|\brpc_\w+")
_FOREIGN = re.compile(r"\bops\.(?!aten\.|prim\.)(\w+)\.")


def is_torchscript(path: Path) -> bool:
    """Say whether a file is a TorchScript archive, without loading it.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    bool
        False also where it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return any(PurePosixPath(name).parts[1:2] == ("code",) for name in names)


def load_torchscript(path: Path) -> Any:
    """Load a TorchScript network.

    TorchScript is code in a language of its own that can call operators of torch and
    nothing else; no Python is run. What the archive holds is checked first.

    Parameters
    ----------
    path : Path
        As written by ``torch.jit.save``.

    Returns
    -------
    torch.jit.ScriptModule
        In evaluation mode, on the CPU.

    Raises
    ------
    ConfigurationError
        If the file is no TorchScript archive, holds paths out of it or more than a
        network would, or its code calls operators that touch files, other machines or
        libraries besides torch.
    """
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            # torch advises to write other formats; what is written must still be read.
            warnings.filterwarnings("ignore", r"`torch\.jit", FutureWarning)
            warnings.filterwarnings("ignore", r".*torch\.jit", DeprecationWarning)
            load: Any = torch.jit.load
            return load(str(path), map_location="cpu").eval()
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError, RuntimeError) as err:
        reason = str(err).strip().splitlines()[0] if str(err).strip() else "empty"
        msg = (
            f"TorchScript file {str(path)!r} cannot be read ({reason}); give a file "
            "written by torch.jit.save"
        )
        raise ConfigurationError(msg) from err


def _check_archive(path: Path) -> None:
    """Refuse an archive that holds more than a network."""
    if not zipfile.is_zipfile(path):
        found = "not a zip archive" if path.is_file() else "no such file"
        msg = (
            f"TorchScript file {str(path)!r} is {found}; give a file written by "
            "torch.jit.save"
        )
        raise ConfigurationError(msg)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [PurePosixPath(entry.filename) for entry in entries]
        code = [entry for entry in entries if entry.filename.endswith(".py")]
        problems = {
            "holds paths out of it": any(
                name.is_absolute() or ".." in name.parts or "\\" in str(name)
                for name in names
            ),
            "has more than one folder": len({name.parts[:1] for name in names}) > 1,
            "is far larger than a network": (
                len(entries) > _MAX_ENTRIES
                or sum(entry.file_size for entry in entries) > _MAX_BYTES
                or sum(entry.file_size for entry in code) > _MAX_CODE_BYTES
            ),
            "holds no TorchScript code (is it a state dict?)": not any(
                name.parts[1:2] == ("code",) for name in names
            ),
        }
        text = ""
        if not any(problems.values()):
            text = "\n".join(archive.read(entry).decode("utf-8") for entry in code)
    foreign = [*_REFUSED.finditer(text), *_FOREIGN.finditer(text)]
    faults = [problem for problem, holds in problems.items() if holds]
    if foreign:
        name = foreign[0].group().rstrip(".")
        faults.append(f"calls operators that a network does not need, such as {name}")
    if faults:
        msg = (
            f"TorchScript file {str(path)!r} was not loaded: it "
            f"{' and '.join(faults)}; get it again from where it is published"
        )
        raise ConfigurationError(msg)
