"""How a bundle is named: shipped, of the library, a path, or an address of the web."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_names import library_name_problem

DEMO = "demo"

FOLDER_VARIABLE = "MMSUBTYPE_BUNDLE_DIR"
"""Environment variable with the folder to use as library instead of the user's."""

HUB_SCHEME = "hf://"
_WEB_SCHEMES = ("http://", "https://")

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
        If a bare name is both in the library and a bundle of the current folder.
    """
    path = Path(source).expanduser()
    if not _is_bare(source):
        return path
    kept = _in_library(str(source))
    if kept is None:
        return path
    if path.exists() and path.absolute() != kept:
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


def _in_library(name: str) -> Path | None:
    """Find the folder or zip of a name."""
    folder = library_folder()
    for path in (folder / name, folder / f"{name}.zip"):
        if path.exists():
            return path
    return None


def _kept(path: Path) -> bool:
    return path.parent == library_folder()
