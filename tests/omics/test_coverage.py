from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.omics.coverage import (
    add_notes,
    cautions,
    describe_mismatch,
    report_coverage,
)
from napari_mmsubtype.omics.identifiers import SampleMatch

RECORD = {"modality": "rna", "unit": "tpm", "source": "a.csv", "steps": ["read"]}
MATCH = SampleMatch("S1", 0, ("another vial",))


def test_coverage_is_counted_and_weighed():
    seen = np.array([True, False, True, False])
    weights = np.array([3.0, 0.5, 0.0, 0.5])
    report, share = report_coverage(RECORD, MATCH, ["A", "B", "C", "D"], seen, weights)
    assert share == pytest.approx(0.75)
    assert report.coverage == pytest.approx(0.5)
    assert report.weight_coverage == share
    assert (report.matched, report.expected) == (2, 4)
    assert report.missing == ("B", "D")
    assert report.sample == "S1"
    assert (report.source, report.identifiers) == ("a.csv", "")
    assert report.notes[:2] == ("read", "another vial")
    assert "75.0%" in report.notes[2]
    assert add_notes(report, ["more", "read"]).notes == (*report.notes, "more")


def test_heaviest_missing_features_come_first():
    names = ["A", "B", "C", "D", "E"]
    weights = np.array([0.1, 0.5, 9.0, 0.5, 0.7])
    seen = np.array([False, False, True, False, False])
    report, _ = report_coverage(RECORD, MATCH, names, seen, weights)
    assert report.missing == ("E", "B", "D", "A")


def test_weights_of_nothing_count_every_feature_alike():
    _, share = report_coverage(
        RECORD, MATCH, ["A", "B"], np.array([True, False]), np.zeros(2)
    )
    assert share == pytest.approx(0.5)


def test_alien_values_are_remarked_and_ordinary_ones_are_not():
    rng = np.random.default_rng(0)
    assert cautions(rng.normal(size=200), 0, 6.0) == ()
    assert "3 values beyond ±6" in cautions(rng.normal(size=200), 3, 6.0)[0]
    most = cautions(rng.normal(size=200), 1, 6.0, 3.7e4)[0]
    assert most == "1 values beyond ±6 standard deviations (up to 3.7e+04) were clipped"
    assert "check the unit" in cautions(rng.normal(5, 1, size=200), 0, 6.0)[0]


def test_mismatch_quotes_both_sides():
    text = describe_mismatch("methylation", ["ESR1", "PGR"], ["cg00021527", "cg0"])
    for word in ("'ESR1'", "'cg00021527'", "2 methylation features", "by gene"):
        assert word in text
