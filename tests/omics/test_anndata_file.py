from __future__ import annotations

from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from builders.omics import GENES, barcodes, beta_frame, clinical_frame, log_frame
from builders.omics_portals import as_anndata, h5ad, h5mu
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics import anndata_file
from napari_mmsubtype.omics.anndata_file import (
    Annotated,
    clinical_columns,
    open_annotated,
    read_annotated,
    take_annotated,
)

LOG = log_frame(5)


def reading(data, layer=None):
    return read_annotated(Annotated(data, ("AnnData",)), "t.h5ad", layer)


def test_matrix_layers_and_raw_are_chosen_and_named():
    data = as_anndata(LOG)
    data.raw = data[:, :4].copy()
    data.layers["counts"] = np.rint(np.exp2(LOG.to_numpy()))
    found = reading(data)
    np.testing.assert_allclose(found.values, LOG, rtol=1e-6)
    assert "values from X; also there: layer 'counts', raw" in found.steps
    assert reading(data, "counts").values[0, 0] == data.layers["counts"][0, 0]
    assert list(reading(data, "raw").features) == list(GENES[:4])
    with pytest.raises(ConfigurationError, match="no layer 'tpm'; it has X, layer"):
        reading(data, "tpm")


def test_sparse_values_become_dense():
    data = as_anndata(LOG)
    data.X = sparse.csr_matrix(LOG.to_numpy())
    np.testing.assert_allclose(reading(data).values, LOG, rtol=1e-6)


@pytest.mark.parametrize(
    ("base", "factor"), [(None, np.log(2)), (2, 1), (10, np.log10(2))]
)
def test_logarithms_of_scanpy_are_brought_to_base_2(base, factor):
    data = as_anndata(LOG * factor)
    data.uns["log1p"] = {"base": base}
    found = reading(data)
    np.testing.assert_allclose(found.values, LOG, rtol=1e-5)
    assert any("brought to 2" in step for step in found.steps) == (base != 2)


def test_genes_in_obs_are_turned():
    data = as_anndata(LOG.T)
    data.obs["entrez_id"] = np.arange(len(GENES)).astype(str)
    found = reading(data)
    assert list(found.samples) == barcodes(5, "")
    assert found.identifiers["entrez"].tolist()[:2] == ["0", "1"]


def test_identifiers_beside_the_features_are_kept():
    data = as_anndata(LOG)
    data.var["gene_ids"] = [f"ENSG{i:011d}.2" for i in range(len(GENES))]
    assert reading(data).identifiers["ensembl"].iloc[1] == "ENSG00000000001.2"


def test_samples_are_named_by_a_column_where_the_index_counts():
    data = as_anndata(LOG)
    data.obs_names = [str(i) for i in range(5)]
    assert list(reading(data).samples) == ["0", "1", "2", "3", "4"]
    data.obs["patient_id"] = list("abcde")
    found = reading(data)
    assert list(found.samples) == list("abcde")
    assert "samples named by obs column 'patient_id'" in found.steps
    data.obs["tcga"] = barcodes(5)
    data.obs["patient_id"] = "x"
    assert set(reading(data).samples) == {"x"}


def test_single_cells_and_empty_matrices_are_refused(monkeypatch):
    with pytest.raises(TableReadError, match="no values in X"):
        reading(anndata.AnnData(obs=pd.DataFrame(index=["a"])))
    monkeypatch.setattr(anndata_file, "MAX_VALUES", 10)
    with pytest.raises(TableReadError, match=r"5 × 30 values.*pseudobulk"):
        reading(as_anndata(LOG))


@pytest.mark.parametrize(
    ("modality", "part"), [(Modality.RNA, "rna"), (Modality.METHYLATION, "DNAm")]
)
def test_part_of_mudata_is_chosen_from_file_and_memory(tmp_path, modality, part):
    parts = {"rna": as_anndata(LOG), "DNAm": as_anndata(beta_frame(5))}
    kept = open_annotated(h5mu(tmp_path / "t.h5mu", **parts), modality)
    taken = take_annotated(SimpleNamespace(mod=parts), modality)
    for found in (kept, taken):
        np.testing.assert_array_equal(found.data.X, parts[part].X)
        assert f"part {part!r}" in found.steps[0]


def test_ambiguous_parts_are_listed(tmp_path):
    path = h5mu(tmp_path / "t.h5mu", a=as_anndata(LOG), b=as_anndata(LOG))
    with pytest.raises(TableReadError, match=r"parts 'a', 'b'.*call the part 'rna'"):
        open_annotated(path, None)
    only = h5mu(tmp_path / "u.h5mu", anything=as_anndata(LOG))
    assert open_annotated(only, None).data.shape == LOG.shape


def test_other_hdf5_files_are_refused(tmp_path):
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        file["matrix"] = np.zeros(3)
    with pytest.raises(TableReadError, match=r"'t.h5' is an HDF5 file with matrix"):
        open_annotated(path, None)
    whole = h5ad(tmp_path / "t.h5ad", LOG)
    whole.write_bytes(whole.read_bytes()[:3000])
    with pytest.raises(TableReadError, match=r"'t.h5ad' is a damaged HDF5 file"):
        open_annotated(whole, None)


def test_other_objects_are_refused():
    with pytest.raises(ConfigurationError, match="DataFrame; pass a path"):
        take_annotated(LOG, None)


def test_obs_serves_as_clinical_table():
    data = as_anndata(LOG)
    data.obs = clinical_frame(5)
    data.obs["stage"] = pd.Categorical(data.obs["stage"])
    data.obs.loc[data.obs_names[1], "sex"] = np.nan
    text = clinical_columns(Annotated(data, ()))
    assert text["obs_names"].tolist() == barcodes(5, "")
    assert text["age"].tolist() == data.obs["age"].astype(str).tolist()
    assert text["sex"].isna().tolist() == [False, True, False, False, False]
