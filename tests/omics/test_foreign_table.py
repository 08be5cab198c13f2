from __future__ import annotations

import pytest

from builders.omics import GENES, barcodes
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.foreign_table import check_foreign
from napari_mmsubtype.omics.table import read_omics


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["Hugo_Symbol", "Chromosome", "Tumor_Sample_Barcode"], "list of mutations"),
        (["#CHROM", "POS", "ID", "REF", "ALT", "QUAL"], "list of variants"),
        (["Sample", "Chromosome", "Start", "Segment_Mean"], "copy-number segments"),
        (["ID", "chrom", "loc.start", "loc.end", "num.mark"], "copy-number segments"),
        (["Gene Symbol", "Locus ID", "Cytoband", *barcodes(2)], "GISTIC"),
        (["", "baseMean", "log2FoldChange", "pvalue", "padj"], "one number per gene"),
        (["gene", "logFC", "AveExpr", "t", "adj.P.Val"], "'adj.P.Val', 'logFC'"),
    ],
)
def test_tables_of_something_else_are_named(columns, words):
    with pytest.raises(TableReadError, match=rf"'t'.*{words}.*a table of samples"):
        check_foreign("t", columns)


@pytest.mark.parametrize(
    "columns",
    [
        ["patient_id", *GENES],
        ["Hugo_Symbol", "Entrez_Gene_Id", *barcodes(3)],
        ["patient", "age", "sex", "pvalue"],
        ["Gene Symbol", *barcodes(3)],
    ],
)
def test_tables_of_samples_pass(columns):
    check_foreign("t", columns)


@pytest.mark.parametrize("modality", [None, "rna", "clinical"])
def test_mutations_are_never_read_as_values_of_a_patient(tmp_path, modality):
    path = tmp_path / "cohort.maf"
    path.write_text(
        "#version 2.4\nHugo_Symbol\tStart_Position\tTumor_Sample_Barcode\n"
        "TP53\t7675088\tTCGA-E2-A000-01A-11D-A12D-09\n"
        "PIK3CA\t179234297\tTCGA-E2-A001-01A-11D-A12D-09\n"
    )
    with pytest.raises(TableReadError, match="is a list of mutations"):
        read_omics(path, modality=modality)
