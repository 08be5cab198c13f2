from __future__ import annotations

import base64
import json

import pytest

from builders.crossvals import change, write_crossval
from builders.pages import Page
from napari_mmsubtype.core.result_words import RESEARCH_ONLY
from napari_mmsubtype.errors import ConfigurationError, StoreError
from napari_mmsubtype.results.crossval_facts import interval
from napari_mmsubtype.results.crossval_record import open_crossval
from napari_mmsubtype.results.crossval_report import write_crossval_report

EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{ 7*7 }}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_crossval(tmp_path_factory.mktemp("cv"))


@pytest.fixture(scope="module")
def page(folder):
    return Page(write_crossval_report(folder))


def test_report_says_what_the_results_say(folder, page):
    content = json.loads((folder / "results.json").read_text())
    assert (folder / "report.html").is_file()
    for name, model in content["models"].items():
        assert name in page.text
        assert model["title"] in page.text
        for metric in model["metrics"].values():
            if metric:
                assert interval(metric) in page.text
    for row in content["models"]["evidence"]["per_site"]:
        assert interval(row["accuracy"]) in page.text
    assert "C-index" in page.text
    assert "0.163 [0.149, 0.178]" in page.text
    assert content["request"]["command"] in page.text
    assert RESEARCH_ONLY in page.text


def test_raised_alarms_stand_before_every_number(page):
    raised = page.text.index("The site alone tells the class: keep sites whole")
    assert raised < page.text.index("Models")
    assert "1 of 2 alarms are raised" in page.text
    assert "No two patients have almost the same data" in page.text


def test_charts_are_images_inside_the_page(page):
    images = page.all("img")
    assert [image["alt"] for image in images] == [
        "Folds",
        "Ranking",
        "Trust",
        "Confusion",
        "Risk groups: survival",
        "Map of patients",
        "Losses: evidence",
    ]
    for image in images:
        kind, _, data = image["src"].partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert b"<svg" in base64.b64decode(data, validate=True)
    assert page.all("script") == []
    assert page.all("link") == []


def test_five_folds_are_never_said_to_differ_by_wilcoxon(page):
    assert "cannot show a difference at 0.05" in page.text
    lines = [line for line in page.inside("li") if "Wilcoxon" in line]
    assert len(lines) == 6
    assert all("cannot show a difference" in line for line in lines)
    assert not any("p < 0.05" in line for line in lines)


def test_whatever_stands_in_the_results_is_text(tmp_path):
    folder = write_crossval(tmp_path, patients=30)
    content = json.loads((folder / "results.json").read_text())
    content["classes"][0]["name"] = EVIL
    content["models"]["evidence"]["title"] = EVIL
    content["alarms"][0]["message"] = EVIL
    content["request"]["command"] = EVIL
    content["request"]["presets"] = {EVIL: {}}
    change(folder, **content)
    page = Page(write_crossval_report(folder))
    assert EVIL in page.text
    assert page.all("script") == []
    assert {image["src"][:5] for image in page.all("img")} == {"data:"}


def test_run_that_goes_on_is_reported_as_such(tmp_path):
    folder = write_crossval(tmp_path, patients=30)
    content = json.loads((folder / "results.json").read_text())
    for name, model in content["models"].items():
        if name != "evidence/image_only":
            model["skipped"] = "not trained yet"
    parts = {"complete": False, "models": content["models"], "maps": {}, "alarms": []}
    change(folder, comparisons=[], **parts)
    (folder / "predictions.parquet").unlink()
    page = Page(write_crossval_report(folder))
    assert "Not complete" in page.text
    assert page.text.count("left out: not trained yet") == 6
    assert "Nothing was looked for." in page.text
    assert [image["alt"] for image in page.all("img")] == ["Folds"]


def test_nothing_scored_yet_is_a_page_too(tmp_path):
    folder = write_crossval(tmp_path, patients=30)
    change(folder, models={}, comparisons=[], alarms=[], maps={}, complete=False)
    page = Page(write_crossval_report(folder))
    assert "No model has been scored yet" in page.text
    assert page.all("img") == []


def test_more_classes_and_repeats_have_a_report(tmp_path):
    folder = write_crossval(tmp_path, patients=60, classes=3, repeats=2)
    text = Page(write_crossval_report(folder)).text
    assert "5 folds of patients, 2 repeats" in text
    assert "10 splits" in text


def test_report_goes_where_it_is_told(folder, tmp_path):
    assert write_crossval_report(folder, tmp_path) == tmp_path / "report.html"
    named = write_crossval_report(folder, tmp_path / "mine.html")
    assert named.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(ConfigurationError, match=r"ends in \.html"):
        write_crossval_report(folder, tmp_path / "mine.pdf")
    with pytest.raises(StoreError, match="there is no cross-validation in"):
        write_crossval_report(tmp_path)


def test_record_is_left_as_it_was(folder):
    before = (folder / "results.json").read_bytes()
    record = open_crossval(folder)
    write_crossval_report(folder)
    assert (folder / "results.json").read_bytes() == before
    assert record.content == open_crossval(folder).content
