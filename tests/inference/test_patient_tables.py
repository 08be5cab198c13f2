from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import psutil
import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.inference.patient_tables import align_tables_job
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.omics.preprocessing import align_sample
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.workflows.jobs import run_job


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(tiny_bundle(tmp_path_factory.mktemp("b") / "tiny"))


@pytest.fixture(scope="module")
def rna(bundle, tmp_path_factory):
    genes = list(bundle.modalities[Modality.RNA].features["feature"])
    more = [f"G{i}" for i in range(5000)]
    values = np.random.default_rng(0).uniform(0, 12, size=(40, len(genes + more)))
    path = tmp_path_factory.mktemp("t") / "rna.csv"
    index = [f"P{i}" for i in range(40)]
    pd.DataFrame(values, index=index, columns=genes + more).to_csv(path)
    assert path.stat().st_size > 2**20
    return str(path)


def recipe(**fields):
    return AnalyzeRecipe(slide="synthetic:seed=1", patient="P7", **fields)


def test_rows_are_those_that_reading_and_aligning_give(bundle, rna):
    events = []
    (found,) = run_job(
        align_tables_job(recipe(rna=rna), bundle), events.append
    ).values()
    spec = bundle.modalities[Modality.RNA]
    expected = align_sample(read_omics(rna, modality="rna"), "P7", spec)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.report == expected.report
    assert {(e.stage, e.total, e.message) for e in events} == {
        ("tables", 0, "reading rna.csv")
    }


def test_closing_the_job_stops_the_reading(bundle, rna):
    job = align_tables_job(recipe(rna=rna), bundle)
    for _ in range(3):
        next(job)
    (child,) = psutil.Process().children()
    job.close()
    assert not child.is_running()


def test_without_tables_there_is_nothing_to_wait_for(bundle):
    assert run_job(align_tables_job(recipe(), bundle)) == {}


def test_a_modality_that_the_model_lacks_is_refused_before_any_is_read(bundle):
    modalities = dict(bundle.modalities)
    del modalities[Modality.METHYLATION]
    request = recipe(rna="missing.csv", methylation="missing.csv")
    with pytest.raises(ConfigurationError, match="has no methylation branch"):
        run_job(align_tables_job(request, replace(bundle, modalities=modalities)))


def test_a_table_that_the_model_does_not_look_at_is_not_used(tmp_path, bundle, rna):
    baseline = load_bundle(tiny_bundle(tmp_path / "image", fusion="image_only"))
    (found,) = run_job(align_tables_job(recipe(rna=rna), baseline)).values()
    (seen,) = run_job(align_tables_job(recipe(rna=rna), bundle)).values()
    assert found.values is None
    assert found.report == replace(
        seen.report, used=False, reason="the model looks at image alone"
    )


def test_an_error_names_the_table_and_the_option(bundle, rna):
    with pytest.raises(TableReadError, match="no table at") as caught:
        run_job(align_tables_job(recipe(rna="missing.csv"), bundle))
    assert caught.value.__notes__ == ["in the rna table 'missing.csv'"]
    with pytest.raises(ConfigurationError, match="rna_unit"):
        run_job(align_tables_job(recipe(rna=rna, rna_unit="beta"), bundle))
