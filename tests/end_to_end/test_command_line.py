"""The command line as a process: real slides, bad input, cancelling."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.cli.main import main
from napari_mmsubtype.results.store import open_result

PROGRAM = ("import sys; from napari_mmsubtype.cli.main import main; sys.exit(main())",)
COMMAND = [sys.executable, "-c", *PROGRAM]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return str(tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


def run(*words, cwd):
    return subprocess.run(
        [*COMMAND, *(str(word) for word in words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def refused(code, out, err):
    """Check that a run was refused with one message, and give it."""
    assert code == 2, err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("error") == 1 or err.count("\n") == 1
    assert "Traceback" not in err
    return err


def every_patch_is_accounted_for(record):
    counts = record["patches"]
    return counts["done"] + counts["unreadable"] == counts["tissue"] <= counts["total"]


def test_synthetic_slide_to_json_and_back(bundle, tmp_path):
    words = ["analyze", "synthetic:seed=2,size=1024", "--bundle", bundle, "--json"]
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert every_patch_is_accounted_for(record)
    assert open_result(record["store"]).prediction.label == record["label"]
    # The store knows its own request: replayed, it finds itself complete.
    again = run("run", record["store"], "--json", cwd=tmp_path.parent)
    assert json.loads(again.stdout) == record


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent.svs"], "absent.svs"),
        (["empty.svs"], "empty.svs"),
        (["words.svs"], "words.svs"),
        (["."], "folder"),
        (["synthetic:seed=1,size=64"], "patch"),
        (["synthetic:seed=1,size=1024", "--bundle", "absent"], "absent"),
        (["synthetic:seed=1,size=1024", "--rna", "words.svs"], "patient"),
        (
            ["synthetic:seed=1,size=1024", "--rna", "words.svs", "--patient", "P"],
            "words.svs",
        ),
        (["synthetic:seed=1,size=1024", "--device", "abacus"], "abacus"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(
    words, said, bundle, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    (tmp_path / "empty.svs").touch()
    (tmp_path / "words.svs").write_text("not a slide, nor a table\n")
    before = sorted(tmp_path.rglob("*"))
    given = ["analyze", *words]
    if "--bundle" not in words:
        given += ["--bundle", bundle]
    code = main(given)
    assert said in refused(code, *capfd.readouterr())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_control_c_cancels_and_the_same_request_resumes(bundle, tmp_path):
    words = ["analyze", "synthetic:seed=4,size=3072", "--bundle", bundle, "--json"]
    words += ["--batch-size", "4", "--device", "cpu"]
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        for line in process.stderr:
            if line.startswith("patches"):
                break
        os.kill(process.pid, signal.SIGINT)
        started = time.monotonic()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert time.monotonic() - started < 20
    assert out == ""
    assert "cancelled" in err
    assert "Traceback" not in err
    (store,) = tmp_path.glob("*.mmsubtype.zarr")
    partial = open_result(store)
    assert partial.status == "partial"
    assert run("info", store, cwd=tmp_path).returncode == 0
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["store"] == str(store)


@pytest.mark.slow
@pytest.mark.real_data
def test_svs_with_the_patients_rna(real_data, bundle, tmp_path):
    done = run(
        "analyze",
        real_data / "slides" / "CMU-1-Small-Region.svs",
        *("--bundle", bundle, "--json"),
        *("--rna", real_data / "omics" / "tcga_brca_rnaseq_zscores.csv.gz"),
        *("--patient", "TCGA-E2-A14V"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert every_patch_is_accounted_for(record)
    assert set(record["subsets"]) == {"image+rna", "image", "rna"}
    assert record["modalities"][0]["sample"].startswith("TCGA-E2-A14V")


@pytest.mark.slow
@pytest.mark.real_data
def test_slide_without_pixel_size_says_how_to_give_it(real_data, bundle, tmp_path):
    slide = real_data / "slides" / "TCGA-CR-7395-01A-01-TS1.svs"
    words = ["analyze", slide, "--bundle", bundle, "--json"]
    without = run(*words, cwd=tmp_path)
    assert "--mpp" in refused(without.returncode, without.stdout, without.stderr)
    assert list(tmp_path.iterdir()) == []
    done = run(*words, "--mpp", "0.5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert every_patch_is_accounted_for(json.loads(done.stdout))
