from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.finished_table import finish_table
from napari_mmsubtype.omics.reading import Reading
from napari_mmsubtype.omics.unit_detection import UnitFinding
from napari_mmsubtype.omics.units import COHORT_NOTE, UNITS

RNG = np.random.default_rng(0)


def finish(reading: Reading, unit: str | None = None):
    return finish_table(
        reading, modality=Modality.RNA, unit=unit, source="here", name="t"
    )


def test_unit_and_steps_are_kept():
    values = RNG.lognormal(5, 1, (2, 3)).astype(np.float32)
    table = finish(Reading(["a", "b"], ["ESR1", "PGR", "KRT5"], values, ("read",)))
    record = table.uns["mmsubtype"]
    assert record["unit"] == "tpm"
    assert record["source"] == "here"
    assert record["steps"][0] == "read"
    assert "unit tpm (values from" in record["steps"][1]
    np.testing.assert_array_equal(table.X, values)


def test_what_the_reader_knows_comes_before_detection_and_the_caller_first():
    values = np.array([[3.0, 900.0]], np.float32)
    own = UnitFinding(UNITS["fpkm"], "column")
    reading = Reading(["a"], ["ESR1", "PGR"], values, unit=own)
    assert finish(reading).uns["mmsubtype"]["unit"] == "fpkm"
    assert finish(reading, "cpm").uns["mmsubtype"]["unit"] == "cpm"
    with pytest.raises(ConfigurationError, match="'beta' is not one of rna"):
        finish(reading, "beta")


def test_z_scores_are_marked_as_those_of_one_cohort():
    values = RNG.normal(0, 1, (2, 3)).astype(np.float32)
    reading = Reading(["a", "b"], ["ESR1", "PGR", "KRT5"], values)
    assert COHORT_NOTE in finish(reading, "z-score").uns["mmsubtype"]["steps"]
    other = Reading(["a", "b"], ["ESR1", "PGR", "KRT5"], np.abs(values))
    assert COHORT_NOTE not in finish(other, "tpm").uns["mmsubtype"]["steps"]


def test_rows_that_stand_twice_get_names_of_their_own():
    values = np.array([[3.0, 900.0], [4.0, 800.0]], np.float32)
    table = finish(Reading(["a", "a"], ["ESR1", "PGR"], values))
    assert table.obs_names.tolist() == ["a", "a #2"]
    assert table.obs["sample"].tolist() == ["a", "a"]


def test_errors_name_the_table():
    values = np.full((1, 2), np.nan, np.float32)
    with pytest.raises(TableReadError, match=r"'t': every value of the rna table"):
        finish(Reading(["a"], ["ESR1", "PGR"], values))


@pytest.mark.parametrize(("unit", "expected"), [(None, "tpm"), ("counts", "counts")])
def test_lengths_make_tpm_unless_counts_are_asked_for(unit, expected):
    counts = RNG.integers(1, 900, (2, 10_100)).astype(np.float32)
    lengths = RNG.integers(200, 9000, 10_100).astype(np.float32)
    names = [f"G{i}" for i in range(10_100)]
    table = finish(Reading(["a", "b"], names, counts, lengths=lengths), unit)
    assert table.uns["mmsubtype"]["unit"] == expected
    if unit is None:
        rate = counts / lengths
        tpm = rate / rate.sum(axis=1, keepdims=True) * 1e6
        np.testing.assert_allclose(table.X, tpm, rtol=1e-4)
    else:
        np.testing.assert_array_equal(table.X, counts)


@pytest.mark.parametrize("value", [-1.98e38, 1e16])
def test_a_value_that_nothing_has_is_named_and_refused(value):
    values = RNG.lognormal(5, 1, (2, 3)).astype(np.float32)
    values[1, 1], values[0, 0], values[0, 1] = value, np.nan, np.inf
    reading = Reading(["a", "b"], ["ESR1", "PGR", "KRT5"], values)
    for unit in (None, "tpm"):
        with pytest.raises(TableReadError, match=r"^'t': sample 'b' has .* for 'PGR'"):
            finish(reading, unit)
