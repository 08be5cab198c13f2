from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.cli.bundle_text import (
    details_text,
    entries_text,
    entry_record,
    imported_text,
    plain_text,
    verification_text,
)
from napari_mmsubtype.models.bundle_details import describe_bundle
from napari_mmsubtype.models.bundle_import import Imported
from napari_mmsubtype.models.bundle_library import LibraryEntry, list_bundles
from napari_mmsubtype.models.bundle_verify import Verification

FOUND = Verification("tiny", "1", "d" * 64, {"files": "3"}, ("Ask its author.",))


@pytest.fixture(scope="module")
def details(tmp_path_factory):
    return describe_bundle(tiny_bundle(tmp_path_factory.mktemp("text") / "tiny"))


def test_entries_stand_below_each_other_with_their_problems(tmp_path):
    broken = LibraryEntry("bad", tmp_path, None, "it lacks everything")
    (demo,) = list_bundles()
    text = entries_text([demo, broken], Path("/models"))
    assert text.startswith("demo\n  bundle       demo 1.1.0 (knows synthetic patients")
    assert "  classes      Luminal, Basal/HER2\n" in text
    assert f"  digest       {demo.summary.digest[:16]}\n" in text
    assert "bad\n  unusable     it lacks everything\n" in text
    assert text.endswith("\nlibrary      /models")


def test_a_record_is_plain_json():
    (demo,) = list_bundles()
    record = json.loads(json.dumps(entry_record(demo)))
    assert record["bundle"]["modalities"][0] == "image"
    assert entry_record(LibraryEntry("bad", None, None, "why")) == {
        "name": "bad",
        "path": None,
        "problem": "why",
        "bundle": None,
    }


def test_details_name_features_units_heads_and_the_card(details):
    text = details_text(details)
    for part in (
        "  patch        128 px at 1 µm/px",
        "  rna          9 features, unit log2(tpm+1): ESR1, PGR, FOXA1, GATA3, KRT5,",
        "and 3 more",
        "  clinical     4 features: age",
        "  calibration  temperature 1.5",
        "# tiny 0.0.1",
    ):
        assert part in text
    assert "library_name" not in text
    assert "imported" not in text
    origin = {"source": "hf://a/b", "revision": "c0ffee"}
    assert "source hf://a/b, revision c0ffee" in details_text(
        replace(details, origin=origin)
    )


def test_lines_fit_a_terminal_above_the_card(details):
    head = details_text(details).partition("\n\n")[0]
    assert max(map(len, head.splitlines())) <= 88


def test_a_strangers_words_cannot_steer_the_terminal(details):
    evil = replace(details, card="# x\x1b[2J\x07\u202ey\n\ttab\n")
    text = details_text(evil)
    assert "# x[2Jy\n\ttab\n" in text
    assert plain_text(["a\rb", "c\x9b1m"]) == "ab\nc1m"


def test_a_verification_lists_checks_and_notes():
    assert verification_text(FOUND) == (
        "tiny 1: verified\n"
        "  files        3\n"
        f"  digest       {'d' * 64}\n"
        "  note         Ask its author."
    )


def test_an_import_says_how_to_go_on():
    done = Imported("mine", Path("/m/mine"), FOUND, {"revision": "c0ffee"})
    text = imported_text(done)
    assert "  imported to  /m/mine\n  revision     c0ffee\n" in text
    assert text.endswith("Use it with --bundle mine")
    local = imported_text(replace(done, origin={"revision": None}))
    assert "revision" not in local
