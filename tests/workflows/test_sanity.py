import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from builders.bundles import GENES, tiny_bundle
from napari_mmsubtype.errors import ConfigurationError, StoreError
from napari_mmsubtype.workflows import sanity
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.sanity import CHECKS, sanity_job, sanity_lines


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sanity")
    bundle = tiny_bundle(folder / "tiny")
    slide = "synthetic:seed=5,size=1024"
    return analyze(slide, bundle, out=folder / "out", device="cpu").path


def test_all_checks_are_written_and_told(store):
    record = run_job(sanity_job(store, seed=2))
    text, picture = (Path(record["files"][kind]) for kind in ("json", "png"))
    assert text == store.parent / "synthetic-5.sanity.json"
    kept = json.loads(text.read_text())
    assert set(CHECKS) < set(kept)
    assert kept["deletion"] == record["deletion"]
    assert record["deletion"]["beaten"] == record["insertion"]["beaten"] == 10
    assert (kept["seed"], kept["unit"], kept["exact"]) == (2, "logits", True)
    assert kept["method"] == "cam"
    with Image.open(picture) as shown:
        assert shown.size[0] > 3 * shown.size[1]
    lines = sanity_lines(record)
    assert [line.partition(":")[0] for line in lines] == list(CHECKS)
    assert "below 10 of 10 random orders" in lines[0]


def test_slides_whose_names_differ_after_a_dot_keep_files_of_their_own(store, tmp_path):
    names = ("TCGA-A7-A0DC-01Z-00-DX1.12CD", "TCGA-A7-A0DC-01Z-00-DX1.34EF")
    for name in names:
        copy = tmp_path / f"{name}.mmsubtype.zarr"
        shutil.copytree(store, copy)
        files = run_job(sanity_job(copy, checks=["deletion"]))["files"]
        assert Path(files["json"]) == tmp_path / f"{name}.sanity.json"
        assert Path(files["png"]) == tmp_path / f"{name}.sanity.png"
    for name in names:
        kept = json.loads((tmp_path / f"{name}.sanity.json").read_text())
        assert Path(kept["store"]).name == f"{name}.mmsubtype.zarr"


def test_what_cannot_serve_is_refused_before_any_work(store, tmp_path, monkeypatch):
    monkeypatch.setattr(sanity, "replay_case_job", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write to .*file.*--out"):
        run_job(sanity_job(store, out=tmp_path / "file"))
    for seed in (-1, 2**32):
        with pytest.raises(ConfigurationError, match=f"seed must be .* found {seed}"):
            run_job(sanity_job(store, seed=seed, out=tmp_path))


def test_the_method_that_drew_the_map_is_the_one_tested_and_named(tmp_path):
    bundle = tiny_bundle(tmp_path / "gated", fusion="gated", width=32)
    found = {}
    for method in ("grad-cam", "layer-cam"):
        result = analyze(
            "synthetic:seed=5,size=1024",
            bundle,
            cam_method=method,
            out=tmp_path / "out",
            device="cpu",
        )
        found[method] = run_job(sanity_job(result.path, out=tmp_path / method))
        assert (
            json.loads(Path(found[method]["files"]["json"]).read_text())["method"]
            == found[method]["method"]
            == method
        )
    first, second = found.values()
    for check in ("deletion", "insertion"):
        assert first[check]["at_random"] == second[check]["at_random"]
        assert first[check]["by_evidence"] != second[check]["by_evidence"]
    assert first["randomization"] != second["randomization"]


def test_a_map_that_is_the_same_everywhere_is_refused_before_any_check(tmp_path):
    bundle = tiny_bundle(tmp_path / "alone", fusion="rna_only", modalities=("rna",))
    table = tmp_path / "rna.csv"
    values = np.random.default_rng(0).uniform(0, 12, (3, len(GENES)))
    rows = pd.DataFrame(values, index=["P1", "P2", "P3"], columns=GENES)
    rows.to_csv(table, index_label="patient_id")
    slide, out = "synthetic:seed=5,size=1024", tmp_path / "out"
    result = analyze(slide, bundle, rna=table, patient="P1", out=out, device="cpu")
    events = []
    with pytest.raises(ConfigurationError, match=r"map .* is 0 in all .* rna alone"):
        run_job(sanity_job(result.path), events.append)
    assert {event.stage for event in events} <= {"open", "tables"}
    assert not list(out.glob("*.sanity.*"))


def test_only_what_is_asked_for_is_done(store, tmp_path):
    events = []
    job = sanity_job(store, checks=["insertion"], out=tmp_path / "new")
    record = run_job(job, events.append)
    assert {event.stage for event in events} == {"open", "insertion"}
    assert not {"deletion", "randomization"} & set(record)
    assert len(list((tmp_path / "new").iterdir())) == 2
    assert len(sanity_lines(record)) == 1


def test_checks_made_before_stay_where_analysis_and_seed_agree(store, tmp_path):
    def kept():
        return json.loads((tmp_path / "synthetic-5.sanity.json").read_text())

    first = run_job(sanity_job(store, out=tmp_path))
    second = run_job(sanity_job(store, checks=["deletion"], out=tmp_path))
    assert second == first
    assert set(CHECKS) < set(kept())
    with Image.open(second["files"]["png"]) as shown:
        assert shown.size[0] > 3 * shown.size[1]
    run_job(sanity_job(store, checks=["insertion"], seed=1, out=tmp_path))
    assert set(CHECKS) & set(kept()) == {"insertion"}
    # What is of another analysis, or no record, does not stay.
    for other in ({**first, "plan_digest": "another"}, [], "{"):
        words = other if isinstance(other, str) else json.dumps(other)
        (tmp_path / "synthetic-5.sanity.json").write_text(words)
        run_job(sanity_job(store, checks=["deletion"], out=tmp_path))
        assert set(CHECKS) & set(kept()) == {"deletion"}


def test_an_unknown_check_and_an_unwritable_folder_are_clear_errors(store, tmp_path):
    with pytest.raises(ConfigurationError, match="roar"):
        run_job(sanity_job(store, checks=["roar"]))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--out"):
        run_job(sanity_job(store, checks=["deletion"], out=tmp_path / "file"))
