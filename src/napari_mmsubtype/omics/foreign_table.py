"""Tables about genes that hold no values of samples: refused by what they are."""

from __future__ import annotations

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
        "copy numbers by gene (GISTIC)",
        (frozenset({"gene symbol", "locus id", "cytoband"}),),
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
                msg = (
                    f"{name!r} is {what} (columns {told}); expected a table of "
                    "samples: RNA expression, methylation or clinical variables"
                )
                raise TableReadError(msg)
