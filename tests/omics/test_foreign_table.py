from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders.omics import GENES, as_table, barcodes, beta_frame
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.foreign_table import check_foreign, check_foreign_names
from napari_mmsubtype.omics.table import read_omics


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["Hugo_Symbol", "Chromosome", "Tumor_Sample_Barcode"], "list of mutations"),
        (["#CHROM", "POS", "ID", "REF", "ALT", "QUAL"], "list of variants"),
        (["Sample", "Chromosome", "Start", "Segment_Mean"], "copy-number segments"),
        (["ID", "chrom", "loc.start", "loc.end", "num.mark"], "copy-number segments"),
        (["Gene Symbol", "Locus ID", "Cytoband", *barcodes(2)], "GISTIC"),
        (
            ["gene_id", "copy_number", "min_copy_number", "max_copy_number"],
            "copy numbers by gene",
        ),
        (["AGID", "peptide_target", "protein_expression"], "proteins"),
        (["miRNA_ID", "read_count", "cross-mapped"], "microRNA"),
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


MICRO = ["hsa-let-7a-1", "hsa-mir-21", "hsa-miR-155-5p", "hsa-mir-103a-1", "hsa-mir-9"]
MATURE = ["MIMAT0000062", "MIMAT0000076", "MIMAT0004556"]
ANTIBODIES = ["14-3-3_beta-R-V", "4E-BP1_pS65-R-V", "Bcl-2-M-V", "HER2_pY1248-R-C"]
PAIRED = ["YWHAB|14-3-3_beta-R-V", "ERBB2|HER2-M-V", "BCL2|Bcl-2-M-C"]
PLAIN = ["X1433BETA", "X4EBP1_pS65", "ACC1", "ACC_pS79", "AKT_pT308", "EGFR", "P53"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (MICRO, "microRNA"),
        (MATURE, "microRNA"),
        ([f"{n}|MIMAT0000062" for n in MICRO[:3]], "microRNA"),
        (ANTIBODIES, "proteins"),
        (PAIRED, "proteins"),
        (PLAIN, "phosphorylated proteins"),
    ],
)
@pytest.mark.parametrize("modality", [None, "rna", "methylation"])
@pytest.mark.parametrize("turned", [False, True])
def test_other_molecules_are_never_read_as_genes(
    tmp_path, labels, words, modality, turned
):
    values = np.random.default_rng(0).normal(3, 2, (len(labels), 6)).round(4)
    frame = pd.DataFrame(values, index=labels, columns=barcodes(6, "-01"))
    path = tmp_path / "table.tsv"
    (frame.T if turned else frame).to_csv(path, sep="\t", index_label="sample")
    with pytest.raises(TableReadError, match=rf"'table.tsv' is a table of {words} \("):
        read_omics(path, modality=modality)


def test_other_molecules_in_memory_are_refused_too():
    frame = pd.DataFrame(np.ones((4, len(MICRO))), barcodes(4), MICRO)
    table = as_table(frame, "tpm")
    del table.uns["mmsubtype"]
    with pytest.raises(TableReadError, match="microRNA"):
        read_omics(table, modality="rna", unit="tpm")


@pytest.mark.parametrize(
    "labels",
    [
        [*GENES, "MIR21", "MIRLET7A1", "MIR155HG", "LET7A"],
        [f"{gene}|{i}" for i, gene in enumerate(GENES)],
        [*GENES, "hsa-mir-21", "hsa-mir-155", "hsa-mir-9"],
        ["HLA-A", "HLA-DRB1", "NKX2-1", "MT-ND1", "AC-R-V", "TRA-R-C"] * 3 + [*GENES],
        ["RP11-34P13.7", "AC_p1", "CTD-2341M24.1", "ENSG00000000003.15_PAR_Y"],
        list(beta_frame().columns),
        barcodes(12),
        [f"patient-{i}" for i in range(20)],
        ["P-M-C", "S-1"],
        [],
    ],
)
def test_genes_probes_and_samples_pass(labels):
    check_foreign_names("t", labels)
