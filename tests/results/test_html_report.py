import base64
import errno
import io
import json
import os
from pathlib import Path

import pytest
import yaml
import zarr
from PIL import Image

import napari_mmsubtype
from builders.pages import Page
from builders.results import make_attributions, make_result, with_answers
from builders.stores import begin_store, complete_store
from builders.trust import BOTH, FINE, ODD
from napari_mmsubtype.core.records import ModalityReport, format_probability
from napari_mmsubtype.core.result_words import (
    DEMO_CAUTION,
    INTERRUPTED,
    RESEARCH_ONLY,
    coverage_words,
)
from napari_mmsubtype.errors import ConfigurationError, StoreError
from napari_mmsubtype.results.coverage_facts import coverage_facts
from napari_mmsubtype.results.html_report import (
    CoverageModel,
    report_html,
    report_target,
    write_coverage,
    write_report,
)
from napari_mmsubtype.results.store import open_result

SHAPE = (512, 640)
SLIDE = "synthetic:seed=1,size=512x640"
EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;{{ 7*7 }}"
MANY = tuple(f"GENE{i}" for i in range(40))
MODEL = CoverageModel("tiny", "2", "ab" * 32, is_demo=False)


def picture_of(page):
    (image,) = page.all("img")
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert image["alt"]
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


def test_the_report_says_what_the_record_says(tmp_path):
    result = make_result(tmp_path, excluded=(2,))
    body = result._body["prediction"]
    body["warnings"] = ["mind the fold"]
    body["modalities"][0] |= {
        "missing": list(MANY),
        "notes": [f"note number {i}." for i in range(12)],
        "weight_coverage": 0.876,
        "identifiers": "200 symbols",
    }
    page = Page(write_report(result))
    text, prediction = page.text, result.prediction
    for value in prediction.call.probabilities:
        assert format_probability(value) in text
    cells = [cell.strip() for cell in page.inside("td")]
    for call in prediction.subsets.values():
        for value in call.probabilities:
            assert format_probability(value) in cells
    numbers = [*prediction.call.logits, *prediction.bias]
    for share in prediction.shapley.values():
        numbers += share
    assert {f"{value:+.3f}" for value in numbers} <= set(cells)
    for report in prediction.modalities:
        assert coverage_words(report) in text
        assert (report.reason or "used") in text
        assert all(note in text for note in report.notes)
        assert ", ".join(report.missing) in text
    assert "87.6% of the model's weight" in text
    assert "200 symbols" in text
    assert "mind the fold" in text
    assert f"{prediction.patches.done} used, 1 left out, 1 unreadable" in text
    assert f"patient {result.recipe.patient}, model demo" in text
    assert "0.5 µm/px, from the file (vendor)" in text
    assert yaml.safe_load(page.inside("pre")[0]) == result.recipe.to_dict()


def test_what_else_is_known_has_parts_of_its_own(tmp_path):
    plain = Page(report_html(make_result(tmp_path / "a"))).text
    assert "What else the model answers" not in plain
    assert "What the features of the tables add" not in plain
    assert "Map grad-cam" not in plain
    result = make_result(tmp_path / "b", attributions=make_attributions())
    answered = with_answers(result.prediction).to_dict()
    answered["answers"]["stage"] = {
        "subsets": {key: [0.2, 0.8] for key in answered["subsets"]},
        "labels": ["I", "<b>II</b>"],
        "late": None,
        "kind": "ordinal",
    }
    result._body["prediction"] = json.loads(json.dumps(answered))
    result._body |= {"exact": False, "cam_method": "layer-cam"}
    page = Page(report_html(result))
    assert "risk 2 times the risk of death of the average training" in page.text
    assert "RNA alone: 2.7 times the risk of death" in page.text
    assert "stage <b>II</b> (80.0%)" in page.text
    assert "The chances of stage were not calibrated" in page.text
    cells = [cell.strip() for cell in page.inside("td")]
    assert cells[cells.index("GENE10") : cells.index("GENE10") + 4] == [
        "GENE10",
        "RNA",
        "",
        "+2.000",
    ]
    assert {"even", "odd", "age"} <= set(cells)
    assert "they sum to what the tables add" in page.text
    assert "Map layer-cam" in page.text
    assert "does not add up to the logit" in page.text


def test_bars_are_as_long_as_their_values(tmp_path):
    result = make_result(tmp_path)
    styles = [
        entry.get("style") or "" for entry in Page(report_html(result)).all("span")
    ]
    luminal, basal = (subtype.color for subtype in result.classes)
    assert styles.count(f"width:80.00%;background:{luminal}") == 1 + 4
    assert styles.count(f"width:70.00%;background:{basal}") == 3


def test_nothing_is_fetched_and_nothing_runs(tmp_path):
    page = Page(write_report(complete_store(tmp_path, slide=SLIDE, shape=SHAPE)))
    names = {name for name, _ in page.tags}
    assert names.isdisjoint({"script", "link", "iframe", "object", "form", "base"})
    for name, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on")], name
        assert not {"href", "action", "srcset", "data"} & set(attributes), name
    policy = [entry.get("content") or "" for entry in page.all("meta")]
    assert any("default-src 'none'" in text for text in policy)
    raw = write_report(open_result(tmp_path / "slide.mmsubtype.zarr")).read_text(
        "utf-8"
    )
    assert "url(" not in raw
    assert "@import" not in raw


def test_hostile_names_stay_words(tmp_path):
    result = make_result(tmp_path)
    body = result._body
    clean = Page(report_html(result))
    body["slide"] |= {"name": EVIL, "path": EVIL}
    body["bundle"] |= {"name": EVIL, "version": EVIL, "digest": EVIL}
    body["recipe"]["analyze"] |= {"patient": EVIL, "slide": EVIL}
    body["provenance"] = {"device": EVIL, "packages": {EVIL: EVIL}, "created": EVIL}
    body["classes"][0]["name"] = EVIL
    prediction = body["prediction"]
    prediction["classes"][0] = EVIL
    prediction["warnings"] = [EVIL]
    prediction["modalities"][0] |= {
        "sample": EVIL,
        "unit": EVIL,
        "missing": [EVIL, *MANY],
        "notes": [EVIL, f"unit {EVIL} (so)"],
        "source": EVIL,
        "identifiers": EVIL,
    }
    prediction["modalities"][1]["reason"] = EVIL
    text = report_html(result)
    page = Page(text)
    assert "<script" not in text
    names = [name for name, _ in page.tags if name not in {"p", "li", "dt", "dd"}]
    before = [name for name, _ in clean.tags if name not in {"p", "li", "dt", "dd"}]
    assert set(names) <= {*before, "details", "summary", "ul"}
    assert len(page.all("img")) == 1
    assert not [key for _, found in page.tags for key in found if key.startswith("on")]
    assert page.text.count(EVIL) > 20


def test_coverage_of_hostile_names_stays_words(tmp_path):
    report = ModalityReport(EVIL, False, EVIL, missing=(EVIL,), notes=(EVIL,))
    model = CoverageModel(EVIL, EVIL, EVIL, is_demo=True)
    path = write_coverage(
        [coverage_facts(report, EVIL)], tmp_path / "c.html", patient=EVIL, model=model
    )
    assert "<script" not in path.read_text("utf-8")
    assert not Page(path).all("img")


def test_the_slide_is_in_the_picture(tmp_path):
    page = Page(report_html(complete_store(tmp_path, slide=SLIDE, shape=SHAPE)))
    picture = picture_of(page)
    assert picture.width > 1000
    assert "could not be read" not in page.text


def test_without_its_slide_the_report_says_so(tmp_path):
    page = Page(report_html(make_result(tmp_path, slide="gone.svs")))
    assert picture_of(page).width > 1000
    assert (
        "The slide could not be read; the picture shows the tissue found." in page.text
    )


def test_a_folder_that_the_work_makes_is_taken(tmp_path):
    folder = tmp_path / "new"
    for given in (folder / "a.html", folder):
        with pytest.raises(ConfigurationError):
            report_target(given, "r.html")
        target = report_target(given, "r.html", to_come=folder)
        assert target.parent == folder
    with pytest.raises(ConfigurationError, match="no folder"):
        report_target(folder / "deeper" / "a.html", "r.html", to_come=folder)


def test_another_file_in_the_place_of_the_slide_is_told(tmp_path):
    result = complete_store(tmp_path, slide="synthetic:seed=1,size=256x256")
    page = Page(report_html(result))
    assert "is no longer the slide that was analysed (256 × 256 px)" in page.text
    assert picture_of(page)


def test_another_slide_of_the_same_size_is_told(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (320, 256), "white").save(path)
    result = complete_store(tmp_path, slide=str(path))
    assert "no longer the slide" not in Page(report_html(result)).text
    root = zarr.open_group(result.path, mode="r+")
    body = dict(root.attrs["mmsubtype"])
    body["slide"]["content"] = "of another file"
    root.attrs["mmsubtype"] = body
    page = Page(report_html(open_result(result.path)))
    assert "is no longer the slide that was analysed (320 × 256 px)" in page.text


def test_an_interrupted_analysis_is_reported_as_such(tmp_path):
    result = open_result(begin_store(tmp_path).path)
    page = Page(write_report(result))
    assert INTERRUPTED in page.text
    assert "No call yet" in page.text
    assert "to go" in page.text
    assert "What became of the tables is recorded when the analysis ends" in page.text
    assert not page.all("img")
    assert not page.all("table")
    assert "tiny 1" in page.text


def test_cautions_are_where_they_belong(tmp_path):
    demo = Page(report_html(make_result(tmp_path, slide="a.svs"))).text
    real = Page(report_html(make_result(tmp_path, slide="b.svs", synthetic=False))).text
    assert RESEARCH_ONLY in demo
    assert RESEARCH_ONLY in real
    assert DEMO_CAUTION in demo
    assert DEMO_CAUTION not in real


def test_long_lists_are_folded_and_whole(tmp_path):
    def page(missing, notes):
        report = ModalityReport("rna", True, missing=missing, notes=notes)
        path = tmp_path / "c.html"
        write_coverage([coverage_facts(report)], path, patient="P1", model=MODEL)
        return Page(path)

    few = page(MANY[:3], ("one", "two"))
    assert not few.all("details")
    many = page(MANY, tuple(f"note {i}" for i in range(30)))
    features, notes = many.inside("details")
    assert " and 28 more" in features
    assert ", ".join(MANY) in features
    assert all(f"note {i}" in notes for i in range(30))
    assert "Steps and notes (30)" in notes


def test_coverage_alone_tells_patient_model_and_threshold(tmp_path):
    used = ModalityReport(
        "rna", True, "", "P1", "tpm", 8, 10, 0.8, ("A", "B"), weight_coverage=0.25
    )
    refused = ModalityReport("clinical", False, "too few answers", expected=4)
    tables = [coverage_facts(used, least=0.2), coverage_facts(refused, least=0.5)]
    path = write_coverage(tables, tmp_path, patient="P1", model=MODEL)
    assert path == tmp_path / "coverage.html"
    page = Page(path)
    assert "Omics coverage of P1" in page.text
    assert "no call was made" in page.text
    assert "not used: too few answers" in page.text
    assert "8 of 10 features (80.0%), 25.0% of the model's weight" in page.text
    assert "the model needs 20% of its weight" in page.text
    assert MODEL.digest in page.text
    assert DEMO_CAUTION not in page.text
    styles = [entry.get("style") for entry in page.all("span")]
    assert {"width:25.00%", "left:20.00%", "left:50.00%"} <= set(styles)
    assert [entry["class"] for entry in page.all("section")] == ["card", "card refused"]


def test_a_report_lies_beside_its_store_or_where_it_is_put(tmp_path):
    result = make_result(tmp_path)
    assert write_report(result) == tmp_path / "missing.mmsubtype.html"
    folder = tmp_path / "reports"
    folder.mkdir()
    assert write_report(result.path, folder) == folder / "missing.mmsubtype.html"
    named = write_report(str(result.path), str(folder / "x.HTM"))
    assert named.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in sorted(folder.iterdir())] == [
        "missing.mmsubtype.html",
        "x.HTM",
    ]


def test_an_older_report_is_replaced(tmp_path):
    result = make_result(tmp_path)
    old = tmp_path / "r.html"
    old.write_text("old")
    write_report(result, old)
    assert "old" not in Page(old).text.split()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("slide.svs", "found '.*slide.svs'; give a name that ends in .html"),
        ("no/r.html", "there is no folder '.*no'; create it first"),
        ("missing.mmsubtype.zarr", "a report is an HTML file"),
    ],
)
def test_what_cannot_be_a_report_is_refused(tmp_path, name, says):
    result = make_result(tmp_path)
    with pytest.raises(ConfigurationError, match=says):
        write_report(result, tmp_path / name)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "missing.mmsubtype.zarr"
    ]


def test_a_folder_named_like_a_report_is_a_folder(tmp_path):
    folder = tmp_path / "r.html"
    folder.mkdir()
    assert report_target(folder, "x.html") == folder / "x.html"


def test_a_disk_that_is_full_leaves_the_older_report(tmp_path, monkeypatch):
    result = make_result(tmp_path)
    target = tmp_path / "r.html"
    target.write_text("older")

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(StoreError, match=r"r.html' cannot be written: No space left"):
        write_report(result, target)
    assert target.read_bytes() == b"older"
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "missing.mmsubtype.zarr",
        "r.html",
    ]


def test_a_store_that_is_gone_is_named(tmp_path):
    with pytest.raises(StoreError, match="no result at"):
        write_report(tmp_path / "none.mmsubtype.zarr")


def test_it_is_a_public_name():
    assert napari_mmsubtype.write_report is write_report


def test_a_patient_unlike_the_training_ones_is_told_in_a_banner(tmp_path):
    for name, guard in (("odd", ODD), ("fine", FINE)):
        result = complete_store(tmp_path / name, conformal=BOTH, guard=guard)
        text = Page(write_report(result)).text
        assert "How far to trust it" in text
        assert ("This patient is unlike those" in text) == (name == "odd")
        assert "with 90 % coverage: Luminal or Basal/HER2" in text
