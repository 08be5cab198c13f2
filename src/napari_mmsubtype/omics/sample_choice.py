"""The row of a table that stands for a patient: by sample, case, aliquot or file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import UnmatchedSampleError
from napari_mmsubtype.omics.gdc_replicates import REPLICATE
from napari_mmsubtype.omics.identifiers import SampleMatch, find_sample, parse_barcode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata

_PRIMARY = "primary"
_NOT_SAID = frozenset({"", "tumor", "unknown", "not reported", "--"})
_SHOWN = 5


def sample_names(table: anndata.AnnData) -> list[str]:
    """Name the samples of a table as its file does.

    Parameters
    ----------
    table : AnnData
        As `table.read_omics`.

    Returns
    -------
    list of str
        ``obs["sample"]``, or the names of the rows where there is no such column.
    """
    given = table.obs.get("sample", table.obs_names)
    return [str(name) for name in given]


def case_names(table: anndata.AnnData) -> list[str]:
    """Name the patient of each row, as far as the table knows.

    Parameters
    ----------
    table : AnnData
        As `table.read_omics`.

    Returns
    -------
    list of str
        The patient that a sample sheet, or the AnnData itself, says; else the sample.
    """
    names = sample_names(table)
    cases = _known(table).get("patient", names)
    return [case or name for case, name in zip(cases, names, strict=True)]


def standing_rows(table: anndata.AnnData) -> list[str]:
    """Name the rows that stand for their samples.

    Parameters
    ----------
    table : AnnData
        As `table.read_omics`.

    Returns
    -------
    list of str
        Of ``obs_names``, without the rows that another aliquot was preferred to.
    """
    left = table.obs.get(REPLICATE, np.zeros(table.n_obs, dtype=bool))
    return [str(n) for n, out in zip(table.obs_names, left, strict=True) if not out]


def find_row(table: anndata.AnnData, patient: str) -> SampleMatch:
    """Find the row that stands for a patient, and say how it was found.

    The rules, in this order: the identical sample; an aliquot or a file of a GDC
    download; the patient that its sample sheet (*Case ID*) or an AnnData says; a TCGA
    barcode or a sample that differs in case and spaces only, as
    `identifiers.find_sample`; such a patient but for case and spaces. Of a patient's
    samples a primary tumour is taken; a normal, a metastasis or a recurrence only by
    its own name.

    Parameters
    ----------
    table : AnnData
        As `table.read_omics`.
    patient : str
        Patient, sample, slide, aliquot or file.

    Returns
    -------
    SampleMatch
        The one row that fits.

    Raises
    ------
    UnmatchedSampleError
        If no row fits, only rows of another sample type, or more than one.
    """
    names, wanted = sample_names(table), patient.strip()
    known = _known(table)
    if not known or not wanted:
        return find_sample(names, patient)
    if wanted not in names:
        if (row := _of_file(known, wanted)) is not None:
            note = f"sample {names[row]!r} by its file or aliquot {wanted!r}"
            return SampleMatch(names[row], row, (note,))
        cases = known.get("patient", [])
        same = [i for i, case in enumerate(cases) if case == wanted]
        if same and not any(parse_barcode(names[i]) for i in same):
            return _of_case(names, known, same, wanted)
    # Rows that another aliquot was preferred to stand for nobody.
    standing = [i for i, left in enumerate(known["left out"]) if not left]
    try:
        match = find_sample(list(dict.fromkeys(names[i] for i in standing)), patient)
    except UnmatchedSampleError:
        alike = [
            i
            for i, case in enumerate(known.get("patient", []))
            if case and _plain(case) == _plain(wanted)
        ]
        if not alike or any(parse_barcode(names[i]) for i in alike):
            raise
        found = _of_case(names, known, alike, wanted)
        note = f"case {known['patient'][found.index]!r} was taken for {wanted!r}: "
        note += "they differ in case or spaces only"
        return SampleMatch(found.sample, found.index, (note, *found.notes))
    rows = [i for i in standing if names[i] == match.sample]
    _refuse_several(known, rows, match.sample)
    return SampleMatch(match.sample, rows[0], (*match.notes, *_choice(known, rows[0])))


def _known(table: anndata.AnnData) -> dict[str, list[Any]]:
    """Take what a sample sheet said of each row; nothing where there was none."""
    record = table.uns.get("mmsubtype", {})
    told = {"file", "patient"} & set(table.obs.columns)
    if not told or record.get("modality") == Modality.CLINICAL:
        return {}
    known: dict[str, list[Any]] = {
        name: [str(cell).strip() for cell in table.obs[name]]
        for name in ("patient", "sample_type", "file", "aliquot")
        if name in table.obs
    }
    left = table.obs.get(REPLICATE, np.zeros(table.n_obs, dtype=bool))
    known["left out"] = [bool(value) for value in left]
    return known


def _of_file(known: dict[str, list[Any]], wanted: str) -> int | None:
    """Find the row of an aliquot or of a file, with or without its endings."""
    for column in ("aliquot", "file"):
        rows = [
            i
            for i, name in enumerate(known.get(column, []))
            if name and wanted in {name, f"{name}.gz", name.partition(".")[0]}
        ]
        if len(rows) == 1:
            return rows[0]
    return None


def _of_case(
    names: Sequence[str], known: dict[str, list[Any]], rows: list[int], case: str
) -> SampleMatch:
    """Choose among the samples of one patient by what the sheet says they are."""
    rows = [i for i in rows if not known["left out"][i]]
    kinds = known.get("sample_type", [""] * len(names))
    primary = [i for i in rows if _is_primary(kinds[i])]
    fitting = primary or [i for i in rows if kinds[i].casefold() in _NOT_SAID]
    samples = list(dict.fromkeys(names[i] for i in fitting))
    if not fitting:
        msg = (
            f"no primary tumour of patient {case!r} in the table, only "
            f"{_described(names, kinds, rows)}; pass a sample's own identifier to use "
            "it on purpose"
        )
        raise UnmatchedSampleError(msg)
    if len(samples) > 1:
        msg = (
            f"{len(samples)} samples could be meant by {case!r}: "
            f"{_described(names, kinds, fitting)}; pass the identifier of one of them"
        )
        raise UnmatchedSampleError(msg)
    _refuse_several(known, fitting, samples[0])
    row = fitting[0]
    said = kinds[row] or "type not said"
    notes = [f"sample {names[row]!r} ({said}) is that of case {case!r}"]
    if not primary:
        notes.append(
            f"nothing says whether {names[row]!r} is a primary tumour: "
            "make sure that it is no normal tissue"
        )
    return SampleMatch(names[row], row, (*notes, *_choice(known, row)))


def _refuse_several(known: dict[str, list[Any]], rows: list[int], sample: str) -> None:
    """Refuse to choose between files of one sample that nothing tells apart."""
    if len(rows) > 1 and "file" not in known:
        msg = (
            f"sample {sample!r} stands in {len(rows)} samples of the table with "
            "different values; keep one of them"
        )
        raise UnmatchedSampleError(msg)
    if len(rows) > 1:
        files = ", ".join(repr(known["file"][i]) for i in rows[:_SHOWN])
        msg = (
            f"sample {sample!r} has {len(rows)} files with different values: {files}; "
            "name one of the files as the patient, or put the GDC cart's "
            "metadata.*.json, which names the aliquots, beside the sample sheet"
        )
        raise UnmatchedSampleError(msg)


def _choice(known: dict[str, list[Any]], row: int) -> tuple[str, ...]:
    """Say that a sample has other aliquots."""
    if not any(known["left out"]):
        return ()
    name = known["aliquot"][row]
    others = [
        other
        for other, left in zip(known["aliquot"], known["left out"], strict=True)
        if left and other[:16] == name[:16]
    ]
    if not others:
        return ()
    listed = ", ".join(others[:_SHOWN])
    return (f"aliquot {name} was taken, not {listed} (Firehose's rule)",)


def _described(names: Sequence[str], kinds: Sequence[str], rows: Sequence[int]) -> str:
    """List samples with their types."""
    listed = "; ".join(
        f"{names[i]!r} ({kinds[i] or 'type not said'})" for i in rows[:_SHOWN]
    )
    return listed + (f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else "")


def _is_primary(kind: str) -> bool:
    """Tell a primary tumour, all of whose parts are such."""
    return all(part.strip().startswith(_PRIMARY) for part in kind.casefold().split(","))


def _plain(text: str) -> str:
    """Reduce an identifier to what case and spaces do not change."""
    return re.sub(r"\s+", "", text).casefold()
