"""Loading a bundle: verified file by file, self-tested, never unpickled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from napari_mmsubtype.core.subtypes import Subtype
from napari_mmsubtype.errors import (
    BundleError,
    BundleIntegrityError,
    ConfigurationError,
    OutOfMemoryError,
)
from napari_mmsubtype.models.bundle_files import opened, sha256_file
from napari_mmsubtype.models.bundle_manifest import (
    find_bundle,
    read_description,
    read_modalities,
    read_patch,
)
from napari_mmsubtype.models.bundle_schema import (
    CARD,
    MANIFEST,
    REFERENCE,
    SCHEMA_VERSION,
    SELFTEST,
    WEIGHTS,
    Bundle,
    check_info,
    check_parts,
)
from napari_mmsubtype.models.bundle_selftest import (
    LOGITS,
    TOLERANCE,
    run_selftest,
    selftest_error,
)
from napari_mmsubtype.models.bundle_trust import check_trust, read_trust
from napari_mmsubtype.models.bundle_writer import save_bundle
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.heads import read_heads
from napari_mmsubtype.models.memory_shortage import is_out_of_memory
from napari_mmsubtype.models.portability import require_portable
from napari_mmsubtype.models.reference_patches import read_arrays
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.undrawn_weights import UndrawnWeights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.core.patch_grid import PatchSpec
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.omics.modality_spec import ModalitySpec

__all__ = ["Bundle", "load_bundle", "save_bundle"]


def load_bundle(source: str | Path) -> Bundle:
    """Load a model, after checking every file of it.

    Parameters
    ----------
    source : str or Path
        ``"demo"`` for the one that comes with the package, the name of one of the
        library, a folder or zip, or an address (``hf://``, ``https://``).

    Returns
    -------
    Bundle
        On the CPU, in evaluation mode, its weights frozen.

    Raises
    ------
    BundleError
        If there is no bundle, its schema is unknown or its parts do not fit.
    BundleIntegrityError
        If a file was changed, is missing, could run code, cannot be read, or the model
        does not give the logits of its self-test.
    """
    path = find_bundle(source)
    try:
        with opened(path) as folder:
            return _load(folder, path)
    except OSError as err:
        msg = f"bundle {str(path)!r} cannot be read ({err}); check its permissions"
        raise BundleError(msg) from err


def _load(folder: Path, source: Path) -> Bundle:
    """Load from an unpacked folder without links and pickles."""
    manifest, stored = read_description(folder, source)
    try:
        # What is drawn is replaced all the same: the caller's seed is no concern.
        with torch.random.fork_rng(devices=[]), UndrawnWeights():
            heads = read_heads(manifest["heads"])
            encoder, fusion, patch, modalities = _build(folder, manifest, heads)
        classes = tuple(Subtype(**entry) for entry in manifest["classes"])
        reference = read_arrays(folder / REFERENCE, manifest["files"])
        calibration, guard = read_trust(stored, reference)
        temperature = calibration.temperature
        check_parts(classes, heads, encoder, fusion, patch, modalities, temperature)
        check_trust(
            calibration,
            guard,
            classes=len(classes),
            dim=encoder.dim,
            features={m: len(spec) for m, spec in modalities.items()},
        )
        check_info(dict(manifest["info"]))
        bundle = Bundle(
            name=str(manifest["name"]),
            version=str(manifest["version"]),
            path=source,
            digest=sha256_file(folder / MANIFEST),
            classes=classes,
            heads=heads,
            encoder=encoder,
            fusion=fusion,
            patch=patch,
            modalities=modalities,
            temperature=temperature,
            card=(folder / CARD).read_text(encoding="utf-8"),
            info=dict(manifest["info"]),
            reference=reference,
            calibration=calibration,
            guard=guard,
        )
    except (BundleError, OSError):
        raise
    except ConfigurationError as err:
        msg = f"bundle {str(source)!r} cannot be built: {err}"
        raise BundleError(msg) from err
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        reason = f"no {err}" if isinstance(err, KeyError) else str(err)
        msg = (
            f"{MANIFEST} of bundle {str(source)!r} does not describe a model "
            f"({reason}); expected schema {SCHEMA_VERSION}: write the bundle again "
            "with save_bundle"
        )
        raise BundleError(msg) from err
    _fill(bundle, _read_tensors(folder / WEIGHTS))
    _selftest(bundle, _read_tensors(folder / SELFTEST))
    return bundle


def _build(
    folder: Path, manifest: Mapping[str, Any], heads: Heads
) -> tuple[Encoder, FusionModel, PatchSpec, dict[Modality, ModalitySpec]]:
    """Make the networks, without their weights, and the feature specifications."""
    modalities = read_modalities(folder, manifest)
    about = manifest["encoder"]
    require_portable(about["name"])
    encoder = create_encoder(about["name"], weights=None, **about["options"])
    if (list(encoder.mean), list(encoder.std)) != (about["mean"], about["std"]):
        msg = (
            f"encoder {encoder.name!r} normalizes by {encoder.mean}, {encoder.std}; "
            f"the bundle was trained with {about['mean']}, {about['std']}"
        )
        raise ConfigurationError(msg)
    encoder.origin = str(about.get("origin", ""))
    fusion = create_fusion(
        manifest["fusion"]["name"],
        dim=encoder.dim,
        classes=heads.size,
        omics={m: len(spec.features) for m, spec in modalities.items()},
        **manifest["fusion"]["options"],
    )
    return encoder, fusion.eval(), read_patch(manifest), modalities


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file."""
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as err:
        msg = f"{path.name!r} in bundle {path.parent.name!r} cannot be read ({err})"
        raise BundleIntegrityError(msg) from err
    return tensors


def _fill(bundle: Bundle, weights: Mapping[str, Tensor]) -> None:
    """Put the weights into the networks, all of them, and freeze them."""
    for part, module in (("encoder", bundle.encoder), ("fusion", bundle.fusion)):
        own = {
            name.removeprefix(f"{part}."): value
            for name, value in weights.items()
            if name.startswith(f"{part}.")
        }
        try:
            module.load_state_dict(own)
        except RuntimeError as err:
            reason = " ".join(str(err).split())[:300]
            msg = (
                f"{WEIGHTS} of bundle {bundle.name!r} does not fit its {part} "
                f"{module.name!r}: {reason}"
            )
            raise BundleIntegrityError(msg) from err
        module.requires_grad_(False)


def _selftest(bundle: Bundle, tensors: Mapping[str, Tensor]) -> None:
    """Run the model on the recorded inputs and compare."""
    try:
        found = run_selftest(bundle.encoder, bundle.fusion, tensors)
        error = selftest_error(found, tensors[LOGITS])
    except (KeyError, ValueError, RuntimeError, MemoryError) as err:
        if is_out_of_memory(err):
            msg = (
                f"no memory for the self-test of bundle {bundle.name!r} "
                f"({str(err) or 'MemoryError'}); close other programs, or lift the "
                "limit that this one runs under, and try again"
            )
            raise OutOfMemoryError(msg) from err
        msg = (
            f"{SELFTEST} of bundle {bundle.name!r} does not fit its model ({err}); "
            "write the bundle again with save_bundle"
        )
        raise BundleIntegrityError(msg) from err
    if not error <= TOLERANCE:
        msg = (
            f"bundle {bundle.name!r} fails its self-test: logits differ by {error:.3g} "
            f"from those in {SELFTEST!r}, expected at most {TOLERANCE:g}; its weights "
            "or this installation of torch are not those it was made with"
        )
        raise BundleIntegrityError(msg)
