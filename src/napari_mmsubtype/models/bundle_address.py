"""How a bundle is named: shipped, of the library, a path, or an address of the web."""

from __future__ import annotations

import filecmp
import os
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_mmsubtype.errors import BundleError

DEMO = "demo"

FOLDER_VARIABLE = "MMSUBTYPE_BUNDLE_DIR"
"""Environment variable with the folder to use as library instead of the user's."""

HUB_SCHEME = "hf://"
_WEB_SCHEMES = ("http://", "https://")

# Windows opens a device under these names, in any folder and with any ending.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# https://huggingface.co/docs/hub: an organisation or user, and one repository of it.
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_HUB = re.compile(
    rf"hf://(?P<repository>{_PART}/{_PART})(?:@(?P<revision>[A-Za-z0-9._/-]{{1,100}}))?"
)


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A repository of Hugging Face, and which state of it.

    Attributes
    ----------
    repository : str
        Organisation or user, a slash, and the name.
    revision : str or None
        Branch, tag or commit; None is the repository's main branch.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        tail = f"@{self.revision}" if self.revision else ""
        return f"{HUB_SCHEME}{self.repository}{tail}"


def parse_hub_address(text: str) -> HubAddress:
    """Read an address of Hugging Face.

    Parameters
    ----------
    text : str
        ``hf://org/name``, or ``hf://org/name@revision``.

    Returns
    -------
    HubAddress
        Its parts.

    Raises
    ------
    BundleError
        If it is none.
    """
    match = _HUB.fullmatch(text)
    if match is None or ".." in text:
        msg = (
            f"{text!r} is no address of a bundle on Hugging Face; expected "
            "hf://organisation/name, or hf://organisation/name@revision"
        )
        raise BundleError(msg)
    return HubAddress(match["repository"], match["revision"])


def is_remote(source: str | Path) -> bool:
    """Tell whether a bundle has to be downloaded.

    Parameters
    ----------
    source : str or Path
        As `find_local` takes it, or an address.

    Returns
    -------
    bool
        True for ``hf://``, ``http://`` and ``https://``.
    """
    return isinstance(source, str) and source.startswith((HUB_SCHEME, *_WEB_SCHEMES))


def is_device(name: str) -> bool:
    """Tell whether Windows takes a name for a device and not for a file.

    Parameters
    ----------
    name : str
        One part of a path.

    Returns
    -------
    bool
        True for ``nul``, ``COM1.txt`` and the like.
    """
    return _DEVICE.fullmatch(name.lower().partition(".")[0].rstrip()) is not None


def library_name_problem(name: str) -> str:
    """Say why a bundle cannot be called so in the library.

    Parameters
    ----------
    name : str
        As given by the user or by the bundle.

    Returns
    -------
    str
        What is wrong, or empty.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        return (
            f"{name!r} cannot name a bundle of the library: use up to 64 letters, "
            "digits, dots, dashes and underscores, a letter or digit first"
        )
    if is_device(name):
        return f"{name!r} names a device on Windows: choose another name"
    return ""


def library_folder() -> Path:
    """Give the folder in which imported bundles are kept.

    Returns
    -------
    Path
        That of `FOLDER_VARIABLE`, else ``bundles`` in the user's data folder; it need
        not exist.
    """
    asked = os.environ.get(FOLDER_VARIABLE, "").strip()
    if asked:
        return Path(asked).expanduser().absolute()
    return platformdirs.user_data_path("napari-mmsubtype") / "bundles"


def library_places() -> list[tuple[str, Path]]:
    """List where bundles of the library should be, without looking into them.

    Returns
    -------
    list of (str, Path)
        Name, and folder or zip, sorted; a folder hides a zip of its name, which is
        then listed under its full name.

    Raises
    ------
    BundleError
        If the folder of the library cannot be read.
    """
    folder = library_folder()
    try:
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        folders = [path for path in found if path.is_dir()]
        zips = [p for p in found if p.suffix.lower() == ".zip" and p.is_file()]
    except OSError as err:
        msg = f"the library of bundles {str(folder)!r} cannot be read ({err})"
        raise BundleError(msg) from err
    hidden = {path.name for path in folders}
    places = [(path.name, path) for path in folders]
    places += [(p.name if p.stem in hidden else p.stem, p) for p in zips]
    return sorted(place for place in places if not place[0].startswith("."))


def find_local(source: str | Path) -> Path:
    """Find a bundle of this computer by name or path; the shipped one is not meant.

    Parameters
    ----------
    source : str or Path
        The name of a bundle of the library, or the path of a folder or zip. A bare
        name is looked up in the library first; a `Path` never is.

    Returns
    -------
    Path
        Folder or zip; it need not exist.

    Raises
    ------
    BundleError
        If a bare name means one bundle in the library and another in the current
        folder.
    """
    path = Path(source).expanduser()
    if not _is_bare(source):
        return path
    kept = _in_library(str(source))
    if kept is None:
        return path
    if path.absolute() != kept and _is_another(path, kept):
        msg = (
            f"{str(source)!r} is a bundle of the library and also here; give "
            f"'./{path.name}' for the one here, or {str(kept)!r}"
        )
        raise BundleError(msg)
    return kept


def located(source: str) -> str:
    """Make the name of a bundle independent of the current folder.

    Parameters
    ----------
    source : str
        ``"demo"``, a name of the library, a path, or an address.

    Returns
    -------
    str
        Names and addresses as they are, paths in full.

    Raises
    ------
    BundleError
        As `find_local`.
    """
    if source == DEMO or is_remote(source):
        return source
    path = find_local(source)
    return source if _is_bare(source) and _kept(path) else str(path.absolute())


def _is_bare(source: str | Path) -> bool:
    """Tell a name from a path."""
    return isinstance(source, str) and not library_name_problem(source)


def _is_another(path: Path, kept: Path) -> bool:
    """Tell whether a path holds a bundle, and not the one of the library."""
    here, there = path / "bundle.json", kept / "bundle.json"
    if not here.is_file():
        return path.is_file()
    return not (there.is_file() and filecmp.cmp(here, there, shallow=False))


def _in_library(name: str) -> Path | None:
    """Find the folder or zip of a name."""
    folder = library_folder()
    for path in (folder / name, folder / f"{name}.zip"):
        if path.exists():
            return path
    return None


def _kept(path: Path) -> bool:
    return path.parent == library_folder()
