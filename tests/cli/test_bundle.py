from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.cli.main import main
from napari_mmsubtype.models.bundle import load_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    place = tmp_path_factory.mktemp("cli") / "tiny"
    return tiny_bundle(place, modalities=("rna",), info={"license": "MIT"})


@pytest.fixture
def library(tmp_path, monkeypatch):
    folder = tmp_path / "library"
    monkeypatch.setenv("MMSUBTYPE_BUNDLE_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def run(capsys, *words):
    code = main(["bundle", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_names_every_command(capsys, library):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in ("list", "show", "verify", "pack", "import"):
        assert f" {command} " in out


def test_a_bundle_is_packed_imported_listed_and_used(capsys, library, pristine):
    code, out, _ = run(capsys, "pack", pristine)
    assert code == 0
    assert out.startswith("tiny-0.0.1.zip\nsha256  ")
    code, out, err = run(capsys, "import", "tiny-0.0.1.zip", "--name", "mine")
    assert (code, err) == (0, "")
    assert "Use it with --bundle mine" in out
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert "\nmine\n  bundle       tiny 0.0.1\n" in out
    assert out.rstrip().endswith(str(library))
    assert load_bundle("mine").path == library / "mine"


def test_the_list_names_broken_bundles_and_does_not_fail(capsys, library):
    (library / "bad").mkdir(parents=True)
    code, out, _ = run(capsys, "list", "--json")
    record = json.loads(out)
    assert code == 0
    assert record["library"] == str(library)
    demo, bad = record["bundles"]
    assert (demo["name"], demo["problem"]) == ("demo", "")
    assert demo["bundle"]["digest"] == load_bundle("demo").digest
    assert bad["bundle"] is None
    assert "no bundle.json" in bad["problem"]


def test_show_tells_all_as_text_card_and_json(capsys, library, pristine):
    code, out, _ = run(capsys, "show", pristine)
    assert code == 0
    for part in ("head         class", "ESR1", "unit log2(tpm+1)", "## Limits"):
        assert part in out
    _, card, _ = run(capsys, "show", pristine, "--card")
    assert card == (pristine / "MODEL_CARD.md").read_text() + "\n"
    _, out, _ = run(capsys, "show", "demo", "--json")
    record = json.loads(out)
    assert record["features"]["rna"]["unit"] == "log2(tpm+1)"
    assert list(record["heads"]) == ["class"]


def test_verify_says_what_it_checked(capsys, library, pristine):
    code, out, _ = run(capsys, "verify", pristine, "--device", "cpu")
    assert code == 0
    assert out.startswith("tiny 0.0.1: verified\n")
    _, out, _ = run(capsys, "verify", pristine, "--json")
    assert json.loads(out)["checks"]["license"] == "MIT"


def test_verify_fails_with_two_and_names_the_file(capsys, library, pristine, tmp_path):
    folder = shutil.copytree(pristine, tmp_path / "bad")
    (folder / "features" / "rna.parquet").write_bytes(b"x")
    code, out, err = run(capsys, "verify", folder)
    assert (code, out) == (2, "")
    assert err.startswith("error: 'features/rna.parquet' in bundle 'bad' was changed")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("show", "none"), ("verify", "none"), ("pack", "none"), ("import", "none"),
        ("import", "hf://nonsense"), ("verify", "demo", "--device", "toaster"),
        ("import", "none", "--name", "demo"), ("verify", "demo", "--tolerance", "-1"),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_and_code_two(capsys, library, words):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_import_says_where_from_and_keeps_what_is_there(capsys, library, pristine):
    code, out, _ = run(capsys, "import", pristine, "--json")
    record = json.loads(out)
    assert code == 0
    assert record["origin"]["source"] == str(pristine)
    assert record["path"] == str(library / "tiny")
    code, _, err = run(capsys, "import", pristine)
    assert code == 2
    assert "--replace" in err
    assert run(capsys, "import", pristine, "--replace")[0] == 0
    _, out, _ = run(capsys, "show", "tiny")
    assert f"source {pristine}" in out.replace("\n               ", " ")


def test_the_list_waits_for_no_network(library):
    script = (
        "import sys\nfrom napari_mmsubtype.cli.main import main\n"
        "main(['bundle', 'list'])\nsys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=False,
        env=os.environ | {"MMSUBTYPE_BUNDLE_DIR": str(library)},
    )
    assert done.returncode == 0
