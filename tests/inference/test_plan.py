from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

from builders.bundles import tiny_bundle
from builders.stains import DAB, HEMATOXYLIN, stained_tissue
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import (
    ConfigurationError,
    NoTissueError,
    UnmatchedSampleError,
)
from napari_mmsubtype.inference.plan import plan_job
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.omics.omics_file import write_omics
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.slides.region_geojson import write_regions
from napari_mmsubtype.slides.regions import Region
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.stain import fit_pixels, fit_stain
from napari_mmsubtype.slides.tissue import find_tissue
from napari_mmsubtype.slides.tissue_file import open_tissue, write_tissue
from napari_mmsubtype.workflows.jobs import run_job

SLIDE = "synthetic:seed=5,size=1024"


def plan_now(*request):
    return run_job(plan_job(*request))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(tiny_bundle(tmp_path_factory.mktemp("b") / "tiny"))


@pytest.fixture
def plan(bundle):
    def make(**fields):
        with open_slide(SLIDE, mpp=fields.get("mpp")) as slide:
            return plan_now(AnalyzeRecipe(slide=SLIDE, **fields), slide, bundle)

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


@pytest.mark.parametrize(
    "change", [{"mpp": 0.4}, {"stride_px": 64}, {"set_coverage": 0.8}]
)
def test_what_decides_the_numbers_changes_the_fingerprint(plan, change):
    assert plan().fingerprint() != plan(**change).fingerprint()


def test_the_default_coverage_may_be_said_or_not(plan):
    assert plan(set_coverage=0.9).fingerprint() == plan().fingerprint()


def test_another_patient_changes_the_fingerprint(plan, rna):
    prints = {plan(rna=rna, patient=p).fingerprint() for p in "AB"}
    assert len(prints | {plan().fingerprint()}) == 3


def test_present_modalities_are_those_that_the_model_will_see(plan, rna):
    assert plan().present == (Modality.IMAGE,)
    made = plan(rna=rna, patient="C")
    assert made.present == (Modality.IMAGE, Modality.RNA)
    assert made.reports[0].used
    assert made.reports[0].coverage == 1


@pytest.mark.parametrize("kept", ["rna.h5ad", "rna.parquet"])
def test_format_of_a_table_changes_nothing(plan, rna, tmp_path, kept):
    path = tmp_path / kept
    if path.suffix == ".h5ad":
        write_omics(read_omics(rna, modality="rna"), path)
    else:
        pd.read_csv(rna, index_col=0).to_parquet(path)
    first = plan(rna=rna, patient="C")
    second = plan(rna=str(path), patient="C")
    assert first.fingerprint() == second.fingerprint()


def test_what_is_said_of_a_table_overrules_detection(plan, rna):
    made = plan(rna=rna, patient="C", rna_unit="log2(fpkm+1)", rna_samples_in="rows")
    assert made.reports[0].unit == "log2(fpkm+1)"
    assert any("declared" in note for note in made.reports[0].notes)


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


def test_an_error_about_a_table_names_the_options_of_the_analysis(plan, rna):
    with pytest.raises(ConfigurationError, match="pass rna_unit='counts', ") as caught:
        plan(rna=rna, patient="P1", rna_unit="miles")
    assert rna in "".join(caught.value.__notes__)


@pytest.fixture
def regions(tmp_path):
    def write(y0, y1, x0, x1, name=""):
        path = tmp_path / f"{y0}{y1}{x0}{x1}{name}.geojson"
        corners = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
        write_regions(path, [Region(corners, name=name)])
        return str(path)

    return write


def test_regions_divide_the_patches(plan, regions):
    whole = {tuple(at) for at in plan().grid.origin.tolist()}
    left = plan(regions=regions(0, 1024, 0, 512)).grid.origin
    right = plan(regions=regions(0, 1024, 0, 512, "Ignore*")).grid.origin
    assert len(left)
    assert len(right)
    assert (left[:, 1] < 512).all()
    assert (right[:, 1] >= 448).all()
    assert {tuple(at) for at in (*left.tolist(), *right.tolist())} == whole


def test_regions_change_the_fingerprint(plan, regions):
    everything = regions(0, 1024, 0, 1024)
    assert plan(regions=everything).grid.origin.tolist() == plan().grid.origin.tolist()
    prints = {plan(regions=everything).fingerprint(), plan().fingerprint()}
    prints.add(plan(regions=regions(0, 1024, 0, 512)).fingerprint())
    assert len(prints) == 3


def test_regions_that_leave_no_patch_are_refused(plan, regions):
    small = regions(0, 1024, 0, 1024, "Ignore*")
    with pytest.raises(NoTissueError, match="no patch left within the regions") as seen:
        plan(regions=small)
    assert small in str(seen.value)


def test_a_tiny_region_gets_its_patch_and_a_word_about_it(plan, regions):
    made = plan(regions=regions(500, 503, 500, 503, "Tumor"))
    assert made.grid.cell.tolist() == [[1, 1]]
    (warning,) = made.warnings
    assert "'Tumor' of 2 x 2 um at y 502, x 502 px" in warning
    assert plan().warnings == ()


def test_tissue_share_edge_and_quality_belong_to_the_plan(plan):
    prints = {plan().fingerprint()}
    for change in (
        {"min_tissue": 0.9},
        {"exclude": ()},
        {"quality": {"blur_ratio": 0.05}},
    ):
        prints.add(plan(**change).fingerprint())
    assert len(prints) == 4
    assert plan(exclude=("bubble", "blur", "pen")).fingerprint() in prints
    assert plan(min_tissue=0.9).grid.tissue.min() >= 0.9
    cover, inside = plan(mpp=0.45), plan(mpp=0.45, edge="inside")
    assert cover.grid.shape == (4, 4)
    assert inside.grid.shape == (3, 3)


def test_regions_of_another_slide_are_refused_by_name(plan, regions):
    far = regions(5000, 6000, 0, 100)
    with pytest.raises(ConfigurationError, match="outside the slide") as seen:
        plan(regions=far)
    assert far in str(seen.value)


@pytest.mark.parametrize("method", ["macenko", "reinhard", "vahadane"])
def test_the_stain_is_fitted_once_to_the_whole_slide(tmp_path, regions, method):
    bundle = load_bundle(tiny_bundle(tmp_path / "b", info={"stain": method}))
    plans = []
    with open_slide(SLIDE) as slide:
        for area in (None, regions(0, 1024, 0, 512)):
            recipe = AnalyzeRecipe(slide=SLIDE, regions=area)
            plans.append(plan_now(recipe, slide, bundle))
        expected = fit_stain(slide, find_tissue(slide), method)
    assert plans[0].stain == plans[1].stain == expected
    assert plans[0].warnings == ()
    assert not expected.is_identity


def test_the_stain_is_part_of_the_fingerprint(plan, tmp_path):
    made = plan()
    assert made.stain is None
    fits = [fit_pixels(stained_tissue(seed=s)[2]) for s in (0, 1)]
    prints = {replace(made, stain=stain).fingerprint() for stain in (None, *fits)}
    assert len(prints) == 3
    assert made.fingerprint() == replace(made, stain=None).fingerprint()


def test_a_stain_that_cannot_be_fitted_is_a_note(tmp_path, caplog):
    bundle = load_bundle(tiny_bundle(tmp_path / "b", info={"stain": "macenko"}))
    path = tmp_path / "brown.tif"
    image = stained_tissue(512 * 512, stains=(HEMATOXYLIN, DAB))[2]
    image = image.reshape(512, 512, 3)
    tifffile.imwrite(path, image, photometric="rgb")
    with open_slide(path, mpp=0.5) as slide:
        made = plan_now(AnalyzeRecipe(slide=str(path), mpp=0.5), slide, bundle)
    assert made.stain.is_identity
    (note,) = made.warnings
    assert "not stained with hematoxylin and eosin" in note
    assert "colors stay as they are" in caplog.text


@pytest.fixture
def tissue(tmp_path):
    """A mask file of the slide as found, ready to be painted on."""
    with open_slide(SLIDE) as slide:
        return str(write_tissue(tmp_path / "a.tissue.zarr", find_tissue(slide), slide))


def paint(path, value, rows=slice(None), cols=slice(None)):
    with open_slide(SLIDE) as slide:
        array, _ = open_tissue(path, slide, mode="r+")
        array[rows, cols] = value


def test_a_painted_mask_decides_the_patches(plan, tissue):
    assert plan(tissue=tissue).grid.origin.tolist() == plan().grid.origin.tolist()
    paint(tissue, 1)
    everywhere = plan(tissue=tissue).grid
    assert len(everywhere) == everywhere.positions
    paint(tissue, 0, cols=slice(32, None))
    left = plan(tissue=tissue).grid
    assert 0 < len(left) < len(everywhere)
    assert (left.origin[:, 1] < 512).all()


def test_every_stroke_changes_the_fingerprint(plan, tissue):
    prints = {plan().fingerprint(), plan(tissue=tissue).fingerprint()}
    # Too small to change any patch, but the store shows the mask.
    paint(tissue, 1, slice(0, 1), slice(0, 1))
    prints.add(plan(tissue=tissue).fingerprint())
    paint(tissue, 0, slice(0, 1), slice(0, 1))
    assert len(prints) == 3
    assert plan(tissue=tissue).fingerprint() in prints


def test_regions_restrict_a_painted_mask(plan, tissue, regions):
    paint(tissue, 1)
    half = plan(tissue=tissue, regions=regions(0, 1024, 0, 512, "Ignore*")).grid
    assert len(half)
    assert (half.origin[:, 1] >= 448).all()


def test_a_mask_that_leaves_no_patch_is_refused_by_name(plan, tissue):
    paint(tissue, 0)
    paint(tissue, 1, slice(0, 2), slice(0, 2))
    with pytest.raises(NoTissueError, match="no patch left within the tissue") as seen:
        plan(tissue=tissue)
    assert tissue in str(seen.value)


def test_a_missing_mask_is_refused(plan, tmp_path):
    with pytest.raises(ConfigurationError, match="no tissue mask"):
        plan(tissue=str(tmp_path / "gone.zarr"))
