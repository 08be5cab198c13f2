"""The manifest of a bundle, and what needs no network: the features of its tables."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.errors import (
    BundleError,
    BundleIntegrityError,
    ConfigurationError,
)
from napari_mmsubtype.models.bundle_files import opened, verify_hashes
from napari_mmsubtype.models.bundle_migration import MIGRATIONS, migrate
from napari_mmsubtype.models.bundle_schema import (
    CALIBRATION,
    FEATURES,
    MANIFEST,
    REQUIRED_FILES,
    SCHEMA_VERSION,
    modality_files,
)
from napari_mmsubtype.omics.spec_files import build_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_mmsubtype.omics.modality_spec import ModalitySpec

DEMO = "demo"


def load_features(source: str | Path) -> tuple[str, dict[Modality, ModalitySpec]]:
    """Load the features of a model without its networks, hence without PyTorch.

    Parameters
    ----------
    source : str or Path
        ``"demo"`` for the one that comes with the package, or a folder or zip.

    Returns
    -------
    name : str
        Of the bundle.
    modalities : dict of Modality to ModalitySpec
        As `bundle.load_bundle` has them.

    Raises
    ------
    BundleError
        If there is no bundle, its schema is unknown or its features do not fit.
    BundleIntegrityError
        If a file was changed, is missing or cannot be read.
    """
    path = find_bundle(source)
    try:
        with opened(path) as folder:
            manifest, _ = read_description(folder, path)
            return str(manifest["name"]), read_modalities(folder, manifest)
    except OSError as err:
        msg = f"bundle {str(path)!r} cannot be read ({err}); check its permissions"
        raise BundleError(msg) from err
    except BundleError:
        raise
    except (ConfigurationError, KeyError, TypeError, ValueError) as err:
        reason = f"no {err}" if isinstance(err, KeyError) else str(err)
        msg = (
            f"{MANIFEST} of bundle {str(path)!r} does not describe a model's features "
            f"({reason}); write the bundle again with save_bundle"
        )
        raise BundleError(msg) from err


def find_bundle(source: str | Path) -> Path:
    """Find a bundle by name or path.

    Parameters
    ----------
    source : str or Path
        ``"demo"`` for the one that comes with the package, or a folder or zip.

    Returns
    -------
    Path
        Folder or zip; it need not exist.

    Raises
    ------
    BundleError
        If the demo bundle is not in this installation.
    """
    return _demo_folder() if source == DEMO else Path(source)


def read_modalities(
    folder: Path, manifest: Mapping[str, Any]
) -> dict[Modality, ModalitySpec]:
    """Read the features of every modality.

    Parameters
    ----------
    folder : Path
        An unpacked bundle.
    manifest : mapping
        Its manifest.

    Returns
    -------
    dict of Modality to ModalitySpec
        In the order used everywhere.

    Raises
    ------
    BundleIntegrityError
        If a table cannot be read.
    """
    modalities = {
        Modality(name): _read_modality(folder, Modality(name), facts)
        for name, facts in manifest["modalities"].items()
    }
    return {m: modalities[m] for m in OMICS if m in modalities}


def _demo_folder() -> Path:
    """Find the bundle that comes with the package."""
    folder = Path(str(files("napari_mmsubtype").joinpath("bundles", DEMO)))
    if not (folder / MANIFEST).is_file():
        msg = (
            f"the demo bundle is not in this installation (no {MANIFEST} in {folder}); "
            "in a source checkout run `nox -s demo_bundle`, otherwise install "
            "napari-mmsubtype again"
        )
        raise BundleError(msg)
    return folder


def read_description(
    folder: Path, source: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read manifest and calibration, check every file, and bring both up to date.

    Parameters
    ----------
    folder : Path
        An unpacked bundle.
    source : Path
        Folder or zip, for messages.

    Returns
    -------
    manifest, calibration : dict
        Of schema `bundle_schema.SCHEMA_VERSION`, whatever is on disk.

    Raises
    ------
    BundleError
        If its schema is another.
    BundleIntegrityError
        If a file is missing, was changed or has no hash.
    """
    manifest = read_manifest(folder, source)
    verify_hashes(folder, manifest["files"])
    return migrate(manifest, read_json(folder / CALIBRATION))


def read_manifest(folder: Path, source: Path) -> dict[str, Any]:
    """Read the manifest as it is; check that its schema is known, its files complete.

    Parameters
    ----------
    folder : Path
        An unpacked bundle.
    source : Path
        Folder or zip, for messages.

    Returns
    -------
    dict
        With a hash of every file that is needed.

    Raises
    ------
    BundleError
        If its schema is another.
    BundleIntegrityError
        If it lists no hash of a file.
    """
    manifest = read_json(folder / MANIFEST)
    schema = manifest.get("schema")
    # True would pass for 1.
    known = type(schema) is int and (schema == SCHEMA_VERSION or schema in MIGRATIONS)
    if not known:
        msg = (
            f"bundle {str(source)!r} has schema {schema!r}, this version reads "
            f"{min(MIGRATIONS)} to {SCHEMA_VERSION}; update napari-mmsubtype, or ask "
            f"for a bundle of schema {SCHEMA_VERSION}"
        )
        raise BundleError(msg)
    listed = manifest.get("files")
    if not isinstance(listed, dict) or not all(
        isinstance(digest, str) for digest in listed.values()
    ):
        msg = f"{MANIFEST} of bundle {str(source)!r} lists no files with their hashes"
        raise BundleIntegrityError(msg)
    tables = manifest.get("modalities")
    needed = [*REQUIRED_FILES]
    for name, facts in (tables or {}).items():
        needed += modality_files(name, facts if isinstance(facts, dict) else {})
    unlisted = [name for name in needed if name not in listed]
    if unlisted:
        msg = (
            f"{MANIFEST} of bundle {str(source)!r} has no hash for "
            f"{', '.join(unlisted)}; write the bundle again with save_bundle"
        )
        raise BundleIntegrityError(msg)
    return manifest


def _read_modality(
    folder: Path, modality: Modality, facts: Mapping[str, Any]
) -> ModalitySpec:
    """Read the features of one modality."""

    def read_table(name: str) -> pd.DataFrame:
        try:
            # A process that ends right after could end while threads of pyarrow begin.
            return pd.read_parquet(folder / FEATURES / name, use_threads=False)
        except (OSError, ValueError, NotImplementedError) as err:
            msg = (
                f"'{FEATURES}/{name}' in bundle {folder.name!r} is not a readable "
                f"Parquet table ({err}); copy or download the bundle again"
            )
            raise BundleIntegrityError(msg) from err

    return build_spec(modality, facts, read_table)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a bundle.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    BundleIntegrityError
        If it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as err:
        msg = f"{path.name!r} in bundle {path.parent.name!r} is not JSON ({err})"
        raise BundleIntegrityError(msg) from err
    if not isinstance(content, dict):
        msg = (
            f"{path.name!r} in bundle {path.parent.name!r} holds a "
            f"{type(content).__name__}, expected an object"
        )
        raise BundleIntegrityError(msg)
    return content
