"""Open any slide with the first backend that can read it."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import MissingDependencyError, SlideOpenError
from napari_mmsubtype.slides.backend import BackendRefusal, SlideBackend
from napari_mmsubtype.slides.color import ColorWarning
from napari_mmsubtype.slides.dicom_folder import whole_slide_files
from napari_mmsubtype.slides.slide import Slide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_mmsubtype.slides.stain import StainNormalizer

SYNTHETIC_SCHEME = "synthetic:"
WEB_SCHEMES = ("http://", "https://")

BACKENDS = {
    "tifffile": "napari_mmsubtype.slides.tifffile_backend:TifffileBackend",
    "openslide": "napari_mmsubtype.slides.openslide_backend:OpenSlideBackend",
    "czi": "napari_mmsubtype.slides.czi_backend:CziBackend",
    "omezarr": "napari_mmsubtype.slides.omezarr_backend:OmeZarrBackend",
    "deepzoom": "napari_mmsubtype.slides.deepzoom_backend:DeepZoomBackend",
    "image": "napari_mmsubtype.slides.image_backend:ImageBackend",
}
"""Backends for files in the order in which they are tried; imported when needed."""

SYNTHETIC_BACKEND = "napari_mmsubtype.slides.synthetic_backend:SyntheticBackend"

SLIDE_SUFFIXES = frozenset(
    {
        ".svs",
        ".tif",
        ".tiff",
        ".btf",
        ".tf8",
        ".ndpi",
        ".scn",
        ".mrxs",
        ".bif",
        ".vms",
        ".vmu",
        ".svslide",
        ".dcm",
        ".czi",
        ".dzi",
        ".qptiff",
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
        ".bmp",
    }
)
"""Endings of files that some backend reads."""

FOLDER_MARKS = ("zarr.json", ".zattrs")
MAGIC = (
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"RIFF",
    b"ZISRAWFILE",
)


def open_slide(
    path: str | os.PathLike[str], *, mpp: float | None = None, icc: bool = False
) -> Slide:
    """Open a whole-slide image without decoding a pixel.

    Parameters
    ----------
    path : str or path-like
        Path of a file, an OME-Zarr folder or zip, a folder with one DICOM series, the
        ``http://`` or ``https://`` address of an OME-Zarr, or a ``synthetic:`` address.
    mpp : float or None, default: None
        Microns per pixel of level 0, where the file does not tell or is wrong.
    icc : bool, default: False
        Bring colors to sRGB by the ICC profile of the file, as viewers do; else pixels
        are as stored.

    Returns
    -------
    Slide
        The open slide; a context manager.

    Raises
    ------
    SlideOpenError
        If the path is missing, empty, unreadable or cut short, or no backend can read
        it; the message lists each backend and its reason.
    MissingDependencyError
        If a web address is given and the libraries of the ``remote`` extra are absent.
    ConfigurationError
        If ``mpp`` is not believable.

    Warns
    -----
    ColorWarning
        If the ICC profile is wanted but unusable; colors then are as stored.
    """
    slide = open_quietly(path, mpp=mpp, icc=icc)
    if slide.color_problem:
        warnings.warn(slide.color_problem, ColorWarning, stacklevel=2)
    return slide


def open_quietly(
    path: str | os.PathLike[str], *, mpp: float | None = None, icc: bool = False
) -> Slide:
    """Open a slide for a program that tells its user of problems in its own way.

    Parameters
    ----------
    path : str or path-like
        As for `open_slide`.
    mpp : float or None, default: None
        As for `open_slide`.
    icc : bool, default: False
        As for `open_slide`.

    Returns
    -------
    Slide
        As `open_slide` gives it; its ``color_problem`` is for the caller to show.

    Raises
    ------
    SlideOpenError
        As for `open_slide`.
    MissingDependencyError
        As for `open_slide`.
    ConfigurationError
        As for `open_slide`.
    """
    address = os.fspath(path)
    if address.startswith(SYNTHETIC_SCHEME):
        return _wrap(_load(SYNTHETIC_BACKEND)(address), address, mpp, icc)
    tried: list[tuple[str, str]] = []
    for name, target in _candidates(address).items():
        try:
            backend = _load(target)(address)
        except BackendRefusal as err:
            tried.append((name, str(err)))
        except (SlideOpenError, MissingDependencyError):
            raise
        except Exception as err:  # noqa: BLE001 - kept and reported below
            # A damaged file can fail inside a library in any way; the next backend may
            # still read it, and the reason is kept for the message.
            first = (str(err).strip().splitlines() or [""])[0][:160]
            reason = f"something unexpected in the file ({type(err).__name__}: {first})"
            tried.append((name, reason))
        else:
            return _wrap(backend, address, mpp, icc, tried)
    raise SlideOpenError(_explain_failure(address, tried))


def reopen_slide(
    path: str,
    backend: str,
    mpp: float | None,
    icc: bool = False,
    stain: StainNormalizer | None = None,
) -> Slide:
    """Open a slide again with the backend that read it before.

    Parameters
    ----------
    path : str
        Path or address.
    backend : str
        Name of the backend.
    mpp : float or None
        Microns per pixel given by the user.
    icc : bool, default: False
        Whether to apply the ICC profile.
    stain : StainNormalizer or None, default: None
        Change of stain to apply.

    Returns
    -------
    Slide
        The open slide.

    Raises
    ------
    SlideOpenError
        If the file can no longer be opened.
    """
    if backend not in BACKENDS:
        return _wrap(_load(SYNTHETIC_BACKEND)(path), path, mpp, icc, stain=stain)
    _candidates(path)
    try:
        return _wrap(_load(BACKENDS[backend])(path), path, mpp, icc, stain=stain)
    except BackendRefusal as err:
        raise SlideOpenError(_explain_failure(path, [(backend, str(err))])) from err


def can_open(path: object) -> bool:
    """Say from name and first bytes whether a path may be a slide.

    Parameters
    ----------
    path : object
        Anything; only a string or path-like can be a slide.

    Returns
    -------
    bool
        Cheap and without an error; `open_slide` may still refuse.
    """
    if not isinstance(path, str | os.PathLike):
        return False
    address = os.fspath(path)
    if not isinstance(address, str):
        return False
    if address.startswith(SYNTHETIC_SCHEME):
        return True
    if address.startswith(WEB_SCHEMES):
        return address.rstrip("/").endswith(".zarr")
    try:
        file = Path(address)
        if file.is_dir():
            marked = any(_mentions_image(file / name) for name in FOLDER_MARKS)
            return marked or _holds_dicom(file)
        if not file.is_file():
            return False
        suffixes = [suffix.lower() for suffix in file.suffixes]
        if suffixes[-1:] == [".zip"]:
            return ".zarr" in suffixes
        if suffixes[-1:] == [".ozx"] or SLIDE_SUFFIXES & set(suffixes[-1:]):
            return True
        with file.open("rb") as opened:
            head = opened.read(132)
        return head.startswith(MAGIC) or head[128:] == b"DICM"
    except (OSError, ValueError):
        return False


def _mentions_image(document: Path) -> bool:
    """Say whether a metadata document describes an OME-Zarr image."""
    if not document.is_file():
        return False
    text = document.read_bytes()
    return b'"multiscales"' in text or b'"bioformats2raw.layout"' in text


def _holds_dicom(folder: Path) -> bool:
    """Say whether a folder holds a DICOM whole-slide image."""
    return next(whole_slide_files(folder), None) is not None


def _candidates(address: str) -> dict[str, str]:
    """Give the backends that may read an address; refuse a path that is no file."""
    if address.startswith(WEB_SCHEMES):
        # Only a store of small chunks can be read over the web without a copy.
        return {"omezarr": BACKENDS["omezarr"]}
    _check_path(Path(address))
    return BACKENDS


def _load(target: str) -> Callable[[str], SlideBackend]:
    """Import a backend class."""
    module, name = target.split(":")
    backend: Callable[[str], SlideBackend] = getattr(import_module(module), name)
    return backend


def _wrap(
    backend: SlideBackend,
    path: str,
    mpp: float | None,
    icc: bool,
    tried: list[tuple[str, str]] | None = None,
    stain: StainNormalizer | None = None,
) -> Slide:
    """Make a slide of an open backend, which is closed if that fails."""
    try:
        return Slide(
            backend,
            path=path,
            mpp=mpp,
            icc=icc,
            stain=stain,
            tried=tried or (),
            opener=reopen_slide,
        )
    except BaseException:
        backend.close()
        raise


def _check_path(path: Path) -> None:
    """Refuse what is no readable file or folder, in words of its own."""
    for reason in _find_faults(path):
        raise SlideOpenError(reason)


def _find_faults(path: Path) -> Iterator[str]:
    """Give what is wrong with a path before any backend looks at it."""
    shown = repr(str(path))
    try:
        if not path.exists():
            yield f"no file or folder at {shown}; check the path"
        elif path.is_dir():
            if not os.access(path, os.R_OK | os.X_OK):
                yield f"no permission to read the folder {shown}; {_PERMISSION}"
            elif not (
                any(mark.is_file() for mark in _folder_marks(path))
                or _holds_dicom(path)
            ):
                yield (
                    f"{shown} is a folder that is no slide: OME-Zarr metadata "
                    "(zarr.json or .zattrs) or a DICOM whole-slide image (.dcm) "
                    "expected; give the path of a slide file"
                )
        elif not path.is_file():
            yield f"{shown} is neither a file nor a folder; give a slide file"
        else:
            with path.open("rb") as file:
                if not file.read(1):
                    yield (
                        f"{shown} is empty (0 bytes); copy or download the slide again"
                    )
    except PermissionError:
        yield f"no permission to read {shown}; {_PERMISSION}"
    except OSError as err:
        yield f"{shown} cannot be read: {err}; check the disk or the connection"


_PERMISSION = "ask its owner for read access, or copy it to a folder of yours"


def _folder_marks(path: Path) -> Iterator[Path]:
    """Give the documents of which an OME-Zarr folder has one."""
    return (path / name for name in (*FOLDER_MARKS, ".zgroup"))


def _explain_failure(path: str, tried: list[tuple[str, str]]) -> str:
    """List every backend and its reason in one message."""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in tried)
    return (
        f"{path!r} cannot be opened as a slide ({reasons}). A whole-slide image "
        "(SVS, TIFF, OME-TIFF, NDPI, MRXS, SCN, BIF, CZI, DICOM, OME-Zarr, DeepZoom) "
        "or a PNG or JPEG image is expected; check that the file is whole and of one "
        "of these kinds"
    )
