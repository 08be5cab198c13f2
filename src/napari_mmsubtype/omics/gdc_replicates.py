"""Several aliquots of one sample in a GDC download: which one stands for it."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import TableReadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pandas as pd

REPLICATE = "is_replicate"
"""Column of ``obs``: rows that do not stand for their sample."""

_METADATA = "metadata.*.json"
_ALIQUOT = re.compile(
    r"TCGA-\w{2}-\w{4}-\d{2}[A-Z]-\d{2}(?P<analyte>[A-Z])-(?P<plate>\w{4})-\w{2}"
)
_RNA_ORDER = "TRH"
_NATIVE_DNA = "D"
_RULES = {
    Modality.RNA: "analyte H before R before T, then the later plate",
    Modality.METHYLATION: "native DNA (D) before amplified, unless that is of a later "
    "plate; then the later portion and plate",
}
_SHOWN = 3


def read_aliquots(folders: Iterable[Path]) -> dict[str, str]:
    """Read which aliquot each file was measured from.

    Parameters
    ----------
    folders : iterable of Path
        Where the cart's ``metadata.*.json`` may lie.

    Returns
    -------
    dict of str to str
        Aliquot barcode by file name; empty where there is no such file.

    Raises
    ------
    TableReadError
        If a file of this name is no metadata of the GDC.
    """
    found = {}
    for path in sorted(p for folder in set(folders) for p in folder.glob(_METADATA)):
        try:
            for entry in json.loads(path.read_text(encoding="utf-8")):
                barcodes = [
                    str(entity["entity_submitter_id"])
                    for entity in entry.get("associated_entities", ())
                    if entity.get("entity_type", "aliquot") == "aliquot"
                ]
                if len(barcodes) == 1:
                    name = str(entry["file_name"]).removesuffix(".gz")
                    found[name] = barcodes[0]
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            msg = (
                f"{path.name!r} is not the metadata of a GDC cart ({err}); download "
                "it again from the cart, or take it out of the folder"
            )
            raise TableReadError(msg) from err
    return found


def mark_replicates(
    samples: Sequence[str], obs: pd.DataFrame, modality: Modality
) -> tuple[pd.DataFrame, list[str]]:
    """Choose one file of each sample, where a rule tells which.

    The rule is that of the Broad Institute's Firehose for replicates [1]_. It needs the
    aliquots' barcodes; without them no file is preferred.

    Parameters
    ----------
    samples : sequence of str
        Identifier of each row; repeated where a sample has several files.
    obs : DataFrame
        ``aliquot`` of each row, where known.
    modality : Modality
        RNA or methylation: their rules differ.

    Returns
    -------
    obs : DataFrame
        With the column `REPLICATE`, True for files that another one was preferred to;
        as given where every sample has one file.
    notes : list of str
        What was chosen, or why nothing was.

    References
    ----------
    .. [1] Broad Institute TCGA Genome Data Analysis Center, "Firehose: FAQ, replicate
       samples", 2016.
    """
    left_out = np.zeros(len(obs), dtype=bool)
    chosen, open_ = [], []
    labels = np.array(samples, dtype=object)
    twice = [name for name, count in Counter(samples).items() if count > 1]
    for sample in twice:
        rows = np.flatnonzero(labels == sample)
        names = [] if "aliquot" not in obs else list(obs["aliquot"].iloc[rows])
        best = preferred_aliquot(names, modality) if names else None
        if best is None:
            open_.append(sample)
            continue
        left_out[np.delete(rows, best)] = True
        others = ", ".join(name for i, name in enumerate(names) if i != best)
        chosen.append(f"{names[best]} rather than {others}")
    notes = []
    if chosen:
        notes.append(
            f"{len(chosen)} samples have several aliquots; taken by Firehose's rule "
            f"({_RULES[modality]}): {_listed(chosen)}; name an aliquot or a file as "
            "the patient to take another"
        )
    if open_:
        notes.append(
            f"{len(open_)} samples have several files ({_listed(open_)}) and nothing "
            "tells which to prefer: put the cart's metadata.*.json, which names the "
            "aliquots, beside the sample sheet, or name a file as the patient"
        )
    if left_out.any():
        obs = obs.assign(**{REPLICATE: left_out})
    return obs, notes


def preferred_aliquot(barcodes: Sequence[str], modality: Modality) -> int | None:
    """Choose among the aliquots of one sample.

    Parameters
    ----------
    barcodes : sequence of str
        TCGA aliquot barcodes.
    modality : Modality
        RNA: analyte H before R before T, then the later plate. Methylation: native DNA
        (D) before amplified DNA, unless this has the later plate. Then the last
        barcode, which has the later portion or plate.

    Returns
    -------
    int or None
        Position; None where a barcode is no aliquot of TCGA, or two are the same.

    Examples
    --------
    >>> older = "TCGA-A6-2684-01A-01R-1410-07"
    >>> later = "TCGA-A6-2684-01A-01R-A278-07"
    >>> preferred_aliquot([older, later], Modality.RNA)
    1
    """
    parts = [_ALIQUOT.fullmatch(name.strip().upper()) for name in barcodes]
    if len(set(barcodes)) < len(barcodes):
        return None
    found = [
        (i, part["analyte"], part["plate"], part.string)
        for i, part in enumerate(parts)
        if part is not None
    ]
    if not found or len(found) < len(parts):
        return None
    if modality is Modality.RNA:
        return max(found, key=lambda p: (_RNA_ORDER.find(p[1]), p[2], p[3]))[0]
    native = [part for part in found if part[1] == _NATIVE_DNA]
    amplified = [part for part in found if part[1] != _NATIVE_DNA]
    newest = max((part[2] for part in native), default="")
    later = [part for part in amplified if part[2] > newest]
    return max(later or native or amplified, key=lambda part: part[3])[0]


def _listed(names: Sequence[str]) -> str:
    """Name the first few."""
    return "; ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
