"""The command embeds a cohort, and says which slides failed."""

import json

import pytest

from napari_mmsubtype.cli.embed import SOME_FAILED
from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main

ENCODER = ["--encoder", "demo-cnn", "--patch-size", "64", "--device", "cpu"]


def manifest(folder, *slides):
    rows = [f'P{i},"{slide}",x' for i, slide in enumerate(slides)]
    path = folder / "cohort.csv"
    path.write_text("\n".join(["patient_id,slide,label", *rows]))
    return str(path)


def test_bags_are_told_as_text_and_as_json(tmp_path, capsys):
    path = manifest(tmp_path, "synthetic:seed=1,size=128")
    words = ["embed", path, "--out", str(tmp_path / "out"), *ENCODER]
    assert main(words) == DONE
    assert capsys.readouterr().out.startswith("embedded  1 slides in ")
    assert main([*words, "--json"]) == DONE
    record = json.loads(capsys.readouterr().out)
    assert list(record["embedded"]) == ["synthetic:seed=1,size=128"]
    assert record["failed"] == {}


def test_slides_that_fail_give_an_exit_code_of_their_own(tmp_path, capsys):
    (tmp_path / "bad.svs").write_bytes(b"nothing")
    path = manifest(tmp_path, "bad.svs")
    words = ["embed", path, "--out", str(tmp_path / "out"), *ENCODER]
    assert main(words) == SOME_FAILED
    assert "failed    " in capsys.readouterr().out
    assert f"{SOME_FAILED} slides that ``embed`` could not" in main.__doc__


@pytest.mark.parametrize(
    "words",
    [
        ["embed", *ENCODER],
        ["crossval", "--preset", "evidence"],
        ["train", "--preset", "evidence"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("size", ["0", "-3"])
def test_batches_of_no_patch_are_refused_before_any_work(tmp_path, capsys, words, size):
    path = manifest(tmp_path, "synthetic:seed=1,size=128")
    words = [words[0], path, *words[1:], "--out", str(tmp_path / "out")]
    assert main([*words, "--batch-size", size]) == BAD_INPUT
    assert f"--batch-size must be at least 1, found {size}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_sources_of_an_encoder_are_bad_input(tmp_path, capsys):
    path = manifest(tmp_path, "synthetic:seed=1,size=128")
    words = ["embed", path, "--out", str(tmp_path), *ENCODER, "--bundle", "demo"]
    assert main(words) == BAD_INPUT
    told = capsys.readouterr().err
    assert "found 2; give --encoder, give --bundle or give --preset" in told
    words = ["embed", path, "--out", str(tmp_path), "--bundle", "demo"]
    assert main([*words, "--patch-size", "64"]) == BAD_INPUT
    assert "leave out --patch-size, or give --encoder" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["analyze", "embed", "crossval"])
def test_results_that_would_go_into_a_file_are_refused(tmp_path, capsys, command):
    slide = "synthetic:seed=1,size=512"
    words = {
        "analyze": [slide],
        "embed": [manifest(tmp_path, slide), *ENCODER],
        "crossval": [manifest(tmp_path, slide), "--preset", "evidence"],
    }
    (tmp_path / "out").write_text("")
    out = ["--out", str(tmp_path / "out")]
    assert main([command, *words[command], *out]) == BAD_INPUT
    assert "is a file, and a folder is expected" in capsys.readouterr().err
