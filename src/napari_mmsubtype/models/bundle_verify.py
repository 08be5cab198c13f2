"""Everything about a bundle that can be checked, and what each check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import safetensors.torch

from napari_mmsubtype.errors import BundleIntegrityError
from napari_mmsubtype.models.bundle import Bundle, load_bundle
from napari_mmsubtype.models.bundle_files import opened
from napari_mmsubtype.models.bundle_license import license_findings
from napari_mmsubtype.models.bundle_manifest import find_bundle, read_manifest
from napari_mmsubtype.models.bundle_pack import own_files
from napari_mmsubtype.models.bundle_schema import SCHEMA_VERSION, SELFTEST
from napari_mmsubtype.models.bundle_selftest import (
    LOGITS,
    TOLERANCE,
    run_selftest,
    selftest_error,
)
from napari_mmsubtype.models.graphics_card import whole_float32

if TYPE_CHECKING:
    from pathlib import Path

    import torch


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found right about a bundle; anything wrong is an error instead.

    Attributes
    ----------
    name, version, digest : str
        Of the bundle.
    checks : dict of str to str
        What was checked and what was found, one sentence each.
    notes : tuple of str
        What its user should know.
    """

    name: str
    version: str
    digest: str
    checks: dict[str, str]
    notes: tuple[str, ...]


def verify_bundle(
    source: str | Path,
    *,
    device: torch.device | None = None,
    tolerance: float = TOLERANCE,
) -> Verification:
    """Check a bundle: files, hashes, schema, parts, self-test and license.

    Parameters
    ----------
    source : str or Path
        As `load_bundle` takes it.
    device : torch.device, optional
        Run the self-test there too, in float32.
    tolerance : float
        Largest difference of a logit on that device, absolute below 1 and relative
        above.

    Returns
    -------
    Verification
        What was found.

    Raises
    ------
    BundleError
        If there is no bundle, its schema is unknown or its parts do not fit.
    BundleIntegrityError
        Naming the file that was changed, is missing or not listed, could run code or
        cannot be read; or if the self-test fails, or the license contradicts that of
        the encoder.
    """
    path = find_bundle(source)
    with opened(path) as folder:
        manifest = read_manifest(folder, path)
        files = own_files(folder, manifest["files"])
        bundle = load_bundle(folder)
        # Last: loading tells of files that are missing.
        size = sum((folder / name).stat().st_size for name in files)
        checks = {
            "files": f"{len(files)}, {size / 1e6:.2f} MB, hashes as listed",
            "schema": f"{manifest['schema']} (this version writes {SCHEMA_VERSION})",
            "self-test": f"on cpu, within {TOLERANCE:g}",
        }
        if device is not None and device.type != "cpu":
            error = _error_on(bundle, folder / SELFTEST, device)
            if not error <= tolerance:
                msg = (
                    f"bundle {bundle.name!r} fails its self-test {SELFTEST!r} on "
                    f"{device}: logits differ by {error:.3g}, expected at most "
                    f"{tolerance:g}; analyze with --device cpu"
                )
                raise BundleIntegrityError(msg)
            checks["self-test"] += f"; on {device}: differs by {error:.2g}"
    license_, notes = license_findings(
        bundle.info, bundle.encoder.name, bundle.encoder.origin
    )
    checks["license"] = license_
    return Verification(
        bundle.name, bundle.version, bundle.digest, checks, tuple(notes)
    )


def _error_on(bundle: Bundle, selftest: Path, device: torch.device) -> float:
    """Run the self-test on another device."""
    tensors = safetensors.torch.load_file(selftest)
    inputs = {name: value.to(device) for name, value in tensors.items()}
    with whole_float32():
        found = run_selftest(
            bundle.encoder.to(device), bundle.fusion.to(device), inputs
        )
    return selftest_error(found.cpu(), tensors[LOGITS])
