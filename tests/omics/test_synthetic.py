"""Synthetic cohorts whose subtype needs both the image and the omics."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from napari_mmsubtype.omics.gene_programs import (
    HOUSEKEEPING_GENES,
    promoter_genes,
    rna_genes,
)
from napari_mmsubtype.omics.synthetic import synthetic_cohort, write_cohort
from napari_mmsubtype.slides.synthetic import parse_address

TRAIN = 300


@pytest.fixture(scope="module")
def cohort():
    return synthetic_cohort(2 * TRAIN, seed=5)


def _held_out_auc(values, labels, *, penalty=0.01):
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=penalty, max_iter=2000)
    )
    model.fit(values[:TRAIN], labels[:TRAIN])
    return roc_auc_score(labels[TRAIN:], model.decision_function(values[TRAIN:]))


@pytest.fixture(scope="module")
def image(cohort):
    basal = cohort.patients["basal"].to_numpy()
    return np.log(basal / (1 - basal))[:, None]


def test_tables_have_one_row_per_patient_and_real_genes(cohort):
    names = list(cohort.patients["patient_id"])
    assert len(set(names)) == 2 * TRAIN
    for table in (cohort.rna, cohort.methylation, cohort.clinical):
        assert list(table.index) == names
        assert table.index.name == "patient_id"
    assert tuple(cohort.rna.columns) == rna_genes()
    assert tuple(cohort.methylation.columns) == promoter_genes()


@pytest.mark.parametrize("modality", ["rna", "methylation"])
def test_omics_alone_tell_something_but_not_all(cohort, modality):
    labels = cohort.patients["label"].to_numpy()
    assert 0.7 < _held_out_auc(getattr(cohort, modality).to_numpy(), labels) < 0.95


def test_image_alone_tells_something_but_not_all(cohort, image):
    labels = cohort.patients["label"].to_numpy()
    assert 0.7 < _held_out_auc(image, labels) < 0.95


@pytest.mark.parametrize("modality", ["rna", "methylation"])
def test_image_and_omics_together_tell_the_label(cohort, image, modality):
    labels = cohort.patients["label"].to_numpy()
    omics = StandardScaler().fit_transform(getattr(cohort, modality).to_numpy())
    image = StandardScaler().fit_transform(image)
    # One column among hundreds needs weight, or the penalty silences it.
    model = LogisticRegression(C=0.05, max_iter=3000)
    both = np.hstack([omics / np.sqrt(omics.shape[1]) * 4, 4 * image])
    model.fit(both[:TRAIN], labels[:TRAIN])
    auc = roc_auc_score(labels[TRAIN:], model.decision_function(both[TRAIN:]))
    assert auc > 0.97


def test_clinical_answers_tell_little(cohort):
    numbers = pd.get_dummies(cohort.clinical.fillna({"tumor_size_mm": 22})).to_numpy()
    auc = _held_out_auc(numbers.astype(float), cohort.patients["label"].to_numpy())
    assert 0.4 < auc < 0.7


def test_scores_correlate_weakly_and_classes_are_balanced(cohort, image):
    score = cohort.patients["omics_score"]
    assert np.corrcoef(score, image[:, 0])[0, 1] == pytest.approx(0.2, abs=0.1)
    assert cohort.patients["label"].mean() == pytest.approx(0.5, abs=0.07)
    assert cohort.patients["basal"].between(0.02, 0.98).all()


def test_markers_follow_the_known_biology(cohort):
    score = cohort.patients.set_index("patient_id")["omics_score"]
    slope = cohort.rna.corrwith(score)
    assert (slope[["ESR1", "PGR", "FOXA1", "GATA3"]] < -0.4).all()
    assert (slope[["KRT5", "KRT14", "KRT17", "EGFR", "FOXC1"]] > 0.4).all()
    assert slope["MKI67"] > 0.2
    assert slope[list(HOUSEKEEPING_GENES)].abs().max() < 0.2
    # Amplification is all or nothing, and takes the neighbour along.
    assert cohort.rna["ERBB2"].corr(cohort.rna["GRB7"]) > 0.4
    assert cohort.rna["CD3E"].corr(cohort.rna["CD8A"]) > 0.4
    assert cohort.rna["CD3E"].corr(cohort.rna["GAPDH"]) < 0.2
    silent = cohort.methylation["ESR1"].corr(cohort.rna["ESR1"])
    assert silent < -0.2


def test_values_are_believable(cohort):
    assert cohort.rna.to_numpy().min() >= 0
    assert cohort.rna.to_numpy().max() < 16
    assert cohort.rna["GAPDH"].mean() > cohort.rna["KRT5"].mean() + 2
    beta = cohort.methylation.to_numpy()
    assert beta.min() >= 0
    assert beta.max() <= 1
    clinical = cohort.clinical
    assert clinical["age"].between(25, 90).all()
    assert set(clinical["sex"]) <= {"female", "male"}
    assert set(clinical["menopausal_status"].dropna()) == {"pre", "post"}
    assert set(clinical["nodal_status"]) == {"N0", "N1", "N2", "N3"}
    assert 0 < clinical["tumor_size_mm"].isna().mean() < 0.1
    age = clinical.groupby("menopausal_status")["age"].mean()
    assert age["post"] > age["pre"] + 10


def test_slide_addresses_say_what_the_table_says():
    cohort = synthetic_cohort(8, seed=1, slide_size=1024)
    slides = [parse_address(address) for address in cohort.patients["slide"]]
    assert [slide.basal for slide in slides] == list(cohort.patients["basal"])
    assert {slide.shape for slide in slides} == {(1024, 1024)}
    assert len({slide.seed for slide in slides}) == 8


def test_equal_seeds_give_equal_cohorts_and_others_do_not():
    first, again, other = (synthetic_cohort(6, seed=s) for s in (2, 2, 3))
    for name in ("patients", "rna", "methylation", "clinical"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name))
        assert not getattr(first, name).equals(getattr(other, name))


@pytest.mark.parametrize(("n", "seed"), [(0, 1), (3, -1)])
def test_impossible_cohorts_are_refused(n, seed):
    with pytest.raises(ValueError, match="n >= 1 patients"):
        synthetic_cohort(n, seed=seed)


def test_files_round_trip_through_pandas(tmp_path):
    cohort = synthetic_cohort(12, seed=4)
    paths = write_cohort(cohort, tmp_path / "new" / "folder")
    assert {key: path.name for key, path in paths.items()} == {
        "rna": "rna.csv.gz",
        "methylation": "methylation.csv.gz",
        "clinical": "clinical.csv",
        "manifest": "manifest.csv",
    }
    for key, table in (
        ("rna", cohort.rna),
        ("methylation", cohort.methylation),
        ("clinical", cohort.clinical),
    ):
        found = pd.read_csv(paths[key], index_col=0)
        pd.testing.assert_frame_equal(found, table, check_dtype=False)
    manifest = pd.read_csv(paths["manifest"])
    pd.testing.assert_frame_equal(manifest, cohort.patients, check_dtype=False)


def test_equal_cohorts_give_equal_bytes(tmp_path):
    for folder in ("a", "b"):
        write_cohort(synthetic_cohort(5, seed=9), tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
