"""Everything that a bundle says about itself, for reading and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.models.bundle_content import read_json_file
from napari_mmsubtype.models.bundle_files import opened
from napari_mmsubtype.models.bundle_license import license_findings
from napari_mmsubtype.models.bundle_manifest import (
    find_bundle,
    read_description,
    read_modalities,
    read_patch,
)
from napari_mmsubtype.models.bundle_names import ORIGIN
from napari_mmsubtype.models.bundle_schema import CARD
from napari_mmsubtype.models.bundle_summary import (
    BundleSummary,
    readable,
    summarize_bundle,
)
from napari_mmsubtype.models.bundle_trust import read_trust
from napari_mmsubtype.models.training_facts import TrainingFacts

if TYPE_CHECKING:
    from pathlib import Path

    from napari_mmsubtype.omics.modality_spec import ModalitySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDetails:
    """A bundle in words and numbers, its hashes verified, its networks not built.

    Attributes
    ----------
    summary : BundleSummary
        What a list shows of it.
    path : Path
        Folder or zip.
    manifest : dict
        Of the present schema, without hashes and without what has a place of its own.
    features : dict of str to dict
        By table: ``unit``, ``count``, ``names``, and ``steps`` of its preparation.
    calibration : dict
        As stored.
    facts : TrainingFacts
        What is known of its training.
    notes : tuple of str
        On terms and on what its encoder saw before.
    card : str
        In Markdown.
    origin : dict
        Where it was imported from; empty outside the library.
    """

    summary: BundleSummary
    path: Path
    manifest: dict[str, Any]
    features: dict[str, dict[str, Any]]
    calibration: dict[str, Any]
    facts: TrainingFacts
    notes: tuple[str, ...]
    card: str
    origin: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Turn the details into plain JSON types.

        Returns
        -------
        dict
            The summary's entries, and the others under their names; the facts under
            ``info``, as the bundle has them.
        """
        return {
            **asdict(self.summary),
            "path": str(self.path),
            **self.manifest,
            "features": self.features,
            "calibration": self.calibration,
            "info": self.facts.to_info(),
            "notes": list(self.notes),
            "origin": self.origin,
            "card": self.card,
        }


def describe_bundle(source: str | Path) -> BundleDetails:
    """Read all that a bundle says about itself.

    Parameters
    ----------
    source : str or Path
        As `bundle.load_bundle` takes it.

    Returns
    -------
    BundleDetails
        After every file was compared with its hash; no network was run.

    Raises
    ------
    BundleError
        If it is no bundle or its schema is unknown.
    BundleIntegrityError
        If a file was changed, is missing or cannot be read.
    """
    path = find_bundle(source)
    with opened(path) as folder, readable(path):
        manifest, calibration = read_description(folder, path)
        read_trust(calibration, {})  # refuses what is not understood
        tables = read_modalities(folder, manifest)
        about = manifest["encoder"]
        license_, notes = license_findings(
            manifest["info"], str(about["name"]), str(about.get("origin", ""))
        )
        del license_
        return BundleDetails(
            summary=summarize_bundle(folder),
            path=path,
            manifest={
                "heads": {name: dict(head) for name, head in manifest["heads"].items()},
                "encoder": manifest["encoder"],
                "fusion": manifest["fusion"],
                "patch": asdict(read_patch(manifest)),
            },
            features={str(name): _features(spec) for name, spec in tables.items()},
            calibration=calibration,
            facts=TrainingFacts.from_info(manifest["info"]),
            notes=tuple(notes),
            card=(folder / CARD).read_text(encoding="utf-8"),
            origin=read_origin(folder),
        )


def read_origin(folder: Path) -> dict[str, Any]:
    """Read where a bundle of the library came from.

    Parameters
    ----------
    folder : Path
        Of the bundle.

    Returns
    -------
    dict
        As `bundle_import.import_bundle` wrote it; empty where there is none.

    Raises
    ------
    BundleIntegrityError
        If the record is not JSON.
    """
    path = folder / ORIGIN
    if not path.is_file():
        return {}
    return read_json_file(path, f"{ORIGIN!r} in bundle {folder.name!r}")


def _features(spec: ModalitySpec) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "unit": spec.unit,
        "count": len(spec),
        "min_coverage": spec.min_coverage,
        "names": list(spec.names),
    }
    return entry | ({"steps": list(spec.steps)} if spec.steps else {})
