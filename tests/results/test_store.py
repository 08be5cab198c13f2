import numpy as np
import pytest
import zarr

from builders.results import make_attributions, make_result
from builders.stores import begin_store, complete_store
from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.store import open_result


def test_a_complete_store_gives_back_what_was_written(tmp_path):
    result = complete_store(tmp_path)
    assert result.status == "complete"
    assert result.prediction.patches.done == len(result.grid) == 20
    assert result.pixel_size == PixelSize(0.5, 0.5)
    assert result.mpp_source is MppSource.VENDOR
    assert result.recipe.slide == "slide.tif"
    assert [s.name for s in result.classes] == list(result.prediction.classes)
    assert result.is_demo
    assert "Basal" in repr(result) or "Luminal" in repr(result)


def test_evidence_adds_up_from_map_to_patches_to_logit(tmp_path):
    result = complete_store(tmp_path)
    for index, logit in enumerate(result.prediction.call.logits):
        assert result.evidence_map(index).sum() == pytest.approx(logit, rel=1e-4)
        assert result.patch_evidence[:, index].sum() == pytest.approx(logit, rel=1e-4)


def sums_on_the_map(result):
    """Add up the four by four pixels of the map that each patch covers."""
    canvas = np.stack([result.evidence_map(index) for index in (0, 1)])
    corners = 4 * result.grid.cell
    return np.array([canvas[:, y : y + 4, x : x + 4].sum((1, 2)) for y, x in corners])


def test_the_sums_of_the_map_are_those_of_its_pixels_by_patch(tmp_path):
    result = complete_store(tmp_path)
    found = result.map_sums
    assert found.shape == (20, 2)
    np.testing.assert_allclose(found, sums_on_the_map(result), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found, result.patch_evidence, rtol=1e-4, atol=1e-6)


def test_patches_without_a_part_in_the_call_are_not_in_the_sums(tmp_path):
    writer = begin_store(tmp_path, exact=False)
    cells = np.random.default_rng(1).normal(size=(20, 2, 4, 4)).astype(np.float32)
    status = np.arange(20, dtype=np.uint8) % 4
    writer.write_patches(0, status, np.zeros((20, 5)), cells)
    expected = np.where(status[:, None] == 1, cells.sum(axis=(2, 3)), 0)
    found = open_result(writer.path).map_sums
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_evidence_against_the_others_is_antisymmetric_for_two_classes(tmp_path):
    result = complete_store(tmp_path)
    first, second = (result.evidence_map(i, against_others=True) for i in (0, 1))
    np.testing.assert_allclose(first, -second, atol=1e-6)
    np.testing.assert_allclose(
        first, result.evidence_map(0) - result.evidence_map(1), atol=1e-6
    )


def test_class_map_shows_the_class_with_most_evidence(tmp_path):
    result = complete_store(tmp_path)
    classes = result.class_map()
    assert classes.shape == result.grid.shape
    for (row, col), evidence in zip(
        result.grid.cell, result.patch_evidence, strict=True
    ):
        assert classes[row, col] == 1 + evidence.argmax()


def test_a_patch_without_evidence_has_no_class(tmp_path):
    result = make_result(tmp_path, says_nothing=True)
    assert result.prediction.label == "Luminal"
    assert not result.class_map().any()


def test_map_pixels_are_a_quarter_of_a_patch_in_microns(tmp_path):
    assert complete_store(tmp_path).map_pixel_size == PixelSize(8.0, 8.0)


def test_tissue_mask_covers_the_slide(tmp_path):
    mask, size = complete_store(tmp_path).tissue
    assert mask.all()
    assert (mask.shape[0] * size.y, mask.shape[1] * size.x) == (128.0, 160.0)


def test_a_partial_store_opens_and_says_so(tmp_path):
    result = open_result(begin_store(tmp_path).path)
    assert result.status == "partial"
    assert result.prediction is None
    assert (result.class_map() == 0).all()
    with pytest.raises(StoreError, match="resume"):
        result.evidence_map(0)


def test_a_store_of_the_first_version_opens_without_quality(tmp_path):
    path = complete_store(tmp_path).path
    root = zarr.open_group(path, mode="r+")
    del root["patches/flags"]
    del root["patches/quality"]
    body = {**root.attrs["mmsubtype"], "schema_version": 1}
    counts = body["prediction"]["patches"]
    body["prediction"].pop("warnings")
    counts.pop("excluded")
    counts.pop("flagged")
    root.attrs["mmsubtype"] = body
    result = open_result(path)
    assert result.prediction.patches.excluded == 0
    assert result.prediction.warnings == ()
    assert not result.patch_flags.any()
    assert result.patch_flags.shape == (20,)
    assert result.patch_measures.shape == (20, 0)
    assert result.class_map().any()


@pytest.mark.parametrize("kind", ["missing", "file", "folder", "foreign", "newer"])
def test_refuses_what_is_no_store(tmp_path, kind):
    path = tmp_path / "x.mmsubtype.zarr"
    says = {
        "missing": "found nothing",
        "file": "found a file",
        "folder": "not a readable result store",
        "foreign": "not a result store",
        "newer": "update napari-mmsubtype",
    }[kind]
    if kind == "file":
        path.write_text("x")
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        root = zarr.open_group(path, mode="w")
        if kind == "newer":
            root.attrs["mmsubtype"] = {"schema_version": 99}
    with pytest.raises(StoreError, match=says):
        open_result(path)


@pytest.mark.parametrize(
    ("source", "says"),
    [("vendor", "from the file"), ("user", "by the user"), ("objective", "guessed")],
)
def test_a_guessed_pixel_size_is_called_a_guess(tmp_path, source, says):
    path = complete_store(tmp_path).path
    root = zarr.open_group(path, mode="r+")
    body = dict(root.attrs["mmsubtype"])
    body["slide"] = {**body["slide"], "mpp_source": source}
    root.attrs["mmsubtype"] = body
    text = open_result(path).pixel_size_text
    assert text.startswith("0.5 µm/px")
    assert says in text


def test_colors_are_told_where_something_was_asked(tmp_path):
    path = complete_store(tmp_path).path
    plain = open_result(path)
    assert (plain.icc, plain.stain, plain.color_text) == ("none", None, "")
    root = zarr.open_group(path, mode="r+")
    body = dict(root.attrs["mmsubtype"])
    profile = {"description": "ScanScope v1"}
    body["slide"] = {**body["slide"], "icc": "applied", "icc_profile": profile}
    body["stain"] = {"method": "vahadane", "problem": "one color"}
    root.attrs["mmsubtype"] = body
    told = open_result(path)
    assert told.icc == "applied"
    assert told.stain == body["stain"]
    assert told.color_text == (
        "profile ScanScope v1: applied, as the model was trained; stain as it is: the "
        "fit by Vahadane failed"
    )


def test_model_is_told_with_version_and_digest(tmp_path):
    facts = complete_store(tmp_path).bundle_facts
    assert facts == {
        "name": "tiny",
        "version": "1",
        "digest": "1" * 64,
        "synthetic": True,
    }


def test_attributions_are_given_where_the_store_has_them(tmp_path):
    assert make_result(tmp_path / "a").attributions is None
    written = make_attributions()
    found = make_result(tmp_path / "b", attributions=written).attributions
    assert [table.features for table in found.tables] == [
        table.features for table in written.tables
    ]
    partial = make_result(tmp_path / "c", attributions=written, complete=False)
    assert partial.attributions is None
