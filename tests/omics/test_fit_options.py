from __future__ import annotations

import json

import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.fit_options import FitOptions, standard_options


@pytest.mark.parametrize("modality", ["rna", "methylation", "clinical"])
def test_options_survive_json(modality):
    options = standard_options(modality)
    again = FitOptions.from_dict(json.loads(json.dumps(options.to_dict())))
    assert again == options


def test_standards_are_those_of_the_literature():
    rna = standard_options("rna")
    assert (rna.min_expression, rna.min_expressed, rna.select) == (1.0, 0.2, "mad")
    assert standard_options("methylation").model_unit == "m-value"
    assert standard_options("clinical") == FitOptions()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"select": "entropy"}, "select is 'entropy'"),
        ({"imputation": "mean"}, "imputation is 'mean'"),
        ({"aggregate": "island"}, "aggregate is 'island'"),
        ({"max_missing": 20}, "max_missing is 20"),
        ({"top": 0}, "top is 0"),
        ({"std_floor": 0.0}, "std_floor"),
        ({"min_expresion": 1}, "unknown options of preprocessing: 'min_expresion'"),
    ],
)
def test_impossible_options_are_named(wrong, words):
    with pytest.raises(ConfigurationError, match=words):
        FitOptions.from_dict(wrong)
