import numpy as np
import pandas as pd
import pytest

from builders.bundles import GENES, tiny_bundle
from napari_mmsubtype.errors import ConfigurationError, StoreError
from napari_mmsubtype.inference.replay import replay_case_job
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.jobs import run_job

SLIDE = "synthetic:seed=5,size=1024"


def write_rna(path, seed):
    values = np.random.default_rng(seed).uniform(0, 12, (1, len(GENES)))
    pd.DataFrame(values, index=["P1"], columns=list(GENES)).to_csv(
        path, index_label="patient_id"
    )
    return path


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    bundle = tiny_bundle(folder / "late", fusion="late", width=32)
    rna = write_rna(folder / "rna.csv", 0)
    return analyze(SLIDE, bundle, rna=rna, patient="P1", out=folder, device="cpu")


def test_a_replayed_case_gives_the_call_again_and_its_gradients(analysed):
    replayed = run_job(replay_case_job(analysed))
    assert not replayed.exact
    assert replayed.used.all()
    np.testing.assert_array_equal(replayed.embeddings, analysed.embeddings)
    gradients = replayed.gradients()
    assert gradients.shape == (len(analysed.grid), 2, replayed.bundle.encoder.dim)
    # The map that the analysis drew is the gradient times the embedding.
    expected = np.einsum("ncd,nd->nc", gradients, analysed.embeddings.astype(float))
    found = analysed.cell_evidence.sum(axis=(2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-4)


def test_another_table_is_noticed(analysed):
    path = write_rna(analysed.recipe.tables["rna"], 1)
    try:
        with pytest.raises(ConfigurationError, match=r"rna\.csv changed since"):
            run_job(replay_case_job(analysed))
    finally:
        write_rna(path, 0)
    run_job(replay_case_job(analysed))


def test_another_model_under_the_same_name_is_noticed(analysed, tmp_path):
    bundle = tiny_bundle(tmp_path / "b", fusion="late", width=32)
    result = analyze(SLIDE, bundle, out=tmp_path, device="cpu")
    for path in sorted(bundle.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    bundle.rmdir()
    tiny_bundle(bundle, fusion="late", width=32, seed=1)
    with pytest.raises(ConfigurationError, match="now holds another model"):
        run_job(replay_case_job(result))


def test_an_interrupted_analysis_is_refused(tmp_path):
    from builders.stores import begin_store

    with pytest.raises(StoreError, match="incomplete"):
        run_job(replay_case_job(open_result(begin_store(tmp_path).path)))
