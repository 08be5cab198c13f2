import json

import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.workflows.analyze import analyze


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sanity")
    bundle = tiny_bundle(folder / "tiny")
    slide = "synthetic:seed=5,size=768"
    return str(analyze(slide, bundle, out=folder, device="cpu").path)


def test_named_checks_alone_are_done_and_printed(store, tmp_path, capsys):
    words = ["sanity", store, "--deletion", "--out", str(tmp_path)]
    assert main([*words, "--json"]) == DONE
    record = json.loads(capsys.readouterr().out)
    assert "deletion" in record
    assert "insertion" not in record
    assert main(words) == DONE
    text = capsys.readouterr().out
    assert text.startswith("map by cam for ")
    assert "random orders" in text
    assert text.strip().endswith("synthetic-5.sanity.png")


def test_a_missing_store_is_one_clear_error(tmp_path, capsys):
    assert main(["sanity", str(tmp_path / "none")]) == BAD_INPUT
    assert "run an analysis to make one" in capsys.readouterr().err
