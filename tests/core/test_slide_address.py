from pathlib import Path

import pytest

from napari_mmsubtype.core.slide_address import in_full, is_address


def test_a_path_is_told_from_the_root_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        in_full("a.svs") == in_full(str(tmp_path / "a.svs")) == str(tmp_path / "a.svs")
    )
    assert in_full("~/a.svs") == str(Path.home() / "a.svs")


@pytest.mark.parametrize("place", ["synthetic:seed=1", "s3://slides/a.zarr"])
def test_an_address_stays_as_it_is(place):
    assert is_address(place)
    assert in_full(place) == place
    assert not is_address("a.svs")
