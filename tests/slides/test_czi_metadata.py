import pytest

from builders.slides_czi import describe
from napari_mmsubtype.slides.czi_metadata import CziMetadata


def test_scale_objective_and_people_are_told():
    found = CziMetadata(describe((30, 40), (0.5, 0.25), 20, 1))
    assert found.pixel_size.y == pytest.approx(0.5)
    assert found.pixel_size.x == pytest.approx(0.25)
    assert found.properties["objective"] == "20"
    assert found.properties["zeiss.Information.User.Name"] == "Doe"
    assert found.bits is None


def test_only_the_objective_in_use_counts():
    text = (
        "<ImageDocument><Metadata><Information><Image><ComponentBitCount>12"
        '</ComponentBitCount><ObjectiveSettings><ObjectiveRef Id="B"/>'
        "</ObjectiveSettings></Image><Instrument><Objectives>"
        '<Objective Id="A"><NominalMagnification>5</NominalMagnification></Objective>'
        '<Objective Id="B"><NominalMagnification>40</NominalMagnification></Objective>'
        "</Objectives></Instrument></Information></Metadata></ImageDocument>"
    )
    found = CziMetadata(text)
    assert found.properties["objective"] == "40"
    assert found.bits == 12
    assert found.pixel_size is None


@pytest.mark.parametrize("text", ["", "no xml", "<a/>", "\0"])
def test_a_document_that_says_nothing(text):
    found = CziMetadata(text)
    assert found.pixel_size is None
    assert found.bits is None
    assert found.properties == {}
