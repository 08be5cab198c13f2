from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.widgets.analyze_form import (
    AnalyzeForm,
    results_folder,
    suggest_patient,
)
from napari_mmsubtype.widgets.slide_field import SlideChoice

FULL = AnalyzeRecipe(
    slide="/data/TCGA-E2-A14V-01Z-00-DX1.tif",
    bundle="/models/mine",
    patient="P-7",
    rna="/data/rna.csv",
    methylation="/data/meth.csv.gz",
    clinical="/data/clin.tsv",
    mpp=0.25,
    stride_px=64,
    regions="/data/regions.geojson",
    min_tissue=0.25,
    edge="inside",
    quality={"blur_ratio": 0.05},
    exclude=("fold",),
    tissue="/data/a.tissue.zarr",
    set_coverage=0.95,
    device="cpu",
    precision="bfloat16",
    batch_size=16,
    out="/results",
)
IMAGE_ONLY = AnalyzeRecipe(slide="/data/a.svs", out="/data")


@pytest.fixture
def form(qtbot: Any) -> AnalyzeForm:
    widget = AnalyzeForm()
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize("recipe", [FULL, IMAGE_ONLY], ids=["full", "image only"])
def test_round_trip(form, recipe: AnalyzeRecipe) -> None:
    form.setValue(recipe)
    assert form.value() == recipe


def test_second_request_leaves_nothing_of_the_first(form) -> None:
    form.setValue(FULL)
    form.setValue(IMAGE_ONLY)
    assert form.value() == IMAGE_ONLY


def test_without_a_slide_there_is_no_request(form) -> None:
    with pytest.raises(ConfigurationError, match="Open a slide"):
        form.value()


@pytest.mark.parametrize(
    ("slide", "patient"),
    [
        ("/x/TCGA-E2-A14V-01Z-00-DX1.tif", "TCGA-E2-A14V"),
        ("tcga-cr-7395-01a-01-ts1.svs", "TCGA-CR-7395"),
        ("/TCGA-AA-0001/CMU-1.svs", ""),
        ("synthetic:seed=1", ""),
    ],
)
def test_patient_is_read_out_of_the_name_of_the_slide(slide, patient) -> None:
    assert suggest_patient(slide) == patient


def test_suggestion_follows_the_slide_until_the_user_types(form) -> None:
    a14v = SlideChoice("a", "/x/TCGA-E2-A14V-01Z.tif", 0.25)
    cr = SlideChoice("b", "/x/TCGA-CR-7395-01A.svs", 0.25)
    form.slide.setChoices([a14v])
    assert form.patient.text() == "TCGA-E2-A14V"
    form.slide.setChoices([cr])
    assert form.patient.text() == "TCGA-CR-7395"
    form.patient.setText("mine")
    form.slide.setChoices([cr])
    assert form.patient.text() == "mine"


def test_patient_that_the_user_wrote_belongs_to_the_slide(form) -> None:
    a14v = SlideChoice("a", "/x/TCGA-E2-A14V-01Z.tif", 0.25)
    other = SlideChoice("b", "/x/b.svs", 0.25)
    form.patient.setText("first")  # before any slide is open: for the one to come
    form.slide.setChoices([other])
    assert form.patient.text() == "first"
    form.slide.setChoices([other, a14v], a14v.path)
    assert form.patient.text() == "TCGA-E2-A14V"
    form.patient.setText("")
    form.slide.setChoices([])
    assert form.patient.text() == ""
    form.slide.setChoices([other, a14v], other.path)
    assert form.patient.text() == "first"
    form.slide.setChoices([a14v])
    assert form.patient.text() == ""


def test_result_goes_beside_the_slide_unless_told_otherwise(form) -> None:
    form.slide.setChoices([SlideChoice("a", "/data/a.svs", 0.5)])
    assert form.value().out == str(Path("/data").absolute())
    form.out.setValue("/elsewhere")
    assert form.value().out == "/elsewhere"
    assert results_folder("synthetic:seed=1").parent == Path.home()


def test_problems_are_shown_beside_their_fields_on_run(form, tmp_path: Path) -> None:
    form.slide.setChoices([SlideChoice("a", "/data/a.tif")])
    table = tmp_path / "rna.csv"
    table.touch()
    form.tables["rna"].setValue(str(table))
    form.tables["clinical"].setValue(str(tmp_path / "gone.tsv"))
    assert form.notes()["slide"] == ""  # no nagging before Run
    assert not form.validate()
    notes = form.notes()
    assert "pixel size" in notes["slide"]
    assert "gone.tsv" in notes["clinical"]
    assert "patient" in notes["patient"]
    assert notes["rna"] == notes["bundle"] == ""


def test_note_goes_as_soon_as_the_field_is_mended(form, tmp_path: Path) -> None:
    form.slide.setChoices([SlideChoice("a", "/data/a.tif")])
    assert not form.validate()
    form.slide._spin.setValue(0.5)
    assert form.notes()["slide"] == ""
    assert form.validate()


def test_mistyped_path_is_noted_while_it_is_typed(form, tmp_path: Path) -> None:
    form.tables["rna"].setValue(str(tmp_path / "gone.csv"))
    assert "gone.csv" in form.notes()["rna"]
    form.tables["rna"].setValue(None)
    assert form.notes()["rna"] == ""


def test_every_edit_is_told(form, qtbot) -> None:
    for edit in (
        lambda: form.patient.setText("x"),
        lambda: form.bundle.setValue("/m"),
        lambda: form.device.setValue("cpu"),
        lambda: form.stride.setValue(64),
        lambda: form.quality.setValue(FULL),
        lambda: form.batch.setValue(8),
        lambda: form.tables["methylation"].setValue("m.csv"),
    ):
        with qtbot.waitSignal(form.valueChanged, timeout=1000):
            edit()


def test_absent_regions_are_named_before_the_run(form, tmp_path) -> None:
    form.setValue(IMAGE_ONLY)
    form.regions.setValue(str(tmp_path / "absent.geojson"))
    assert form.problems()["regions"] == "There is no file named absent.geojson."
    assert not form.validate()
    assert "absent" in form.notes()["regions"]
