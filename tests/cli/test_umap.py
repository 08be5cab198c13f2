import json

import numpy as np
import pytest

from builders.stores import complete_store
from builders.umaps import use_stand_in
from napari_mmsubtype.cli.main import main
from napari_mmsubtype.results.store import open_result


@pytest.fixture
def result(tmp_path, monkeypatch):
    folder = tmp_path / "stand-in"
    folder.mkdir()
    use_stand_in(folder, monkeypatch)
    return complete_store(tmp_path)


def test_a_map_is_made_and_told(result, capsys):
    assert main(["umap", str(result.path), "--reference", "own"]) == 0
    said = capsys.readouterr().out
    count = len(result.grid)
    assert f"map          {count} patches, laid out from its own patches" in said
    assert np.isfinite(open_result(result.path).patch_map.points).all()


def test_json_says_how(result, capsys):
    words = ["--seed", "3", "--neighbors", "9", "--min-dist", "0.2", "--json"]
    assert main(["umap", str(result.path), "--reference", "own", *words]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == {
        "store": str(result.path),
        "patches": len(result.grid),
        "reference": 0,
        "seed": 3,
        "neighbors": 9,
        "min_dist": 0.2,
    }


def test_what_is_no_store_is_one_line(tmp_path, capsys):
    assert main(["umap", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: no result at")
