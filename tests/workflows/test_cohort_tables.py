"""Rows of a table are found for patients, and brought into a model's features."""

import numpy as np
import pytest

from builders.crossval import draw, open_cohort, small_preset, write
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.preset_build import fit_modality_settings
from napari_mmsubtype.workflows.cohort_tables import read_tables_job
from napari_mmsubtype.workflows.jobs import run_job


def test_patients_that_a_table_lacks_have_no_row(tmp_path):
    drawn = draw(12)
    drawn["rna"] = drawn["rna"].sample(frac=1, random_state=0).drop(index="P004")
    cohort = open_cohort(write(tmp_path, drawn))
    table = cohort.tables[Modality.RNA]
    assert np.flatnonzero(~table.has).tolist() == [4]
    assert table.rows_of([3, 4, 5]) == ["P003", "P005"]
    spec = fit_modality_settings(small_preset(), table.table, table.rows_of(range(12)))
    values, used = table.transform(spec)
    np.testing.assert_array_equal(used, table.has)
    assert (values[4] == 0).all()
    known = drawn["rna"].loc[["P000"], list(spec.names)].to_numpy()[0]
    mean, std = (spec.features[c].to_numpy() for c in ("mean", "std"))
    np.testing.assert_allclose(values[0], (known - mean) / std, rtol=1e-4, atol=1e-4)


def test_a_table_of_other_patients_is_refused(tmp_path):
    options = write(tmp_path, draw(6))
    job = read_tables_job({Modality.RNA: options["rna"]}, ["X1", "X2"],
                          {Modality.RNA: {"unit": "z-score"}})  # fmt: skip
    with pytest.raises(ConfigurationError, match="holds none of the 2 patients"):
        run_job(job)


def test_the_digest_follows_the_content(tmp_path):
    first = open_cohort(write(tmp_path / "a", draw(6)))
    same = open_cohort(write(tmp_path / "b", draw(6)))
    other = open_cohort(write(tmp_path / "c", draw(6, seed=1)))
    digests = [c.tables[Modality.RNA].digest for c in (first, same, other)]
    assert digests[0] == digests[1] != digests[2]
