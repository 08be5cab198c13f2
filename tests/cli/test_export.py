import json

import zarr

from builders.results import make_result
from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main


def test_maps_are_exported_and_told(tmp_path, capsys):
    store = str(make_result(tmp_path).path)
    out = tmp_path / "maps.ome.zarr"
    assert main(["export", store, "--ome-zarr", str(out), "--json"]) == DONE
    assert json.loads(capsys.readouterr().out) == {"ome_zarr": str(out)}
    assert zarr.open_group(out, mode="r").attrs["ome"]["version"] == "0.5"
    assert main(["export", store, "--ome-zarr", str(out)]) == BAD_INPUT
    assert "there already" in capsys.readouterr().err


def test_something_must_be_named(tmp_path, capsys):
    assert main(["export", str(make_result(tmp_path).path)]) == BAD_INPUT
    assert "--ome-zarr" in capsys.readouterr().err
