"""A manifest gives patients, or every reason why it does not."""

from pathlib import Path

import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.workflows.cohort_targets import Target
from napari_mmsubtype.workflows.manifest import read_manifest

CLASSES = ("Luminal", "Basal/HER2")


def write(folder, *lines, name="cohort.csv"):
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def faults_of(path, **options):
    with pytest.raises(ConfigurationError) as caught:
        read_manifest(path, **options)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_slides_of_a_patient_are_gathered_and_paths_are_of_the_manifest(tmp_path):
    (tmp_path / "slides").mkdir()
    for name in ("a.tif", "b.tif"):
        (tmp_path / "slides" / name).touch()
    path = write(
        tmp_path,
        "patient_id,slide,label,site,mpp",
        "P1,slides/a.tif,Luminal,A2,0.25",
        "P2,,Basal/HER2,,",
        "",
        "P1,slides/b.tif,Luminal,A2,",
        'P3,"synthetic:seed=1,size=512",,B1,',
    )
    manifest = read_manifest(path, labels=CLASSES)
    first, second, third = manifest.patients
    folder = tmp_path / "slides"
    assert [(s.path, s.mpp, s.line) for s in first.slides] == [
        (str(folder / "a.tif"), 0.25, 2),
        (str(folder / "b.tif"), None, 5),
    ]
    assert (first.label, first.site, first.line) == ("Luminal", "A2", 2)
    assert (second.slides, second.site) == ((), "")
    assert (third.slides[0].path, third.label) == ("synthetic:seed=1,size=512", "")
    assert [slide.line for slide in manifest.slides] == [2, 5, 6]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark_are_read(tmp_path, delimiter):
    path = tmp_path / "cohort.csv"
    lines = [["Patient_ID", "label"], ["P1", "Luminal"]]
    text = "\r\n".join(map(delimiter.join, lines))
    path.write_text("\ufeff" + text, encoding="utf-8")
    manifest = read_manifest(path, labels=CLASSES)
    assert [(p.id, p.label) for p in manifest.patients] == [("P1", "Luminal")]


def test_every_fault_is_listed_with_its_lines(tmp_path):
    (tmp_path / "a.tif").touch()
    path = write(
        tmp_path,
        "patient_id,slide,label,site,mpp,fold,split",
        "P1,a.tif,Luminal,A2,0.25,0,train",
        "P1,gone.tif,Luminal,B1,40,0,train",
        ",,Luminal,A2,,1,train",
        "P2,a.tif,Luminall,A2,,x,test",
        "p2,,Basal/HER2,A2,,3,exam",
        "P3,,Luminal,A2,,3,",
    )
    assert faults_of(path, labels=CLASSES) == [
        "fold and split are both given; remove one of the columns",
        "folds must be numbered 0, 1, 2, ... without gaps, found [0, 3]",
        f"lines 2, 5: slide {str(tmp_path / 'a.tif')!r} stands more than once",
        "lines 2-3: rows of 'P1' differ in site: 'A2', 'B1'",
        "line 3: slide 'gone.tif' is not there",
        "line 3: mpp must be 0.05 to 20 um per pixel, found '40'",
        "line 4: patient_id is empty",
        "lines 5-6: 'P2', 'p2' differ in case or spaces only; use one of them",
        "line 5: label 'Luminall' is no class of the preset, which tells apart Luminal,"
        " Basal/HER2; leave these patients out, or change the classes",
        "line 5: fold must be a whole number from 0, found 'x'",
        "line 5: fold must be given for all patients or for none",
        "line 6: split must be train or test, found 'exam'",
        "lines 6-7: split must be given for all patients or for none",
    ]


def test_a_row_of_too_few_cells_hides_no_other_fault(tmp_path):
    path = write(
        tmp_path,
        "patient_id,slide,label,fold",
        "P1,nope.svs,Luminal,0",
        "P2,,Foo,2",
        "P3,",
    )
    # Fold 1 may be that of the last patient.
    assert [fault.partition(";")[0] for fault in faults_of(path, labels=CLASSES)] == [
        "line 2: slide 'nope.svs' is not there",
        "line 3: label 'Foo' is no class of the preset, which tells apart "
        "Luminal, Basal/HER2",
        "line 4: a row needs 4 cells, as the header has",
    ]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["patient,label", "P1,x"], "patient_id are needed, found patient, label"),
        (["patient_id,label,label", "P1,x,y"], "columns label stand more than once"),
        (["patient_id,label"], "it holds no patient"),
        (["patient_id,label", "P1,x,y"], "line 2: a row needs 2 cells"),
        (["patient_id,label", "P1,", "P2,"], "no patient has a label"),
        (
            ["patient_id,label,split", "P1,x,train", "P2,x,train"],
            "split needs patients of both train and test",
        ),
        (
            ["patient_id,label,slide", "P1,x,", "P1,x,synthetic:seed=1"],
            "line 2: 'P1' has several rows; each must name a slide",
        ),
    ],
)
def test_a_single_fault_is_named(tmp_path, lines, fault):
    found = faults_of(write(tmp_path, *lines))
    assert len(found) == 1
    assert fault in found[0]


def test_what_is_no_text_and_what_is_not_there_are_refused(tmp_path):
    binary = tmp_path / "cohort.csv"
    binary.write_bytes(b"patient_id,label\nP1,\xff\xfe\n")
    with pytest.raises(ConfigurationError, match="is not text in UTF-8"):
        read_manifest(binary)
    with pytest.raises(ConfigurationError, match="No such file"):
        read_manifest(tmp_path / "none.csv")


def test_targets_are_parsed_and_their_faults_join_the_others(tmp_path):
    def parse(cells):
        if cells["grade"] == "bad":
            msg = "grade must be a number"
            raise ValueError(msg)
        return (float(cells["grade"]),)

    target = Target("grade", ("grade",), parse)
    path = write(tmp_path, "patient_id,label,grade", "P1,x,2", "P2,x,bad", "P3,x,bad")
    assert faults_of(path, questions=lambda _: [target]) == [
        "lines 3-4: grade must be a number"
    ]
    good = write(tmp_path, "patient_id,label,grade", "P1,x,2", name="good.csv")
    (patient,) = read_manifest(good, questions=lambda _: [target]).patients
    assert patient.targets == {"grade": (2.0,)}
    bare = write(tmp_path, "patient_id,label", "P1,x", name="bare.csv")
    assert faults_of(bare, questions=lambda _: [target]) == [
        "the head 'grade' needs the columns grade; grade is not there"
    ]


def test_complete_folds_and_a_fixed_test_set_are_kept(tmp_path):
    path = write(tmp_path, "patient_id,label,fold", "P1,x,1", "P2,x,0")
    assert [p.fold for p in read_manifest(path).patients] == [1, 0]
    path = write(tmp_path, "patient_id,label,split", "P1,x,Train", "P2,x,test")
    assert [p.split for p in read_manifest(path).patients] == ["train", "test"]


@pytest.mark.real_data
def test_the_breast_cohort_is_read(real_data):
    manifest = read_manifest(Path(real_data) / "cohort_tcga_brca.csv", labels=CLASSES)
    labels = [patient.label for patient in manifest.patients]
    assert (labels.count("Luminal"), labels.count("Basal/HER2")) == (663, 238)
    assert len(manifest.slides) == 6
