from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from builders.omics import beta_frame, clinical_frame, log_frame
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.feature_groups import FeatureGroups
from napari_mmsubtype.omics.modality_spec import ModalitySpec
from napari_mmsubtype.omics.preprocessing import (
    FitOptions,
    apply_modality,
    fit_modality,
)
from napari_mmsubtype.omics.probe_annotation import tidy_annotation
from napari_mmsubtype.omics.spec_files import (
    build_spec,
    describe_spec,
    load_spec,
    save_spec,
    table_names,
    write_tables,
)

TRAINING = log_frame(20).mask(np.random.default_rng(0).random((20, 30)) < 0.1)
PROBES = tidy_annotation(
    pd.DataFrame(
        {
            "probe": [f"cg{i:08d}" for i in range(20)],
            "gene": [f"G{i // 4}" for i in range(20)],
            "region": "TSS200",
        }
    )
)


def rna() -> ModalitySpec:
    options = FitOptions(imputation="knn", rank_normal=True, neighbors=3)
    spec = fit_modality(TRAINING, modality="rna", unit="log2(tpm+1)", options=options)
    groups = FeatureGroups(("a|b", "c"), ((0, 4, 7), (4, 5)), learned=2)
    return spec.with_groups(groups)


def methylation() -> ModalitySpec:
    return fit_modality(
        beta_frame(20),
        modality="methylation",
        unit="beta",
        options=FitOptions(model_unit="m-value", aggregate="promoter"),
        annotation=PROBES,
    )


def clinical() -> ModalitySpec:
    schema = {"stage": {"kind": "ordinal", "order": "stage"}, "sex": "category"}
    return fit_modality(clinical_frame(20), modality="clinical", schema=schema)


@pytest.mark.parametrize("make", [rna, methylation, clinical])
def test_everything_comes_back_identical(tmp_path, make):
    spec = make()
    save_spec(tmp_path, spec)
    again = load_spec(tmp_path, spec.modality)
    assert describe_spec(again) == describe_spec(spec)
    pd.testing.assert_frame_equal(again.features, spec.features, check_exact=True)
    assert (again.groups, again.steps) == (spec.groups, spec.steps)
    for one, other in ((again.reference, spec.reference), (again.probes, spec.probes)):
        assert (one is None) == (other is None)
        if one is not None:
            pd.testing.assert_frame_equal(one, other, check_exact=True)
    frame = clinical_frame(7, seed=5)
    if spec.modality is not Modality.CLINICAL:
        frame = pd.DataFrame(
            np.random.default_rng(1).normal(1, 1, (7, len(spec))), columns=spec.names
        )
        frame.iloc[2, ::3] = np.nan
    np.testing.assert_array_equal(
        apply_modality(frame, again), apply_modality(frame, spec)
    )


@pytest.mark.parametrize("make", [rna, methylation, clinical])
def test_only_parquet_and_json_are_written_and_always_the_same(tmp_path, make):
    files = []
    for name in ("one", "two"):
        save_spec(tmp_path / name, make())
        found = sorted((tmp_path / name).iterdir())
        assert {path.suffix for path in found} == {".json", ".parquet"}
        files.append([path.read_bytes() for path in found])
    assert files[0] == files[1]


def test_a_plain_specification_is_described_as_ever():
    features = fit_modality(log_frame(), modality="rna", unit="log2(tpm+1)").features
    spec = ModalitySpec("rna", "log2(tpm+1)", 6.0, 0.5, features)
    facts = {"unit": "log2(tpm+1)", "clip": 6.0, "min_coverage": 0.5, "features": 30}
    assert describe_spec(spec) == facts
    assert table_names("rna", facts) == ("rna.parquet",)
    again = build_spec(Modality.RNA, facts, lambda _: features)
    pd.testing.assert_frame_equal(again.features, spec.features)


def test_what_a_later_version_may_add_is_refused_and_not_passed_over():
    facts = {**describe_spec(clinical()), "batch_correction": "combat"}
    with pytest.raises(ConfigurationError, match=r"'batch_correction'.*update"):
        build_spec(Modality.CLINICAL, facts, lambda _: clinical().features)


def test_groups_must_stand_in_the_features(tmp_path):
    spec = rna()
    write_tables(tmp_path, spec)
    facts = describe_spec(spec)
    with pytest.raises(ConfigurationError, match="name no groups"):
        build_spec(
            Modality.RNA,
            facts,
            lambda name: pd.read_parquet(tmp_path / name).drop(
                columns="groups", errors="ignore"
            ),
        )
    with pytest.raises(ConfigurationError, match="unknown group 1"):
        build_spec(
            Modality.RNA,
            {**facts, "groups": ["a"]},
            lambda name: pd.read_parquet(tmp_path / name),
        )


def test_files_that_are_missing_or_broken_are_one_clear_error(tmp_path):
    with pytest.raises(ConfigurationError, match="no preprocessing of rna"):
        load_spec(tmp_path, "rna")
    path = save_spec(tmp_path, rna())
    (tmp_path / "rna.reference.parquet").unlink()
    with pytest.raises(ConfigurationError, match=r"rna\.reference\.parquet"):
        load_spec(tmp_path, "rna")
    path.write_text(json.dumps({"unit": "tpm"}))
    with pytest.raises(ConfigurationError, match="no preprocessing of rna"):
        load_spec(tmp_path, "rna")
