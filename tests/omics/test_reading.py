from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_mmsubtype.omics.reading import Reading

VALUES = np.zeros((2, 3), dtype=np.float32)


def test_parts_that_fit_are_taken():
    reading = Reading(["a", "b"], ["x", "y", "z"], VALUES)
    assert reading.steps == ()
    assert reading.unit is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": ["a"]},
        {"features": ["x", "y"]},
        {"identifiers": pd.DataFrame({"symbol": ["X"]})},
        {"obs": pd.DataFrame({"patient": ["P"] * 3})},
    ],
)
def test_parts_that_do_not_fit_are_a_mistake_of_the_reader(wrong):
    parts = {"samples": ["a", "b"], "features": ["x", "y", "z"], "values": VALUES}
    with pytest.raises(ValueError, match="samples and features"):
        Reading(**{**parts, **wrong})
