"""Tables that hold neither genes, probes nor clinical variables: refused by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import TableReadError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGNIFICANCE = ("padj", "pvalue", "p.value", "p_value", "adj.p.val", "fdr", "p-value")
# Name, and sets of columns any of which tells it.
_KINDS: tuple[tuple[str, tuple[frozenset[str], ...]], ...] = (
    (
        "a list of mutations (MAF)",
        (
            frozenset({"tumor_sample_barcode", "hugo_symbol"}),
            frozenset({"variant_classification", "start_position"}),
        ),
    ),
    ("a list of variants", (frozenset({"pos", "ref", "alt"}),)),
    (
        "a list of copy-number segments",
        (
            frozenset({"segment_mean"}),
            frozenset({"seg.mean"}),
            frozenset({"loc.start", "loc.end"}),
        ),
    ),
    (
        "a table of copy numbers by gene (GISTIC)",
        (frozenset({"gene symbol", "locus id", "cytoband"}),),
    ),
    (
        "a table of copy numbers by gene",
        (frozenset({"copy_number", "min_copy_number", "max_copy_number"}),),
    ),
    (
        "a table of proteins (reverse phase protein array)",
        (frozenset({"peptide_target", "protein_expression"}),),
    ),
    (
        "a table of microRNA",
        (frozenset({"mirna_id"}),),
    ),
    (
        "the result of a comparison between groups, with one number per gene and none "
        "per sample",
        tuple(
            frozenset({change, significance})
            for change in ("log2foldchange", "logfc", "log2fc", "avg_log2fc")
            for significance in _SIGNIFICANCE
        ),
    ),
)

_EXPECTED = (
    "expected a table of samples: RNA expression, methylation or clinical variables"
)
_MICRO_RNA = re.compile(
    r"(?:[a-z]{3}-)?(?:mir|let|lin)-\d+[a-z0-9]*(?:-\d+)?(?:-[35]p)?(?:\|.+)?"
    r"|MIMAT\d{7}|MI\d{7}",
    re.IGNORECASE,
)
# Host of the antibody (rabbit, mouse, goat …) and how far it was validated.
_ANTIBODY = re.compile(r".+-[RMGT]-(?:[VCENQ]|NA|QC)(?:_GBL\d+)?", re.IGNORECASE)
_PHOSPHORYLATED = re.compile(r".+_p[STY]\d+(?:_?[STY]\d+)*(?:[-_].*)?")
_LOOKED_AT = 4000
_MOST = 0.5
_SOME = 0.05
_AT_LEAST = 3
_SHOWN = 3


def check_foreign(name: str, columns: Sequence[str]) -> None:
    """Refuse a table that its columns show to be none of samples.

    Parameters
    ----------
    name : str
        File name, for messages.
    columns : sequence of str
        Of the table.

    Raises
    ------
    TableReadError
        If it lists mutations, variants, copy numbers or compared genes.
    """
    folded = {str(column).strip().lstrip("#").casefold(): column for column in columns}
    for what, marks in _KINDS:
        for mark in marks:
            if mark <= set(folded):
                told = ", ".join(repr(str(folded[column])) for column in sorted(mark))
                msg = f"{name!r} is {what} (columns {told}); {_EXPECTED}"
                raise TableReadError(msg)


def check_foreign_names(name: str, labels: Sequence[str]) -> None:
    """Refuse a table whose features are neither genes nor probes.

    Parameters
    ----------
    name : str
        File name, for messages.
    labels : sequence of str
        Names along one axis of the table; where that is the axis of the samples, they
        pass.

    Raises
    ------
    TableReadError
        If most are microRNA, or most are antibodies, or some phosphorylated proteins.
    """
    looked = [str(label).strip() for label in labels[:_LOOKED_AT]]
    for what, pattern, share in (
        ("microRNA", _MICRO_RNA, _MOST),
        ("proteins (reverse phase protein array)", _ANTIBODY, _MOST),
        ("phosphorylated proteins", _PHOSPHORYLATED, _SOME),
    ):
        found = [label for label in looked if pattern.fullmatch(label)]
        if len(found) >= max(_AT_LEAST, share * len(looked)):
            told = ", ".join(map(repr, found[:_SHOWN]))
            msg = (
                f"{name!r} is a table of {what} ({len(found)} of {len(looked)} names, "
                f"such as {told}); {_EXPECTED}"
            )
            raise TableReadError(msg)
