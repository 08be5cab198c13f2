"""What the manifest of a bundle says at a glance, for lists of bundles."""

from __future__ import annotations

import hashlib
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models.bundle_content import MAX_TEXT_BYTES, parse_json
from napari_mmsubtype.models.bundle_manifest import checked_manifest
from napari_mmsubtype.models.bundle_schema import MANIFEST
from napari_mmsubtype.models.bundle_zip import checked_members, top_folder
from napari_mmsubtype.models.training_facts import TrainingFacts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSummary:
    """What a list of bundles shows of one; its files were counted, not read.

    Attributes
    ----------
    name, version, digest : str
        Of the bundle.
    schema : int
        Of its manifest.
    classes : tuple of str
        In the order of the logits.
    encoder, fusion : str
        Names of the networks.
    modalities : tuple of str
        The image and the tables that the model takes.
    license : str
        Of its weights, or ``not stated``.
    synthetic : bool
        Whether it knows only made-up patients.
    size_bytes : int
        Of its files together.
    """

    name: str
    version: str
    digest: str
    schema: int
    classes: tuple[str, ...]
    encoder: str
    fusion: str
    modalities: tuple[str, ...]
    license: str
    synthetic: bool
    size_bytes: int


def summarize_bundle(path: Path) -> BundleSummary:
    """Read the manifest of a bundle, and see that its files are there.

    Parameters
    ----------
    path : Path
        Folder or zip.

    Returns
    -------
    BundleSummary
        Unverified: no hash was computed and no other file was read.

    Raises
    ------
    BundleError
        If it is no bundle, its schema is unknown or a file is missing.
    """
    with readable(path):
        data, sizes = _peek_zip(path) if path.is_file() else _peek_folder(path)
        content = parse_json(data, f"{MANIFEST} of bundle {str(path)!r}")
        manifest = checked_manifest(content, path)
        absent = [name for name in manifest["files"] if name not in sizes]
        if absent:
            msg = f"it lacks {absent[0]!r}, which its {MANIFEST} lists"
            raise BundleIntegrityError(msg)
        facts = TrainingFacts.from_info(manifest["info"])
        return BundleSummary(
            name=str(manifest["name"]),
            version=str(manifest["version"]),
            digest=hashlib.sha256(data).hexdigest(),
            schema=manifest["schema"],
            classes=tuple(str(entry["name"]) for entry in manifest["classes"]),
            encoder=str(manifest["encoder"]["name"]),
            fusion=str(manifest["fusion"]["name"]),
            modalities=("image", *map(str, manifest["modalities"])),
            license=facts.license or "not stated",
            synthetic=facts.synthetic,
            size_bytes=sum(sizes[name] for name in (MANIFEST, *manifest["files"])),
        )


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what a manifest lacks into one sentence.

    Parameters
    ----------
    path : Path
        Of the bundle, for the message.

    Raises
    ------
    BundleError
        If what is read within cannot be, or does not describe a model.
    """
    try:
        yield
    except BundleError:
        raise
    except OSError as err:
        msg = f"bundle {str(path)!r} cannot be read ({err}); check its permissions"
        raise BundleError(msg) from err
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        reason = f"no {err}" if isinstance(err, KeyError) else str(err)
        msg = (
            f"{MANIFEST} of bundle {str(path)!r} does not describe a model ({reason}); "
            "write the bundle again with save_bundle"
        )
        raise BundleError(msg) from err


def _peek_folder(path: Path) -> tuple[bytes, dict[str, int]]:
    """Read the manifest of a folder, and the sizes of its files by name."""
    if not (path / MANIFEST).is_file():
        msg = f"{str(path)!r} is not a bundle: it has no {MANIFEST}"
        raise BundleError(msg)
    with (path / MANIFEST).open("rb") as stream:
        data = stream.read(MAX_TEXT_BYTES)
    files = (file for file in path.rglob("*") if file.is_file())
    return data, {f.relative_to(path).as_posix(): f.stat().st_size for f in files}


def _peek_zip(path: Path) -> tuple[bytes, dict[str, int]]:
    """Read the manifest of a zip, and the sizes of its files by name."""
    label = f"zip {str(path)!r}"
    try:
        with zipfile.ZipFile(path) as archive:
            members = checked_members(archive, path.stat().st_size, label)
            top = top_folder(members)
            sizes = {m.filename.removeprefix(top): m.file_size for m in members}
            if MANIFEST not in sizes:
                msg = f"{label} is not a bundle: it has no {MANIFEST}"
                raise BundleError(msg)
            with archive.open(f"{top}{MANIFEST}") as stream:
                return stream.read(MAX_TEXT_BYTES), sizes
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as err:
        msg = f"{label} is damaged or encrypted ({err}); copy or download it again"
        raise BundleIntegrityError(msg) from err
