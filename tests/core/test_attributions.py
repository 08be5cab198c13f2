import numpy as np
import pytest

from napari_mmsubtype.core.attributions import (
    Attributions,
    NamedShare,
    TableAttribution,
    against_others,
    top_features,
    top_groups,
)


@pytest.fixture
def attributions():
    rna = TableAttribution(
        "rna",
        ("ESR1", "PGR", "KRT5"),
        np.array([[1.0, 0.0], [0.0, 3.0], [0.0, 0.0]], np.float32),
        {"hormones": (0, 1), "keratins": (2,)},
    )
    clinical = TableAttribution(
        "clinical", ("age",), np.array([[0.2, 0.6]], np.float32)
    )
    return Attributions((rna, clinical), (0.0, 0.0), 0.001, 0.002, 8)


def test_a_class_is_set_against_the_mean_of_the_others():
    values = np.array([[3.0, 1.0, 2.0]], np.float32)
    assert against_others(values, 0).tolist() == [1.5]
    assert against_others(values, 1).tolist() == [-1.5]
    assert against_others(values[:, 1:2], 0).tolist() == [1.0]


def test_the_largest_come_first_whatever_their_sign(attributions):
    found = top_features(attributions, 0, 10)
    assert [share.name for share in found] == ["PGR", "ESR1", "age"]
    assert [share.value for share in found] == pytest.approx([-3.0, 1.0, -0.4])
    assert top_features(attributions, 0, 1) == [NamedShare("rna", "PGR", -3.0)]


def test_groups_sum_their_features_and_silent_ones_are_left_out(attributions):
    assert top_groups(attributions, 0, 5) == [NamedShare("rna", "hormones", -2.0)]


def test_completeness_is_a_gap_within_the_limit(attributions):
    assert attributions.complete
    assert not Attributions((), (), 0.003, 0.002, 256).complete
