"""Sample identifiers: TCGA barcodes of any length, and plain identifiers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import UnmatchedSampleError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BARCODE = re.compile(
    r"""
    TCGA [-._] (?P<site>[A-Z0-9]{2}) [-._] (?P<participant>[A-Z0-9]{4})
    (?: [-._] (?P<sample_type>[0-9]{2}) (?P<vial>[A-Z])?
        (?: [-._] (?P<portion> [0-9]{2}[A-Z]? | (?:DX|TS|BS|MS)[A-Z0-9]{1,2} )
            (?P<rest> [-._] .+ )?
        )?
    )?
    """,
    re.VERBOSE | re.IGNORECASE,
)

SAMPLE_TYPES = {
    "01": "primary solid tumour",
    "02": "recurrent tumour",
    "03": "primary blood-derived cancer",
    "05": "additional new primary tumour",
    "06": "metastasis",
    "07": "additional metastasis",
    "09": "primary blood-derived cancer of bone marrow",
    "10": "blood-derived normal",
    "11": "adjacent normal tissue",
    "12": "buccal normal",
    "14": "bone-marrow normal",
    "20": "control",
}
"""TCGA's two-digit sample types that occur in public tables."""

_TUMOUR_TYPES = ("01", "03", "09")
_FIRST_NORMAL = "10"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Barcode:
    """A TCGA barcode, cut at its joints.

    Attributes
    ----------
    patient : str
        ``TCGA-<site>-<participant>``, upper case, 12 characters.
    sample_type : str
        Two digits, or empty for an identifier that ends at the patient.
    vial : str
        One letter, or empty.
    text : str
        The whole identifier in canonical spelling: upper case, joined by ``-``.
    """

    patient: str
    sample_type: str
    vial: str
    text: str

    @property
    def site(self) -> str:
        """Tissue source site, two characters."""
        return self.patient[5:7]

    @property
    def sample_type_name(self) -> str:
        """Sample type in words; empty for a patient-level identifier."""
        return SAMPLE_TYPES.get(self.sample_type, "")


@dataclass(frozen=True, slots=True)
class SampleMatch:
    """The row of a table that stands for a patient.

    Attributes
    ----------
    sample : str
        Identifier as the table writes it.
    index : int
        Position in the sequence that was searched.
    notes : tuple of str
        What the user should know about the choice; empty for an exact match.
    """

    sample: str
    index: int
    notes: tuple[str, ...] = ()


def parse_barcode(text: str) -> Barcode | None:
    """Cut a TCGA barcode of any length at its joints.

    Parameters
    ----------
    text : str
        Patient, sample, vial, portion, aliquot or slide barcode; lower case and the
        separators ``.`` and ``_`` (which R puts in column names) are understood.

    Returns
    -------
    Barcode or None
        None where the text is no TCGA barcode.

    Examples
    --------
    >>> parse_barcode("TCGA-E2-A14V-01A-11R-A12D-07").sample_type
    '01'
    """
    found = _BARCODE.fullmatch(text.strip())
    if found is None:
        return None
    patient = f"TCGA-{found['site']}-{found['participant']}".upper()
    return Barcode(
        patient=patient,
        sample_type=found["sample_type"] or "",
        vial=(found["vial"] or "").upper(),
        text=re.sub(r"[._]", "-", text.strip().upper()),
    )


def select_sample(samples: Sequence[str], patient: str) -> str:
    """Find the sample that stands for a patient.

    Parameters
    ----------
    samples : sequence of str
        Sample identifiers of a table.
    patient : str
        Patient, sample or slide identifier.

    Returns
    -------
    str
        The identifier as the table writes it.

    Raises
    ------
    UnmatchedSampleError
        As `find_sample`.
    """
    return find_sample(samples, patient).sample


def find_sample(samples: Sequence[str], patient: str) -> SampleMatch:
    """Find the row that stands for a patient, and say how it was found.

    The rules, in this order: the identical text; for TCGA barcodes the same patient
    and sample type (without a type in the request, the primary tumour ``01``; a normal,
    a metastasis or a recurrence is never taken for it), the rows sharing the longest
    part of the request first; otherwise the same text but for case and spaces.

    Parameters
    ----------
    samples : sequence of str
        Sample identifiers of a table.
    patient : str
        Patient, sample or slide identifier.

    Returns
    -------
    SampleMatch
        The one row that fits.

    Raises
    ------
    UnmatchedSampleError
        If no row fits, only rows of another sample type, or more than one.
    """
    wanted = patient.strip()
    if not wanted:
        msg = "no patient was named; pass the identifier as it stands in the table"
        raise UnmatchedSampleError(msg)
    exact = [i for i, sample in enumerate(samples) if sample == wanted]
    if exact:
        return _only(samples, exact, wanted)
    barcode = parse_barcode(wanted)
    if barcode is not None:
        return _find_barcode(samples, barcode, wanted)
    plain = _plain(wanted)
    alike = [i for i, sample in enumerate(samples) if _plain(sample) == plain]
    if not alike:
        raise UnmatchedSampleError(_absent(samples, wanted))
    match = _only(samples, alike, wanted)
    note = (
        f"sample {match.sample!r} was taken for {wanted!r}: "
        "they differ in case or spaces only"
    )
    return SampleMatch(match.sample, match.index, (note,))


def _find_barcode(samples: Sequence[str], wanted: Barcode, request: str) -> SampleMatch:
    """Find the row of a TCGA patient."""
    same = [
        (i, barcode)
        for i, sample in enumerate(samples)
        if (barcode := parse_barcode(sample)) and barcode.patient == wanted.patient
    ]
    if not same:
        raise UnmatchedSampleError(_absent(samples, request))
    allowed = (wanted.sample_type,) if wanted.sample_type else _TUMOUR_TYPES
    # Tables by patient hold tumours: such a row never stands for a normal sample.
    untyped = {""} if allowed[0] < _FIRST_NORMAL else set()
    for sample_type in allowed:
        fitting = [(i, b) for i, b in same if b.sample_type in {sample_type} | untyped]
        if fitting:
            break
    else:
        listed = "; ".join(
            f"{samples[i]!r} ({b.sample_type_name or 'type not said'})"
            for i, b in same[:_SHOWN]
        )
        name = SAMPLE_TYPES.get(allowed[0], "sample") + f" (-{allowed[0]})"
        msg = (
            f"no {name} of patient {wanted.patient!r} in the table, only {listed}; "
            "pass a full sample identifier to use one of these on purpose"
        )
        raise UnmatchedSampleError(msg)
    match = _only(samples, _closest(fitting, wanted), request)
    return SampleMatch(match.sample, match.index, _barcode_notes(match, wanted))


def _closest(fitting: list[tuple[int, Barcode]], wanted: Barcode) -> list[int]:
    """Keep the rows that share the longest part of the request with it."""

    def closeness(barcode: Barcode) -> tuple[bool, bool, bool]:
        return (
            barcode.text == wanted.text,
            barcode.text.startswith(wanted.text)
            and bool(wanted.vial)
            and bool(barcode.vial),
            # An FFPE slide (vial Z) has no table of its own: its vial decides nothing.
            bool(wanted.vial) and barcode.vial == wanted.vial,
        )

    best = max(closeness(barcode) for _, barcode in fitting)
    return [i for i, barcode in fitting if closeness(barcode) == best]


def _barcode_notes(match: SampleMatch, wanted: Barcode) -> tuple[str, ...]:
    """Say what was assumed about a barcode's sample type and vial."""
    found = parse_barcode(match.sample)
    if found is None:  # pragma: no cover - the row was chosen by its barcode
        return ()
    notes = []
    if not wanted.sample_type and found.sample_type not in {"", "01"}:
        notes.append(
            f"sample {match.sample!r} is a {found.sample_type_name} "
            f"(-{found.sample_type}); there is no -01 of this patient"
        )
    if wanted.sample_type and not found.sample_type:
        notes.append(
            f"sample {match.sample!r} does not say its sample type; "
            f"it was taken for -{wanted.sample_type}"
        )
    if wanted.vial not in {"", "Z", found.vial} and found.vial:
        notes.append(
            f"sample {match.sample!r} is vial {found.vial}, not {wanted.vial}: "
            "another piece of the same tumour"
        )
    return tuple(notes)


def _only(samples: Sequence[str], found: list[int], request: str) -> SampleMatch:
    """Take the one row, or refuse to choose."""
    if len(found) == 1:
        return SampleMatch(samples[found[0]], found[0])
    names = list(dict.fromkeys(samples[i] for i in found))
    if len(names) == 1:
        rows = ", ".join(str(i + 1) for i in found[:_SHOWN])
        msg = (
            f"sample {names[0]!r} stands in {len(found)} samples of the table "
            f"(numbers {rows}) with different values; keep one of them"
        )
        raise UnmatchedSampleError(msg)
    listed = ", ".join(repr(name) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    msg = (
        f"{len(names)} samples could be meant by {request!r}: {listed}{more}; "
        "pass the full identifier of one of them"
    )
    raise UnmatchedSampleError(msg)


def _absent(samples: Sequence[str], request: str) -> str:
    """Say that a patient is not there, and which samples come nearest."""
    by_plain = {_plain(sample): sample for sample in samples}
    near = get_close_matches(_plain(request), list(by_plain), n=3, cutoff=0.6)
    shown = [by_plain[name] for name in near] or list(samples[:3])
    what = "nearest" if near else "for example"
    listed = ", ".join(repr(sample) for sample in shown) or "none"
    count = "1 sample" if len(samples) == 1 else f"{len(samples)} samples"
    return (
        f"patient {request!r} is not among the {count} of the table "
        f"({what}: {listed}); pass an identifier that the table has"
    )


def _plain(text: str) -> str:
    """Reduce an identifier to what case and spaces do not change."""
    return re.sub(r"\s+", "", text).casefold()
