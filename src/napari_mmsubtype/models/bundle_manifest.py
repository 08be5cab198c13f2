"""The manifest of a bundle, and what needs no network: the features of its tables."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.record_reader import read_record
from napari_mmsubtype.errors import (
    BundleError,
    BundleIntegrityError,
    ConfigurationError,
)
from napari_mmsubtype.models.bundle_address import DEMO, find_local, is_remote
from napari_mmsubtype.models.bundle_content import read_json_file
from napari_mmsubtype.models.bundle_download import fetch_bundle
from napari_mmsubtype.models.bundle_files import opened, verify_files
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

    import pandas as pd

    from napari_mmsubtype.omics.modality_spec import ModalitySpec

# What a stranger's file says is repeated to the user only in this form.
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){1,3}")


def load_features(source: str | Path) -> tuple[str, dict[Modality, ModalitySpec]]:
    """Load the features of a model without its networks, hence without PyTorch.

    Parameters
    ----------
    source : str or Path
        ``"demo"`` for the one that comes with the package, the name of one of the
        library, a folder or zip, or an address (``hf://``, ``https://``).

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
    """Find a bundle by name, path or address.

    Parameters
    ----------
    source : str or Path
        ``"demo"`` for the one that comes with the package, the name of one of the
        library, a folder or zip, or an address (``hf://``, ``https://``), which is
        downloaded unless it was before.

    Returns
    -------
    Path
        Folder or zip; it need not exist.

    Raises
    ------
    BundleError
        If the demo bundle is not in this installation, a name is ambiguous, or an
        address cannot be had.
    """
    if source == DEMO:
        return _demo_folder()
    if is_remote(source):
        return fetch_bundle(str(source)).path
    return find_local(source)


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


def read_patch(manifest: Mapping[str, Any]) -> PatchSpec:
    """Read what a patch must be.

    Parameters
    ----------
    manifest : mapping
        Of a bundle.

    Returns
    -------
    PatchSpec
        Its size, and how much of it must be tissue.

    Raises
    ------
    ConfigurationError
        If a value is missing, unknown or of another type.
    """
    return read_record(PatchSpec, manifest["patch"], "patch")


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
    verify_files(folder, manifest["files"])
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
    return checked_manifest(read_json(folder / MANIFEST), source)


def checked_manifest(manifest: dict[str, Any], source: Path) -> dict[str, Any]:
    """Check that the schema of a manifest is known and its list of files complete.

    Parameters
    ----------
    manifest : dict
        As read from JSON.
    source : Path
        Folder or zip, for messages.

    Returns
    -------
    dict
        The same.

    Raises
    ------
    BundleError
        If its schema is another.
    BundleIntegrityError
        If it lists no hash of a file.
    """
    schema = manifest.get("schema")
    # True would pass for 1.
    known = type(schema) is int and (schema == SCHEMA_VERSION or schema in MIGRATIONS)
    if not known:
        raise BundleError(_unknown_schema(schema, manifest.get("needs"), source))
    listed = manifest.get("files")
    if not isinstance(listed, dict) or not all(
        isinstance(digest, str) for digest in listed.values()
    ):
        msg = f"{MANIFEST} of bundle {str(source)!r} lists no files with their hashes"
        raise BundleIntegrityError(msg)
    tables = manifest.get("modalities")
    if not isinstance(tables, dict | None):
        msg = (
            f"{MANIFEST} of bundle {str(source)!r} has {str(tables)[:40]!r} for its "
            "modalities, expected their facts by name; write the bundle again with "
            "save_bundle"
        )
        raise BundleIntegrityError(msg)
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


def _unknown_schema(schema: Any, needs: Any, source: Path) -> str:
    """Say what to install for a bundle of another schema."""
    reads = f"{min(MIGRATIONS)} to {SCHEMA_VERSION}"
    found = f"bundle {str(source)!r} has schema {schema!r}, this version reads {reads}"
    newer = type(schema) is int and schema > SCHEMA_VERSION
    if newer and isinstance(needs, str) and _VERSION.fullmatch(needs):
        return (
            f"{found}; install napari-mmsubtype {needs} or newer, or ask for a "
            f"bundle of schema {SCHEMA_VERSION}"
        )
    return (
        f"{found}; update napari-mmsubtype, or ask for a bundle of schema "
        f"{SCHEMA_VERSION}"
    )


def _read_modality(
    folder: Path, modality: Modality, facts: Mapping[str, Any]
) -> ModalitySpec:
    """Read the features of one modality."""
    import pandas as pd
    from pyarrow import ArrowException

    def read_table(name: str) -> pd.DataFrame:
        try:
            # A process that ends right after could end while threads of pyarrow begin.
            return pd.read_parquet(folder / FEATURES / name, use_threads=False)
        except (ArrowException, OSError, ValueError, NotImplementedError) as err:
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
    return read_json_file(path, f"{path.name!r} in bundle {path.parent.name!r}")
