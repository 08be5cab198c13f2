from builders.results import make_result
from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.results.stored_slide import StoredSlide, slide_place


def slide(**changes):
    entry = {
        "path": "/slides/a.svs",
        "name": "a",
        "shape": [300, 500],
        "mpp": [0.5, 0.25],
        "mpp_source": "user",
    }
    return StoredSlide({"slide": entry | changes})


def test_it_says_what_was_analyzed():
    found = slide()
    assert (found.slide_path, found.slide_name) == ("/slides/a.svs", "a")
    assert found.slide_shape == (300, 500)
    assert found.pixel_size == PixelSize(0.5, 0.25)
    assert found.mpp_source is MppSource.USER


def test_a_pixel_size_is_told_with_its_source_and_a_guess_is_called_one():
    assert slide().pixel_size_text == "0.5 x 0.25 µm/px, given by the user"
    guessed = slide(mpp=[0.5, 0.5], mpp_source="objective").pixel_size_text
    assert guessed.startswith("0.5 µm/px, only guessed")
    assert "from the file (vendor)" in slide(mpp_source="vendor").pixel_size_text


def test_colors_are_told_only_where_something_was_asked():
    plain = slide()
    assert (plain.icc, plain.stain, plain.color_text) == ("none", None, "")
    assert "profile" in slide(icc="off", icc_profile={"description": "sRGB"}).color_text


def test_a_slide_that_was_moved_is_found_beside_the_store(tmp_path):
    was, store = tmp_path / "was" / "a.svs", tmp_path / "stores"
    was.parent.mkdir()
    store.mkdir()
    result = make_result(store, slide=str(was))
    assert slide_place(result) == str(was)
    was.touch()
    assert slide_place(result) == str(was)
    beside = was.rename(store / "a.svs")
    assert slide_place(result) == str(beside)


def test_an_address_is_the_place_of_its_slide(tmp_path):
    address = "synthetic:seed=1,size=256x256"
    assert slide_place(make_result(tmp_path, slide=address)) == address
