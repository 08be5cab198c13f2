"""Modalities, and the case that gathers one patient's files."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class Modality(StrEnum):
    """A kind of data about one patient, in the order used everywhere."""

    IMAGE = "image"
    RNA = "rna"
    METHYLATION = "methylation"
    CLINICAL = "clinical"


OMICS = (Modality.RNA, Modality.METHYLATION, Modality.CLINICAL)
"""The modalities that come as tables."""


def ordered(modalities: Iterable[Modality]) -> tuple[Modality, ...]:
    """Bring modalities into the order used everywhere, without repeats.

    Parameters
    ----------
    modalities : iterable of Modality
        In any order.

    Returns
    -------
    tuple of Modality
        In the order of the enumeration.
    """
    wanted = set(modalities)
    return tuple(m for m in Modality if m in wanted)


def subsets(modalities: Iterable[Modality]) -> list[tuple[Modality, ...]]:
    """List every non-empty subset, the whole set first and single ones last.

    Parameters
    ----------
    modalities : iterable of Modality
        The modalities at hand.

    Returns
    -------
    list of tuple of Modality
        ``2**m - 1`` subsets, each in the order used everywhere.
    """
    members = ordered(modalities)
    return [
        subset
        for size in range(len(members), 0, -1)
        for subset in combinations(members, size)
    ]


def subset_key(subset: Iterable[Modality]) -> str:
    """Name a subset of modalities, for example ``"image+rna"``.

    Parameters
    ----------
    subset : iterable of Modality
        The modalities that a call used.

    Returns
    -------
    str
        Their names, in the order used everywhere, joined by ``+``.
    """
    return "+".join(ordered(subset))


@dataclass(frozen=True, slots=True)
class Case:
    """The files of one patient.

    Attributes
    ----------
    slide : str
        Path of the slide, or a ``synthetic:`` address.
    patient : str or None
        Identifier to look up in the tables; None where no table is given.
    tables : mapping of Modality to Path
        Omics tables, one per modality at most.
    """

    slide: str
    patient: str | None = None
    tables: Mapping[Modality, Path] = field(
        default_factory=lambda: MappingProxyType({})
    )
