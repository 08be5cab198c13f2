"""Attributions of features as arrays of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.attributions import Attributions, TableAttribution
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store_chunks import WHOLE, read_whole
from napari_mmsubtype.results.store_damage import holds, place_of, telling_damage

if TYPE_CHECKING:
    import zarr


def write_attributions(root: zarr.Group, attributions: Attributions) -> None:
    """Write what the features of the tables add.

    Parameters
    ----------
    root : zarr.Group
        The store; what an earlier run left there is replaced.
    attributions : Attributions
        Of its patient.
    """
    group = root.require_group(schema.ATTRIBUTIONS)
    for table in attributions.tables:
        array = group.create_array(
            table.modality, data=table.values, overwrite=True, **WHOLE
        )
        array.attrs.update(
            {
                "features": list(table.features),
                "groups": {name: list(m) for name, m in table.groups.items()},
            }
        )
    # Last: what is not listed here is not read.
    group.attrs.update(
        {
            "tables": [table.modality for table in attributions.tables],
            "baseline": list(attributions.baseline),
            "gap": attributions.gap,
            "limit": attributions.limit,
            "steps": attributions.steps,
        }
    )


def read_attributions(root: zarr.Group) -> Attributions | None:
    """Read what `write_attributions` wrote.

    Parameters
    ----------
    root : zarr.Group
        The store.

    Returns
    -------
    Attributions or None
        None in stores without: no table was used, or an older version wrote them.
    """
    if not holds(root, schema.ATTRIBUTIONS):
        return None
    with telling_damage(place_of(root), schema.ATTRIBUTIONS):
        return _read_group(root[schema.ATTRIBUTIONS])


def _read_group(group: Any) -> Attributions | None:
    entry = dict(group.attrs)
    if "tables" not in entry:
        return None
    tables = []
    for modality in entry["tables"]:
        attrs = group[modality].attrs
        tables.append(
            TableAttribution(
                modality=modality,
                features=tuple(attrs["features"]),
                values=read_whole(group, modality),
                groups={name: tuple(m) for name, m in attrs["groups"].items()},
            )
        )
    return Attributions(
        tables=tuple(tables),
        baseline=tuple(entry["baseline"]),
        gap=float(entry["gap"]),
        limit=float(entry["limit"]),
        steps=int(entry["steps"]),
    )
