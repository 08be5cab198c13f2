from __future__ import annotations

import numpy as np
import pytest

from builders.omics import GENES, beta_frame, tpm_frame
from builders.omics_gdc import sesame_text, star_text
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.table_files import FileKind
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.gdc_file import (
    modality_of,
    read_one_sample,
    star_column,
)

TPM = tpm_frame(1).iloc[0]


@pytest.fixture
def star(tmp_path):
    path = tmp_path / "x.rna_seq.augmented_star_gene_counts.tsv"
    path.write_text(star_text(TPM))
    return path


@pytest.mark.parametrize(
    ("unit", "column", "factor"),
    [
        (None, "tpm_unstranded", 1.0),
        ("TPM", "tpm_unstranded", 1.0),
        ("fpkm", "fpkm_unstranded", 0.5),
        ("fpkm-uq", "fpkm_uq_unstranded", 0.25),
        ("fpkm_uq_unstranded", "fpkm_uq_unstranded", 0.25),
    ],
)
def test_column_is_chosen_by_unit(star, unit, column, factor):
    chosen, finding = star_column(unit)
    assert chosen == column
    assert column in finding.evidence
    found = read_one_sample(star, FileKind.STAR, chosen)
    np.testing.assert_allclose(found.values[:-1], TPM * factor, rtol=1e-6)
    assert found.symbols.tolist() == [*GENES, "PLCXD1"]


def test_counts_are_the_unstranded_ones(star):
    column, finding = star_column("counts")
    assert finding.unit.name == "counts"
    found = read_one_sample(star, FileKind.STAR, column)
    np.testing.assert_array_equal(found.values[:-1], np.rint(TPM * 10))


def test_summary_rows_are_left_out(star):
    found = read_one_sample(star, FileKind.STAR, "tpm_unstranded")
    assert len(found.features) == len(GENES) + 1
    assert all(name.startswith("ENSG") for name in found.features)


def test_older_counts_without_header(tmp_path):
    path = tmp_path / "x.htseq.counts"
    path.write_text("ENSG00000000003.13\t2013\nENSG00000000005.5\t5\n__no_feature\t9\n")
    found = read_one_sample(path, FileKind.PAIRS, "value")
    assert found.values.tolist() == [2013, 5]
    assert modality_of(path, FileKind.PAIRS) is Modality.RNA


def test_betas_without_header(tmp_path):
    beta = beta_frame(1).iloc[0]
    beta.iloc[2] = np.nan
    path = tmp_path / "x.sesame.level3betas.txt"
    path.write_text(sesame_text(beta))
    found = read_one_sample(path, FileKind.PAIRS, "value")
    np.testing.assert_allclose(found.values, beta, rtol=1e-6)
    assert found.symbols is None
    assert modality_of(path, FileKind.PAIRS) is Modality.METHYLATION


def test_units_that_the_files_lack_are_refused(star):
    with pytest.raises(ConfigurationError, match=r"no column in 'log2\(tpm\+1\)'"):
        star_column("log2(tpm+1)")
    with pytest.raises(ConfigurationError, match="'beta'"):
        star_column("beta")
    star.write_text(star.read_text().replace("tpm_unstranded", "other"))
    with pytest.raises(
        TableReadError, match=r"no column 'tpm_unstranded'.*pass unit='unst"
    ):
        read_one_sample(star, FileKind.STAR, "tpm_unstranded")


def test_file_of_summaries_alone_is_refused(star):
    lines = star.read_text().splitlines()
    star.write_text("\n".join(lines[:6]) + "\n")
    with pytest.raises(TableReadError, match="no gene or probe"):
        read_one_sample(star, FileKind.STAR, "tpm_unstranded")
