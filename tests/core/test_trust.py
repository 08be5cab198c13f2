from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from napari_mmsubtype.core.record_reader import read_record
from napari_mmsubtype.core.trust import (
    COVERAGES,
    DEFAULT_COVERAGE,
    TYPICAL,
    UNLIKE,
    UNUSUAL,
    ConformalSet,
    GuardFinding,
    GuardReport,
)

SET = ConformalSet(0.9, ("Luminal",), "", "lac", True, 240)
REPORT = GuardReport(
    (
        GuardFinding("image", TYPICAL, 12, 264),
        GuardFinding("rna", UNLIKE, 264, 264, ("a reason",), (3, 1)),
    )
)


def test_records_survive_json() -> None:
    assert read_record(ConformalSet, json.loads(json.dumps(asdict(SET))), "") == SET
    assert (
        read_record(GuardReport, json.loads(json.dumps(asdict(REPORT))), "") == REPORT
    )


@pytest.mark.parametrize(
    ("verdicts", "gravest"),
    [
        ((TYPICAL, UNLIKE, UNUSUAL), UNLIKE),
        ((UNUSUAL, TYPICAL), UNUSUAL),
        ((TYPICAL,), TYPICAL),
        ((), ""),
    ],
)
def test_gravest_verdict(verdicts, gravest) -> None:
    findings = tuple(GuardFinding("rna", verdict, 1, 2) for verdict in verdicts)
    assert GuardReport(findings).verdict == gravest


def test_percentile() -> None:
    assert GuardFinding("rna", UNUSUAL, 95, 100).percentile == 95.0


def test_default_is_one_of_the_promises() -> None:
    assert DEFAULT_COVERAGE in COVERAGES
