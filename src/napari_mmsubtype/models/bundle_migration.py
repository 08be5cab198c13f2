"""Bundles of older schemas, brought to today's when they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, TypeAlias

from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_schema import MANIFEST, SCHEMA_VERSION

Migration: TypeAlias = Callable[[dict[str, Any], dict[str, Any]], None]
"""Changes manifest and calibration in place, from one schema to the next."""


def _add_class_head(manifest: dict[str, Any], calibration: dict[str, Any]) -> None:
    """Name the one question that a model of schema 1 answers."""
    del calibration
    labels = [entry["name"] for entry in manifest["classes"]]
    manifest["heads"] = {"class": {"kind": "classes", "labels": labels}}


MIGRATIONS: Mapping[int, Migration] = MappingProxyType({1: _add_class_head})
"""How a schema becomes the next one, by the older schema."""


def migrate(
    manifest: Mapping[str, Any], calibration: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Bring a manifest and a calibration to the present schema.

    Files on disk stay as they are, so hashes and the digest do too.

    Parameters
    ----------
    manifest : mapping
        As `bundle_manifest.read_manifest` gives it.
    calibration : mapping
        As stored beside it.

    Returns
    -------
    manifest, calibration : dict
        Copies of schema `bundle_schema.SCHEMA_VERSION`.

    Raises
    ------
    BundleError
        If the older manifest lacks what the change needs.
    """
    new, values = deepcopy(dict(manifest)), deepcopy(dict(calibration))
    while new["schema"] != SCHEMA_VERSION:
        schema = new["schema"]
        try:
            MIGRATIONS[schema](new, values)
        except (KeyError, TypeError, AttributeError) as err:
            msg = (
                f"{MANIFEST} of bundle {new.get('name')!r} cannot be brought from "
                f"schema {schema} to {schema + 1} ({type(err).__name__}: {err}); ask "
                "for the bundle again"
            )
            raise BundleError(msg) from err
        new["schema"] = schema + 1
    return new, values
