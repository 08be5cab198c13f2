from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import KNNImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from builders.omics import (
    GENES,
    as_table,
    beta_frame,
    clinical_frame,
    log_frame,
    tpm_frame,
)
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.fit_options import FitOptions, standard_options
from napari_mmsubtype.omics.fitting import fit_modality, fit_table
from napari_mmsubtype.omics.probe_annotation import tidy_annotation
from napari_mmsubtype.omics.spec_files import describe_spec
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.omics.table_transform import transform_table
from napari_mmsubtype.omics.unit_conversion import beta_to_m

EVERYTHING = FitOptions(
    model_unit="log2(tpm+1)",
    min_expression=1.0,
    min_expressed=0.2,
    max_missing=0.2,
    select="mad",
    top=20,
    rank_normal=True,
    imputation="knn",
)


def holed(frame: pd.DataFrame, share: float = 0.1) -> pd.DataFrame:
    return frame.mask(np.random.default_rng(0).random(frame.shape) < share)


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10_000), added=st.integers(0, 5))
@pytest.mark.parametrize("options", [FitOptions(imputation="knn"), EVERYTHING])
def test_test_patients_change_nothing(options, seed, added):
    cohort = holed(tpm_frame(30))
    rng = np.random.default_rng(seed)
    other = cohort.copy()
    other.iloc[20:] = rng.lognormal(3, 2, (10, len(GENES)))
    extra = other.iloc[20 : 20 + added].set_axis([f"new{i}" for i in range(added)])
    other = pd.concat([other, extra]).sample(frac=1, random_state=seed)
    training = list(cohort.index[:20])
    one, two = (
        fit_table(as_table(frame, "tpm"), training, options=options)
        for frame in (cohort, other)
    )
    pd.testing.assert_frame_equal(one.features, two.features)
    pd.testing.assert_frame_equal(one.reference, two.reference)
    assert describe_spec(one) == describe_spec(two)
    row = training[3]
    tables = [transform_table(as_table(f, "tpm"), one) for f in (cohort, other)]
    np.testing.assert_array_equal(*(t[row].X for t in tables))


def test_clinical_test_patients_change_nothing():
    frame = clinical_frame(30)
    other = frame.copy()
    other.iloc[20:] = [[150, "x", "Stage IX"]] * 10
    schema = {"age": "numeric", "stage": {"kind": "ordinal", "order": "stage"}}
    one, two = (
        fit_table(
            as_table(f, "raw", modality="clinical"),
            list(frame.index[:20]),
            schema=schema,
        )
        for f in (frame, other)
    )
    pd.testing.assert_frame_equal(one.features, two.features)
    assert one.features["kind"].tolist() == ["numeric", "ordinal"]


def test_every_step_is_done_and_told():
    frame = holed(tpm_frame(40))
    frame["ACTB"] = 0.2
    spec = fit_modality(frame, modality="rna", unit="tpm", options=EVERYTHING)
    assert (len(spec), spec.unit, spec.neighbors) == (20, "log2(tpm+1)", 5)
    assert spec.reference.shape == (40, 20)
    assert list(spec.reference.index) == list(range(40))
    text = "; ".join(spec.steps)
    for words in ("40 training patients", "1 features expressed below 1", "log2",
                  "greatest mad", "ranks within", "5 nearest of 40"):  # fmt: skip
        assert words in text


def test_fitting_in_steps_agrees_with_numpy():
    frame = tpm_frame(40)
    options = FitOptions(model_unit="log2(tpm+1)", select="variance", top=12)
    spec = fit_modality(frame, modality="rna", unit="tpm", options=options)
    logged = np.log2(frame + 1)
    kept = logged.var(ddof=0).nlargest(12).index
    assert set(spec.names) == set(kept)
    np.testing.assert_allclose(spec.features["mean"], logged[list(spec.names)].mean())


def test_the_whole_way_agrees_with_scikit_learn():
    frame = holed(tpm_frame(50))
    training, others = frame.iloc[:35], frame.iloc[35:]
    options = FitOptions(
        model_unit="log2(tpm+1)", select="variance", top=15, imputation="knn"
    )
    spec = fit_modality(training, modality="rna", unit="tpm", options=options, clip=50)
    kept = list(spec.names)
    logged = np.log2(training[kept].to_numpy() + 1)
    known = make_pipeline(StandardScaler(), KNNImputer(n_neighbors=5)).fit(logged)
    expected = known.transform(np.log2(others[kept].to_numpy() + 1))
    found = transform_table(as_table(others, "tpm"), spec)
    np.testing.assert_allclose(found.X, expected, atol=1e-4)


def test_tables_give_identifiers_and_names():
    frame = log_frame(12)
    labels = [f"ENSG{i:011d}.3" for i in range(len(GENES))]
    table = as_table(frame.set_axis(labels, axis=1), "log2(tpm+1)")
    table.var = pd.DataFrame(
        {"symbol": GENES, "ensembl": [x[:15] for x in labels], "entrez": ""},
        index=labels,
    )
    spec = fit_table(table)
    assert spec.names == GENES
    assert spec.features["ensembl"][0] == labels[0][:15]
    table.var["symbol"] = ["ESR1", *GENES[:-1]]
    assert fit_table(table).names[:2] == (labels[0], labels[1])


def test_what_is_not_in_the_table_is_refused():
    table = as_table(log_frame(5), "log2(tpm+1)")
    with pytest.raises(ConfigurationError, match=r"1 of 2 training samples.*'nobody'"):
        fit_table(table, [table.obs_names[0], "nobody"])
    with pytest.raises(ConfigurationError, match="none given"):
        fit_table(table, [])
    twice = log_frame(5)
    twice = pd.concat([twice, twice[["ESR1"]]], axis=1)
    with pytest.raises(ConfigurationError, match="'ESR1' stands more than once"):
        fit_modality(twice, modality="rna", unit="log2(tpm+1)")


def test_methylation_leaves_out_what_tells_the_sex_and_averages_promoters():
    beta = beta_frame(30, 20).rename(columns={"cg00000000": "rs1019916"})
    beta.iloc[:10, 5] = np.nan
    names = list(beta.columns)
    annotation = tidy_annotation(
        pd.DataFrame(
            {
                "probe": names,
                "chrom": ["chrX"] * 3 + ["chr1"] * 17,
                "gene": [f"G{i // 4}" for i in range(20)],
                "region": ["TSS200", "Body"] * 10,
            }
        )
    )
    options = standard_options("methylation")
    spec = fit_modality(
        beta,
        modality="methylation",
        unit="beta",
        options=options,
        annotation=annotation,
    )
    assert spec.names == tuple(n for i, n in enumerate(names) if i > 2 and i != 5)
    expected = np.median(beta_to_m(beta[list(spec.names)].to_numpy()), axis=0)
    np.testing.assert_allclose(spec.features["fill"], expected)
    by_gene = fit_modality(
        beta,
        modality="methylation",
        unit="beta",
        options=FitOptions(model_unit="m-value", aggregate="promoter"),
        annotation=annotation,
    )
    assert by_gene.names == ("G1", "G2", "G3", "G4")
    mean = beta[[names[4], names[6]]].mean(axis=1)
    row = by_gene.features.set_index("feature").loc["G1"]
    assert row["mean"] == pytest.approx(beta_to_m(mean.to_numpy()).mean())
    assert set(by_gene.probes["feature"]) == set(by_gene.names)


@pytest.mark.parametrize(
    ("modality", "given", "words"),
    [
        ("rna", {"schema": {"age": "numeric"}}, "a schema cannot be used for rna"),
        ("clinical", {"options": FitOptions(top=5)}, "options cannot be used for"),
        ("rna", {"options": FitOptions(aggregate="gene")}, "aggregate cannot be used"),
        ("rna", {"annotation": pd.DataFrame()}, "an annotation cannot be used"),
    ],
)
def test_what_another_modality_needs_is_refused_and_not_passed_over(
    modality, given, words
):
    with pytest.raises(ConfigurationError, match=words):
        fit_modality(log_frame(5), modality=modality, unit="log2(tpm+1)", **given)


def test_promoters_need_a_table_of_probes_of_the_same_array():
    beta = beta_frame(12)
    options = FitOptions(aggregate="promoter")
    with pytest.raises(ConfigurationError, match="needs a table of probes"):
        fit_modality(beta, modality="methylation", unit="beta", options=options)
    other = tidy_annotation(
        pd.DataFrame({"probe": ["cg9"], "gene": ["A"], "region": ["TSS200"]})
    )
    with pytest.raises(ConfigurationError, match="another array"):
        fit_modality(
            beta, modality="methylation", unit="beta", options=options, annotation=other
        )


def whole_counts(n: int, *, seed: int = 0) -> pd.DataFrame:
    """Counts of the same tissue, every patient sequenced to another depth."""
    rng = np.random.default_rng(seed)
    share = np.random.default_rng(7).lognormal(0, 2, 10_500)
    share[: len(GENES)] = np.quantile(share, 0.9)
    rate = share * rng.lognormal(0, 0.3, (n, share.size))
    depth = rng.uniform(5e6, 8e7, (n, 1))
    counts = np.rint(rate / rate.sum(axis=1, keepdims=True) * depth)
    names = [*GENES, *(f"LOC{i}" for i in range(len(GENES), share.size))]
    return pd.DataFrame(counts, [f"P{i}" for i in range(n)], names)


def test_depth_does_not_reach_a_model_of_counts():
    counts = whole_counts(12)
    options = FitOptions(model_unit="log2(cpm+1)")
    table = as_table(counts, "counts")
    spec = fit_table(table, options=options)
    cpm = counts.div(counts.sum(axis=1), axis=0) * 1e6
    names = list(spec.names)
    expected = np.log2(cpm[names] + 1)
    np.testing.assert_allclose(spec.features["mean"], expected.mean(), rtol=1e-4)
    np.testing.assert_allclose(spec.features["std"], expected.std(ddof=0), rtol=1e-3)
    # Ten times the depth: the same statistics, and the same row for the same patient.
    deep = counts.mul(np.linspace(1, 10, 12).round(), axis=0)
    again = fit_table(as_table(deep, "counts"), options=options)
    np.testing.assert_allclose(again.features["mean"], spec.features["mean"], atol=1e-5)
    out = transform_table(table, spec)
    np.testing.assert_allclose(out.layers["unscaled"], expected, rtol=1e-4, atol=1e-5)
    out_deep = transform_table(as_table(deep, "counts"), spec)
    np.testing.assert_allclose(out_deep.X, out.X, atol=1e-3)


def test_genes_of_counts_are_kept_by_their_share_of_the_reads():
    counts = whole_counts(12)
    options = FitOptions(
        model_unit="log2(cpm+1)", min_expression=5.0, min_expressed=1.0
    )
    spec = fit_table(as_table(counts, "counts"), options=options)
    cpm = counts.div(counts.sum(axis=1), axis=0) * 1e6
    # Float32 tables: what lies at the limit itself may fall on either side.
    assert set(spec.names) >= set(counts.columns[(cpm >= 5.001).all()])
    assert set(spec.names) <= set(counts.columns[(cpm >= 4.999).all()])


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        (whole_counts(3), FitOptions(), "learn it; pass options with model_unit="),
        (np.rint(tpm_frame()), FitOptions(), "rank_normal=True"),
        (
            whole_counts(3),
            FitOptions(model_unit="log2(tpm+1)"),
            r"without gene lengths; pass model_unit='log2\(cpm\+1\)'",
        ),
        (
            np.rint(tpm_frame()),
            FitOptions(model_unit="log2(cpm+1)"),
            "not every training patient has a whole transcriptome",
        ),
        (
            np.rint(tpm_frame()),
            FitOptions(model_unit="log2(tpm+1)"),
            r"give all genes \(10,000 or more\)",
        ),
        (
            np.log2(tpm_frame() + 1),
            FitOptions(model_unit="log2(x+1)"),
            "cannot be made",
        ),
    ],
)
def test_counts_are_fitted_by_depth_or_not_at_all(frame, options, words):
    unit = "log2(counts+1)" if options.model_unit == "log2(x+1)" else "counts"
    with pytest.raises(ConfigurationError, match=words):
        fit_modality(frame, modality="rna", unit=unit, options=options)


@pytest.mark.real_data
def test_real_counts_and_methylation(real_data):
    counts = read_omics(real_data / "omics" / "tcga_brca_mrna_chr17_counts.tsv.gz")
    options = FitOptions(
        model_unit="log2(counts+1)", min_expression=10, min_expressed=0.2,
        select="mad", top=200, rank_normal=True, imputation="knn",
    )  # fmt: skip
    rows = list(counts.obs_names[:500])
    spec = fit_table(counts, rows, options=options)
    assert len(spec) == 200
    out = transform_table(counts[500:], spec)
    assert out.obs["used"].all()
    assert abs(float(out.X.mean())) < 0.1
    assert 0.8 < float(out.X.std()) < 1.2
    path = real_data / "omics" / "tcga_brca_methylation_chr17_betas.csv.gz"
    beta = read_omics(path, modality="methylation")
    options = standard_options("methylation")
    spec = fit_table(beta, list(beta.obs_names[:200]), options=options)
    out = transform_table(beta[200:], spec)
    assert out.obs["used"].all()
    assert np.nanmin(out.layers["beta"]) >= 0
    assert np.nanmax(out.layers["beta"]) <= 1
    raw = np.asarray(beta[200:, list(spec.names)].X)
    np.testing.assert_allclose(out.layers["beta"], raw, atol=1e-5)
