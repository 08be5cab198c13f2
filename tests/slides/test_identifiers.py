import json

import pytest

from builders.slides import draw_scene, write_svs
from builders.slides_dicom import write_dicom
from napari_mmsubtype.slides.identifiers import find_identifiers, is_label
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene(256, 256)


@pytest.mark.parametrize(
    "name",
    [
        "aperio.User",
        "aperio.ScanScope ID",
        "aperio.Date",
        "aperio.Time",
        "aperio.Barcode",
        "aperio.Filename",
        "aperio.ImageID",
        "dicom.PatientName",
        "dicom.PatientID",
        "dicom.PatientBirthDate",
        "dicom.AccessionNumber",
        "dicom.StudyDate",
        "dicom.AcquisitionDateTime",
        "dicom.ReferringPhysicianName",
        "dicom.DeviceSerialNumber",
        "dicom.SpecimenDescriptionSequence[0].SpecimenIdentifier",
        "hamamatsu.Reference",
        "hamamatsu.NDP.S/N",
        "leica.barcode",
        "mirax.GENERAL.SLIDE_NAME",
        "mirax.GENERAL.SLIDE_CREATIONDATETIME",
        "ome.Experimenter",
        "perkinelmer.OperatorName",
        "philips.PIM_DP_UFS_BARCODE",
        "tiff.DateTime",
        "ventana.UserName",
        "zeiss.Information.Document.Author",
        "zeiss.Information.User.Name",
        "ventana.BarCode1D",
    ],
)
def test_names_that_identify(name):
    assert find_identifiers({name: "some value"}, ()) == [name]
    assert find_identifiers({name: " "}, ()) == []


@pytest.mark.parametrize(
    "name",
    [
        "aperio.MPP",
        "aperio.AppMag",
        "aperio.Exposure Time",
        "aperio.Time Zone",
        "dicom.FrameOfReferenceUID",
        "dicom.Modality",
        "dicom.ImageType[0]",
        "dicom.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing[0]",
        "openslide.level[0].width",
        "openslide.quickhash-1",
        "mirax.NONHIERLAYER_0_LEVEL_1_SECTION.BARCODE_IMAGE_TYPE",
        "objective",
        "ome.version",
        "tiff.Make",
        "tiff.Software",
        "deepzoom.Format",
    ],
)
def test_names_that_do_not(name):
    assert find_identifiers({name: "some value"}, ()) == []


def test_free_text_is_searched_for_fields():
    text = "<OME><Experimenter LastName='Doe'/><AcquisitionDate>2020</AcquisitionDate>"
    assert find_identifiers({"tiff.ImageDescription": text}, ()) == [
        "tiff.ImageDescription (Experimenter)",
        "tiff.ImageDescription (AcquisitionDate)",
    ]
    assert find_identifiers({"tiff.ImageDescription": "a Patient walks"}, ()) == [
        "tiff.ImageDescription (Patient)"
    ]
    assert find_identifiers({"openslide.comment": "Aperio|MPP = 0.5"}, ()) == []


def test_what_has_a_field_of_its_own_is_told_once():
    told = {"tiff.ImageDescription": "<SlideID>Doe</SlideID><Operator>Roe</Operator>"}
    told["perkinelmer.SlideID"] = "Doe"
    assert find_identifiers(told, ()) == [
        "tiff.ImageDescription (Operator)",
        "perkinelmer.SlideID",
    ]


def test_labels_and_macros_are_photographs():
    names = ["thumbnail", "label", "macro", "Label image"]
    assert find_identifiers({}, names) == [
        "label image",
        "macro image",
        "Label image image",
    ]
    assert [name for name in names if is_label(name)] == ["label", "Label image"]


def test_values_never_appear(tmp_path):
    write_dicom(tmp_path / "a.dcm", IMAGE, patient="Doe^Jane")
    with open_slide(tmp_path / "a.dcm") as slide:
        facts = slide.info()
    assert facts["identifiers"] == ["dicom.PatientName"]
    assert "Doe" not in json.dumps(facts)


@pytest.mark.parametrize("backend", ["tifffile", "openslide"])
def test_the_label_is_only_given_by_name(tmp_path, backend):
    write_svs(tmp_path / "a.svs", IMAGE)
    from napari_mmsubtype.slides.registry import reopen_slide

    with reopen_slide(str(tmp_path / "a.svs"), backend, None) as slide:
        assert set(slide.associated) == {"thumbnail", "macro"}
        assert slide.read_associated("label").shape == (40, 60, 3)
        assert {"label image", "macro image"} <= set(slide.info()["identifiers"])
