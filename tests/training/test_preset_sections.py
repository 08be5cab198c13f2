from __future__ import annotations

import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.fit_options import FitOptions
from napari_mmsubtype.training.preset_sections import (
    BaselineSettings,
    EncoderSettings,
    FusionSettings,
    GeneSetSettings,
    ModalitySettings,
    SynthesisSettings,
    ValidationSettings,
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EncoderSettings(name="a", options={"input_size": 1}), "patch.size_px"),
        (lambda: GeneSetSettings(source="a", min_size=0), "min_size and learned"),
        (lambda: ModalitySettings(clip=0.0), "clip positive"),
        (lambda: ModalitySettings(min_coverage=1.1), "share from 0 to 1"),
        (lambda: ModalitySettings(schema={"age": "numerical"}), "variable 'age'"),
        (lambda: ModalitySettings(schema={}), "names no variable"),
        (lambda: ValidationSettings(folds=1), "folds must be at least 2, found 1"),
        (lambda: ValidationSettings(inner_share=1.0), "inner_share must be between"),
        (lambda: ValidationSettings(seeds=()), "seeds must be different"),
        (lambda: ValidationSettings(seeds=(1, 1)), "seeds must be different"),
        (lambda: ValidationSettings(seeds=(-1,)), "must not be negative"),
        (lambda: ValidationSettings(bootstrap=0), "bootstrap at least 1"),
        (lambda: SynthesisSettings(resolution=100), "power of two"),
        (lambda: SynthesisSettings(resolution=4), "power of two"),
        (lambda: SynthesisSettings(kimg=0), "kimg must be positive, found 0"),
        (lambda: SynthesisSettings(r1_gamma=-0.1), "r1_gamma must be not negative"),
        (lambda: SynthesisSettings(truncation=1.5), "truncation must be from 0 to 1"),
        (
            lambda: SynthesisSettings(max_distance_percentile=0.0, ratio=0.0),
            "ratio must be positive, found 0.0; max_distance_percentile must be a perc",
        ),
    ],
)
def test_impossible_settings_are_named(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_defaults_are_possible():
    assert ValidationSettings().seeds == (0,)
    assert SynthesisSettings().scope == "training-fold"
    assert BaselineSettings().fusions == ()
    assert FusionSettings(name="late").options == {}


@pytest.mark.parametrize(
    ("modality", "settings", "idle"),
    [
        (Modality.CLINICAL, ModalitySettings(), {"options", "gene_sets"}),
        (
            Modality.RNA,
            ModalitySettings(options=FitOptions(select="mad", imputation="knn")),
            {
                "schema",
                "gene_sets",
                "options.aggregate",
                "options.keep_sex_chromosomes",
            },
        ),
        (
            Modality.METHYLATION,
            ModalitySettings(gene_sets=GeneSetSettings(source="a.gmt")),
            {
                "schema",
                "gene_sets.learned",
                "options.min_expression",
                "options.min_expressed",
                "options.top",
                "options.neighbors",
            },
        ),
    ],
)
def test_settings_without_a_meaning_are_known(modality, settings, idle):
    assert set(settings.idle(modality)) == idle
    assert set(settings.foreign(modality)) <= idle
