"""Several models' features in one table: each finds its own numbers again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders.omics import log_frame
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.fit_options import FitOptions
from napari_mmsubtype.omics.preprocessing import apply_modality, fit_modality
from napari_mmsubtype.omics.spec_union import unite_specs, view_of


def through(united, own, frame):
    """Go from the common numbers to a model's, row by row, by the definition."""
    view = view_of(united, own)
    common = apply_modality(frame, united).astype(float)
    found = np.clip(
        common[:, view.index] * view.scale + view.shift, -view.clip, view.clip
    )
    for number in set(view.variable.tolist()) - {-1}:
        columns = view.variable == number
        unseen = ~found[:, columns].any(axis=1)
        found[np.ix_(unseen, columns)] = view.fill[columns]
    return found


def clinical(n, seed, levels):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.normal(60, 5 + 10 * seed, n).round(1),
            "menopause": rng.choice(levels, n),
        }
    )


def test_numbers_come_out_as_each_model_scales_them():
    frame = log_frame(60)
    parts = [frame.iloc[:20], frame.iloc[20:30] * 1.3 + 2, frame.iloc[30:]]
    options = FitOptions(select="variance", top=3)
    specs = [
        fit_modality(
            part, modality="rna", unit="log2(tpm+1)", clip=1.5, options=options
        )
        for part in parts
    ]
    united = unite_specs(specs)
    assert set(united.names) == {name for spec in specs for name in spec.names}
    assert len(united) == len(set(united.names))
    # Far outside of training too, where each model clips at its own limit.
    wild = frame * np.linspace(0, 2, 60)[:, None]
    for spec in specs:
        own = apply_modality(wild, spec)
        assert (np.abs(own) == 1.5).any()
        np.testing.assert_allclose(through(united, spec, wild), own, atol=2e-6)


def test_a_missing_number_is_filled_by_the_mean_of_the_fills():
    frame = log_frame(40)
    specs = [
        fit_modality(part, modality="rna", unit="log2(tpm+1)")
        for part in (frame.iloc[:20], frame.iloc[20:])
    ]
    united = unite_specs(specs)
    name = specs[0].names[0]
    fills = [spec.features.set_index("feature")["fill"][name] for spec in specs]
    row = frame.iloc[[0]].assign(**{name: np.nan})
    table = united.features.set_index("feature").loc[name]
    expected = (np.mean(fills) - table["mean"]) / table["std"]
    assert apply_modality(row, united)[0, 0] == pytest.approx(expected, abs=1e-6)
    assert fills[0] != fills[1]


def test_weights_are_averaged_over_all_models():
    frame = log_frame(20)
    whole = fit_modality(frame, modality="rna", unit="log2(tpm+1)")
    some = fit_modality(frame.iloc[:, :2], modality="rna", unit="log2(tpm+1)")
    some = some.with_weights(np.array([3.0, 5.0]))
    weights = unite_specs([whole, some]).features["weight"].to_numpy()
    np.testing.assert_array_equal(weights[:2], [2.0, 3.0])
    np.testing.assert_array_equal(weights[2:], 0.5)


@pytest.mark.parametrize("gap", [False, True])
def test_clinical_answers_come_out_as_each_model_encodes_them(gap):
    frames = [
        clinical(30, 1, ["pre", "post"]),
        clinical(30, 2, ["post", "peri"]),
        clinical(30, 3, ["pre", "peri", "post"]),
    ]
    if gap:
        frames[1].loc[:4, "menopause"] = "unknown"
        frames[2].loc[:2, "age"] = np.nan
    specs = [fit_modality(frame, modality="clinical") for frame in frames]
    united = unite_specs(specs)
    answers = pd.DataFrame(
        {
            "age": [50.0, 1000.0, -50.0, 61.0, 60.0],
            "menopause": ["pre", "peri", "post", "never heard of", ""],
        }
    )
    for spec in specs:
        np.testing.assert_allclose(
            through(united, spec, answers), apply_modality(answers, spec), atol=2e-6
        )


def test_models_that_read_a_table_otherwise_are_refused():
    frame = log_frame(20)
    log = fit_modality(frame, modality="rna", unit="log2(tpm+1)")
    tpm = fit_modality(2**frame - 1, modality="rna", unit="tpm")
    with pytest.raises(ConfigurationError, match=r"model 2 are rna in tpm"):
        unite_specs([log, tpm])
    for options, words in (
        (FitOptions(rank_normal=True), "ranked within the patient"),
        (FitOptions(imputation="knn"), "filled by neighbors"),
    ):
        spec = fit_modality(frame, modality="rna", unit="log2(tpm+1)", options=options)
        with pytest.raises(ConfigurationError, match=words):
            unite_specs([spec, spec])


def test_a_variable_that_is_a_number_here_and_a_category_there_is_refused():
    frame = clinical(30, 1, ["pre", "post"])
    few = frame.assign(age=np.where(np.arange(30) < 15, 50, 60))
    specs = [fit_modality(part, modality="clinical") for part in (frame, few)]
    with pytest.raises(ConfigurationError, match="read 'age' in another way"):
        unite_specs(specs)


def test_genes_averaged_from_other_probes_are_refused():
    from dataclasses import replace

    values = pd.DataFrame(
        np.random.default_rng(0).uniform(0.1, 0.9, (12, 2)), columns=["A", "B"]
    )
    spec = fit_modality(values, modality="methylation", unit="beta")

    def with_probes(*pairs):
        return replace(spec, probes=pd.DataFrame(pairs, columns=["probe", "feature"]))

    one, two = with_probes(("cg1", "A")), with_probes(("cg1", "A"), ("cg2", "B"))
    united = unite_specs([one, two])
    assert united.probes.to_dict("list") == {
        "probe": ["cg1", "cg2"],
        "feature": ["A", "B"],
    }
    with pytest.raises(ConfigurationError, match="other probes for 'A'"):
        unite_specs([one, with_probes(("cg9", "A"))])
    with pytest.raises(ConfigurationError, match="whether probes are averaged"):
        unite_specs([one, spec])
