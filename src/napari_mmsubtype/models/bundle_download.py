"""Bundles from the web: what is downloaded, where it is kept, and when it is said."""

from __future__ import annotations

import hashlib
import http.client
import logging
import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit

from napari_mmsubtype.core.whole_file import whole_file
from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models.bundle_address import HUB_SCHEME, parse_hub_address
from napari_mmsubtype.models.bundle_files import sha256_file
from napari_mmsubtype.models.bundle_hub import download_from_hub
from napari_mmsubtype.models.bundle_zip import MAX_TOTAL_BYTES
from napari_mmsubtype.slides.cache_folder import FOLDER_VARIABLE, cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_TIMEOUT_S = 30.0
_STEP = 2**20
_DIGEST = re.compile(r"sha256=([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A downloaded bundle.

    Attributes
    ----------
    path : Path
        Folder or zip on this computer; nothing in it has been checked.
    revision : str
        The commit of a repository, or the SHA-256 of a zip.
    """

    path: Path
    revision: str


def fetch_bundle(
    address: str,
    *,
    folder: Path | None = None,
    tell: Callable[[str], object] | None = None,
) -> Fetched:
    """Download a bundle, or find it where an earlier download left it.

    Parameters
    ----------
    address : str
        ``hf://org/name[@revision]``, or ``http(s)://…``, a zip; ``#sha256=<digest>``
        at the end of the latter says what it must be.
    folder : Path, optional
        Where to put a zip, asked for anew; by default the cache, which is looked into
        first. Repositories are kept in the cache of Hugging Face.
    tell : callable, optional
        Receives one sentence before anything is downloaded; by default it is logged as
        a warning.

    Returns
    -------
    Fetched
        Where it is.

    Raises
    ------
    BundleError
        If it cannot be had: no network, no such place, no permission, too large.
    BundleIntegrityError
        If it is not what the digest says.
    """
    tell = tell or logger.warning
    if address.startswith(HUB_SCHEME):
        path = download_from_hub(parse_hub_address(address), tell)
        return Fetched(path, path.name)
    url, expected = _read_address(address)
    target = (folder or _cache()) / _file_name(url)
    if folder is None and target.is_file():
        digest = sha256_file(target)
        if expected in ("", digest):
            tell(f"using bundle {url} as downloaded before ({target})")
            return Fetched(target, digest)
    plain = url.startswith("http:") and not expected
    tell(f"downloading bundle {url}{' over an open connection' if plain else ''}")
    return Fetched(target, _download_to(target, url, expected))


def _read_address(address: str) -> tuple[str, str]:
    """Take the digest off an address."""
    url, _, fragment = address.partition("#")
    match = _DIGEST.fullmatch(fragment)
    if not urlsplit(url).hostname or (fragment and match is None):
        msg = (
            f"{address!r} is no address of a bundle; expected https://host/name.zip, "
            "and nothing behind it but #sha256= and 64 hexadecimal digits"
        )
        raise BundleError(msg)
    return url, match[1].lower() if match else ""


def _cache() -> Path:
    """Give the folder for downloads."""
    folder = cache_folder()
    if folder is None:
        msg = (
            "there is no folder to keep downloaded bundles in; set "
            f"{FOLDER_VARIABLE} to one that can be written to"
        )
        raise BundleError(msg)
    place = folder / "bundles"
    place.mkdir(exist_ok=True)
    return place


def _file_name(url: str) -> str:
    """Name a download after its address, the same for the same one."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(urlsplit(url).path).stem)[:40]
    return f"{stem}-{hashlib.sha256(url.encode()).hexdigest()[:16]}.zip"


def _download_to(target: Path, url: str, expected: str) -> str:
    """Download a file, which appears complete or not at all; give its digest."""
    with whole_file(target) as fresh:
        try:
            with fresh.open("xb") as stream:
                _copy(url, stream)
        except HTTPError as err:
            msg = f"{url} answers {err.code} {err.reason}; check the address"
            raise BundleError(msg) from err
        except (OSError, http.client.HTTPException, ValueError) as err:
            if isinstance(err, BundleError):
                raise
            reason = getattr(err, "reason", None) or err
            msg = (
                f"{url} cannot be downloaded ({reason}); check the address and the "
                "network, or download it elsewhere and give the file"
            )
            raise BundleError(msg) from err
        digest = sha256_file(fresh)
        if expected not in ("", digest):
            msg = (
                f"{url} is not the bundle expected: its SHA-256 is {digest}, not "
                f"{expected}; ask who gave you the address"
            )
            raise BundleIntegrityError(msg)
    return digest


def _copy(url: str, stream: IO[bytes]) -> None:
    """Write what an address gives, up to the size that a bundle may have."""
    request = urllib.request.Request(url, headers={"User-Agent": "napari-mmsubtype"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        listed = answer.headers.get("Content-Length")
        size = int(listed) if listed and listed.isdecimal() else None
        done = 0
        if (size or 0) <= MAX_TOTAL_BYTES:
            while block := answer.read(_STEP):
                done += len(block)
                if done > MAX_TOTAL_BYTES:
                    break
                stream.write(block)
        if max(done, size or 0) > MAX_TOTAL_BYTES:
            msg = (
                f"{url} gives {max(done, size or 0)} bytes or more; expected a bundle "
                f"of at most {MAX_TOTAL_BYTES}"
            )
            raise BundleError(msg)
        if size is not None and done != size:
            msg = f"the connection broke after {done} of {size} bytes"
            raise OSError(msg)
