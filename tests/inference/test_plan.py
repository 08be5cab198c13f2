import numpy as np
import pandas as pd
import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import UnmatchedSampleError
from napari_mmsubtype.inference.plan import make_plan
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.slides.registry import open_slide

SLIDE = "synthetic:seed=5,size=1024"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(tiny_bundle(tmp_path_factory.mktemp("b") / "tiny"))


@pytest.fixture
def plan(bundle):
    def make(**fields):
        with open_slide(SLIDE, mpp=fields.get("mpp")) as slide:
            return make_plan(AnalyzeRecipe(slide=SLIDE, **fields), slide, bundle)

    return make


@pytest.fixture(scope="module")
def rna(bundle, tmp_path_factory):
    genes = list(bundle.modalities[Modality.RNA].features["feature"])
    values = np.random.default_rng(0).uniform(0, 12, size=(4, len(genes)))
    path = tmp_path_factory.mktemp("t") / "rna.csv"
    pd.DataFrame(values, index=list("ABCD"), columns=genes).to_csv(path)
    return str(path)


def test_the_same_request_has_the_same_fingerprint(plan):
    assert plan().fingerprint() == plan(device="cpu", batch_size=3).fingerprint()


@pytest.mark.parametrize("change", [{"mpp": 0.4}, {"stride_px": 64}])
def test_what_decides_the_numbers_changes_the_fingerprint(plan, change):
    assert plan().fingerprint() != plan(**change).fingerprint()


def test_another_patient_changes_the_fingerprint(plan, rna):
    prints = {plan(rna=rna, patient=p).fingerprint() for p in "AB"}
    assert len(prints | {plan().fingerprint()}) == 3


def test_present_modalities_are_those_that_the_model_will_see(plan, rna):
    assert plan().present == (Modality.IMAGE,)
    made = plan(rna=rna, patient="C")
    assert made.present == (Modality.IMAGE, Modality.RNA)
    assert made.reports[0].used
    assert made.reports[0].coverage == 1


def test_a_table_with_too_few_features_counts_as_missing_and_says_why(
    plan, rna, tmp_path
):
    thin = pd.read_csv(rna, index_col=0).iloc[:, :1]
    thin["OTHER1"] = 1.5
    thin["OTHER2"] = [2.0, 0.5, 7.25, 3.5]
    thin.to_csv(tmp_path / "thin.csv")
    made = plan(rna=str(tmp_path / "thin.csv"), patient="C")
    assert made.present == (Modality.IMAGE,)
    report = made.reports[0]
    assert not report.used
    assert report.reason
    assert report.matched == 1


def test_an_error_names_the_table_it_is_about(plan, rna):
    with pytest.raises(UnmatchedSampleError) as caught:
        plan(rna=rna, patient="Z")
    assert rna in "".join(caught.value.__notes__)
