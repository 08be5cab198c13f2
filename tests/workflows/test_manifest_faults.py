"""Faults of a manifest are told once each, with all their lines."""

from pathlib import Path

import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.workflows.manifest_faults import Faults


def test_nothing_is_raised_without_faults():
    faults = Faults(Path("cohort.csv"))
    faults.raise_any()
    assert len(faults) == 0


def test_faults_come_in_the_order_of_lines_and_join_neighbours():
    faults = Faults(Path("cohort.csv"))
    for line in (9, 4, 5, 6, 9):
        faults.add("slide is not there", line)
    faults.add("site is empty", [3])
    faults.add("no patient has a label")
    with pytest.raises(ConfigurationError) as caught:
        faults.raise_any()
    assert str(caught.value).splitlines() == [
        "manifest 'cohort.csv' has 3 faults:",
        "  no patient has a label",
        "  line 3: site is empty",
        "  lines 4-6, 9: slide is not there",
    ]


def test_one_fault_is_called_one():
    faults = Faults(Path("cohort.csv"))
    faults.add("bad", [2, 3])
    with pytest.raises(ConfigurationError, match="has 1 fault:\n  lines 2-3: bad"):
        faults.raise_any()
