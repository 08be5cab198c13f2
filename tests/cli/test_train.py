"""The command trains a bundle and says from how many patients."""

import json

from builders.crossval import SETTINGS, draw, use_bags, write
from napari_mmsubtype.cli.main import DONE, main
from napari_mmsubtype.models.bundle import load_bundle


def test_a_bundle_is_written_and_told(tmp_path, monkeypatch, capsys):
    options = write(tmp_path, draw(32))
    use_bags(monkeypatch, tmp_path)
    changes = [word for change in SETTINGS for word in ("--set", change)]
    words = ["train", str(options["manifest"]), "--preset", "evidence",
             "--rna", str(options["rna"]), "--rna-unit", "z-score",
             "--out", str(tmp_path / "out"), *changes]  # fmt: skip
    assert main(words) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"bundle    {tmp_path / 'out' / 'bundle'}"
    assert lines[1].startswith("patients  ")
    assert main([*words, "--json"]) == DONE
    record = json.loads(capsys.readouterr().out)
    assert sum(record["patients"].values()) == 32
    assert load_bundle(record["bundle"]).name == "evidence"
