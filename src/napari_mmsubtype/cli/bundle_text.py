"""Bundles as text for a terminal."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from unicodedata import category

from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.models.model_card import card_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from napari_mmsubtype.models.bundle_details import BundleDetails
    from napari_mmsubtype.models.bundle_import import Imported
    from napari_mmsubtype.models.bundle_library import LibraryEntry
    from napari_mmsubtype.models.bundle_summary import BundleSummary
    from napari_mmsubtype.models.bundle_verify import Verification

_LABEL = 13
_WIDTH = 88
_SHOWN = 6
_DIGEST = 16


def entry_record(entry: LibraryEntry) -> dict[str, Any]:
    """Describe one line of the list in plain JSON types.

    Parameters
    ----------
    entry : LibraryEntry
        A bundle, usable or not.

    Returns
    -------
    dict
        ``name``, ``path``, ``problem`` and, where usable, ``bundle``: its summary.
    """
    return {
        "name": entry.name,
        "path": None if entry.path is None else str(entry.path),
        "problem": entry.problem,
        "bundle": None if entry.summary is None else asdict(entry.summary),
    }


def entries_text(entries: Iterable[LibraryEntry], folder: Path) -> str:
    """Lay out the bundles at hand.

    Parameters
    ----------
    entries : iterable of LibraryEntry
        As `list_bundles`.
    folder : Path
        Of the library.

    Returns
    -------
    str
        A block for each; broken ones with their reason.
    """
    lines: list[str] = []
    for entry in entries:
        lines += [entry.name]
        if entry.summary is None:
            lines += _row("unusable", entry.problem)
        else:
            lines += _summary_rows(entry.summary)
        lines += [""]
    return plain_text([*lines, *_row("library", str(folder), indent="")])


def details_text(details: BundleDetails) -> str:
    """Lay out all about one bundle.

    Parameters
    ----------
    details : BundleDetails
        As `describe_bundle`.

    Returns
    -------
    str
        What it takes and gives, then its model card.
    """
    lines = [details.summary.name, *_summary_rows(details.summary)]
    lines += _row("path", str(details.path))
    lines += _row("size", f"{details.summary.size_bytes / 1e6:.1f} MB")
    patch = details.manifest["patch"]
    lines += _row("patch", f"{patch['size_px']} px at {patch['mpp']:g} µm/px")
    for name, head in details.manifest["heads"].items():
        lines += _row("head", f"{name}: {_words(head)}")
    for name, table in details.features.items():
        unit = f", unit {table['unit']}" if table["unit"] else ""
        lines += _row(name, f"{table['count']} features{unit}: {_some(table['names'])}")
    for words in Calibration.from_dict(details.calibration).words():
        lines += _row("calibration", words)
    if details.origin:
        lines += _row("imported", _words(details.origin))
    for note in details.notes:
        lines += _row("note", note)
    return plain_text([*lines, "", card_body(details.card)])


def verification_text(found: Verification) -> str:
    """Lay out what was found right about a bundle.

    Parameters
    ----------
    found : Verification
        As `verify_bundle`.

    Returns
    -------
    str
        One check per line, then what its user should know.
    """
    lines = [f"{found.name} {found.version}: verified"]
    for check, words in found.checks.items():
        lines += _row(check, words)
    lines += _row("digest", found.digest)
    for note in found.notes:
        lines += _row("note", note)
    return plain_text(lines)


def imported_text(done: Imported) -> str:
    """Say what was imported and how to use it.

    Parameters
    ----------
    done : Imported
        As `import_bundle`.

    Returns
    -------
    str
        What was verified, where it is, and the option that takes it.
    """
    lines = [verification_text(done.verification), *_row("imported to", str(done.path))]
    if done.origin["revision"]:
        lines += _row("revision", done.origin["revision"])
    return "\n".join([*lines, f"Use it with --bundle {done.name}"])


def _summary_rows(summary: BundleSummary) -> list[str]:
    synthetic = " (knows synthetic patients only)" if summary.synthetic else ""
    rows = {
        "bundle": f"{summary.name} {summary.version}{synthetic}",
        "classes": ", ".join(summary.classes),
        "encoder": summary.encoder,
        "fusion": summary.fusion,
        "modalities": ", ".join(summary.modalities),
        "license": summary.license,
        "digest": summary.digest[:_DIGEST],
    }
    return [line for label, words in rows.items() for line in _row(label, words)]


def _row(label: str, text: str, indent: str = "  ") -> list[str]:
    """Write a label and its text, wrapped beside it."""
    wrapped = textwrap.wrap(
        text,
        _WIDTH - _LABEL - len(indent),
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [
        f"{indent}{label if i == 0 else '':<{_LABEL}}{line}"
        for i, line in enumerate(wrapped or ["-"])
    ]


def plain_text(lines: Iterable[str]) -> str:
    """Join lines, without what could steer the terminal: strangers wrote some.

    Parameters
    ----------
    lines : iterable of str
        Any text.

    Returns
    -------
    str
        Without control characters but line ends and tabs.
    """
    text = "\n".join(lines)
    return "".join(c for c in text if c in "\n\t" or not category(c).startswith("C"))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _words(entries: Mapping[str, Any]) -> str:
    """Write entries within a line; what is nested keeps its JSON."""
    return ", ".join(
        f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in entries.items()
        if value is not None
    )
