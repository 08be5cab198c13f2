"""Images become cases of their own, and what that hides is told."""

import pytest

from builders.tiles import write_tiles
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.class_heads import ClassHead
from napari_mmsubtype.models.heads import CLASS_HEAD, Heads
from napari_mmsubtype.training.preset_sections import ValidationSettings
from napari_mmsubtype.workflows.cohort import make_cohort
from napari_mmsubtype.workflows.fold_plan import plan_folds
from napari_mmsubtype.workflows.image_cases import divide_images, persons_on_both_sides
from napari_mmsubtype.workflows.manifest import read_manifest

CLASSES = ("Luminal", "Basal/HER2")


def cohort_of(manifest):
    heads = Heads({CLASS_HEAD: ClassHead(CLASSES)})
    return make_cohort(manifest, CLASSES, {}, heads)


def test_each_image_is_a_case_that_tells_its_patient(tmp_path):
    manifest = read_manifest(write_tiles(tmp_path, 3))
    divided = divide_images(manifest, {})
    assert [p.id for p in divided.patients[:3]] == ["p0/p0-0", "p0/p0-1", "p1/p1-0"]
    assert [p.person for p in divided.patients] == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert divided.slides == manifest.slides
    assert all(len(p.slides) == 1 for p in divided.patients)
    assert cohort_of(divided).persons == ("p0", "p0", "p1", "p1", "p2", "p2")
    assert cohort_of(manifest).persons == ("p0", "p1", "p2")


def test_images_of_one_name_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        write_tiles(tmp_path / folder, 1, 1)
    rows = ["patient_id,slide,label", *(f"p,{f}/p0-0.png,x" for f in "ab")]
    path = tmp_path / "cohort.csv"
    path.write_text("\n".join(rows))
    divided = divide_images(read_manifest(path), {})
    assert [p.id for p in divided.patients] == ["p/p0-0 (1)", "p/p0-0 (2)"]


def test_patients_on_both_sides_are_counted_once_each(tmp_path):
    manifest = read_manifest(write_tiles(tmp_path, 12, 3))
    settings = ValidationSettings(folds=3, group="image", seeds=(0, 1))
    cohort = cohort_of(divide_images(manifest, {}))
    plan = plan_folds(cohort, settings)
    assert plan.scheme == "image"
    tested = [row for s in plan.splits if s.repeat == 0 for row in s.test]
    assert sorted(tested) == list(range(36))
    shared = persons_on_both_sides(cohort, plan.splits)
    assert shared == 12
    (note,) = plan.notes
    assert "36 images of 12 patients, 12 of whom" in note
    whole = cohort_of(manifest)
    patients = plan_folds(whole, ValidationSettings(folds=3))
    assert persons_on_both_sides(whole, patients.splits) == 0
    assert patients.notes == ()


def test_folds_of_the_manifest_keep_patients_whole(tmp_path):
    path = write_tiles(tmp_path, 4)
    head, *rows = path.read_text().splitlines()
    rows = [f"{row},{int(row[1]) // 2}" for row in rows]
    path.write_text("\n".join([f"{head},fold", *rows]))
    manifest = read_manifest(path)
    assert divide_images(manifest, {}) is manifest


def test_what_has_no_image_of_its_own_is_refused(tmp_path):
    manifest = read_manifest(write_tiles(tmp_path, 2))
    with pytest.raises(ConfigurationError, match=r"tables hold patients \(rna given\)"):
        divide_images(manifest, {Modality.RNA: "x.csv"})
    path = tmp_path / "bare.csv"
    path.write_text("patient_id,slide,label\na,,x\nb,p0-0.png,x\n")
    with pytest.raises(ConfigurationError, match="1 patients have none, for example"):
        divide_images(read_manifest(path), {})
