from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.models.heads import CLASS_HEAD
from napari_mmsubtype.omics.gene_programs import PAM50
from napari_mmsubtype.omics.synthetic import synthetic_cohort
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.training import patch_trainer
from napari_mmsubtype.training.bags import BagSet, collate
from napari_mmsubtype.training.config import FusionTrainingConfig, PatchTrainingConfig
from napari_mmsubtype.training.fusion_trainer import fit_fusion, predict_logits
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.training.preset import LATER_STAGES, section_names
from napari_mmsubtype.training.preset_build import (
    build_encoder,
    build_fusion,
    build_heads,
    check_networks,
    fit_modality_settings,
)
from napari_mmsubtype.training.preset_files import (
    list_presets,
    load_preset,
    preset_text,
)
from napari_mmsubtype.workflows.jobs import run_job

NAMES = ["brca-crossattention", "evidence", "lung-mmlm", "resvit-gannet"]
DIM = 12
# What a test machine trains in a moment.
SMALL = {
    "lung-mmlm": ["encoder.name=resnet18", "patch.size_px=64", "patch.stride_px=64"],
    "resvit-gannet": [
        "patch.size_px=64",
        "patch.stride_px=64",
        "encoder.weights=",
        "encoder.options={cnn: resnet18, vit_dim: 16, vit_depth: 4, vit_heads: 2, "
        "dim: 24, heads: 2}",
    ],
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cohort():
    return synthetic_cohort(24, seed=1)


def make_table(cohort, modality):
    frame = getattr(cohort, modality.value)
    record = {"modality": modality.value, "source": "synthetic", "steps": []}
    if modality is Modality.CLINICAL:
        # As a lung cohort's, with what the preset declares.
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(
            {
                "age": rng.normal(60, 9, len(frame)),
                "sex": rng.choice(["female", "male"], len(frame)),
                "pack_years": rng.gamma(2, 10, len(frame)),
            },
            index=frame.index,
        )
        table = anndata.AnnData(np.empty((len(frame), 0)), obs=frame)
        table.uns["mmsubtype"] = {**record, "unit": "raw"}
        return table
    table = anndata.AnnData(frame.astype(np.float32))
    unit = "log2(tpm+1)" if modality is Modality.RNA else "beta"
    table.uns["mmsubtype"] = {**record, "unit": unit}
    return table


@pytest.fixture(scope="module")
def specs(cohort):
    def fit(preset):
        return {
            m: fit_modality_settings(preset, make_table(cohort, m))
            for m in preset.modalities
        }

    return fit


def make_cases(preset, specs, prefix, seed):
    """Patients whose image and tables all tell the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(24) % len(preset.classes)
    bags = [rng.normal(0, 0.5, (6, DIM)).astype(np.float32) for _ in labels]
    omics = {
        m: rng.normal(0, 0.5, (24, len(s))).astype(np.float32) for m, s in specs.items()
    }
    for row, label in enumerate(labels):
        bags[row][:, label] += 2.0
        for values in omics.values():
            values[row, label] += 2.0
    modalities = (Modality.IMAGE, *specs)
    return BagSet(
        patients=tuple(f"{prefix}{i}" for i in range(24)),
        labels=labels,
        bags=bags,
        omics=omics,
        present=np.ones((24, len(modalities)), bool),
        modalities=modalities,
        targets={
            name: np.stack([10.0 - labels, np.ones(24)], axis=1)
            if name == "risk"
            else labels.astype(float)
            for name in preset.heads
        },
    )


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_built_in_full_size(name):
    preset = load_preset(name)
    check_networks(preset)
    with torch.device("meta"):
        encoder = build_encoder(preset, pretrained=False)
        size = preset.patch.size_px
        maps = encoder.feature_map(torch.zeros(1, 3, size, size))
    assert encoder.input_size == size
    assert encoder.name == preset.encoder.name
    assert encoder.options == {"input_size": size, **preset.encoder.options}
    assert maps.shape == (1, encoder.dim, encoder.cells, encoder.cells)


@pytest.mark.parametrize("name", NAMES)
def test_training_the_fusion_model_lowers_its_loss(name, specs):
    changes = ["fusion_training.epochs=6", "fusion_training.learning_rate=0.005"]
    preset = load_preset(name, changes)
    tables = specs(preset)
    train = make_cases(preset, tables, "a", 0)
    validation = make_cases(preset, tables, "b", 1)
    torch.manual_seed(3)
    model = build_fusion(preset, dim=DIM, modalities=tables)
    heads = build_heads(preset)

    def loss():
        logits = torch.from_numpy(predict_logits(model, train))[:, : heads.classes.size]
        return F.cross_entropy(logits, torch.from_numpy(train.labels)).item()

    before = loss()
    run_job(fit_fusion(model, train, validation, preset.fusion_training, heads))
    assert loss() < 0.95 * before


def test_every_head_of_the_lung_preset_learns_in_one_step(specs):
    preset = load_preset("lung-mmlm")
    heads = build_heads(preset)
    assert heads.classes.labels == ("LUAD", "LUSC", "Normal")
    assert [head.kind for head in heads.others.values()] == ["ordinal", "cox"]
    tables = specs(preset)
    torch.manual_seed(0)
    model = build_fusion(preset, dim=DIM, modalities=tables).eval()
    assert model.classes == heads.size == 3 + 3 + 1
    batch = collate(make_cases(preset, tables, "a", 0), range(24))
    targets = {CLASS_HEAD: batch.labels.float(), **batch.targets}

    def losses():
        output = model(batch.bag, batch.mask, batch.omics, batch.present)
        return heads.losses(output.logits, targets)

    before = losses()
    assert set(before) == set(targets)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=preset.fusion_training.learning_rate
    )
    sum(before.values()).backward()
    optimizer.step()
    after = losses()
    assert all(after[name] < before[name] for name in targets)


@pytest.mark.parametrize("name", ["lung-mmlm", "resvit-gannet"])
def test_training_the_encoder_lowers_its_loss(name):
    changes = ["patch_training.epochs=3", "patch_training.batch_size=8"]
    preset = load_preset(name, [*SMALL[name], *changes])
    rng = np.random.default_rng(0)
    classes = len(preset.classes)
    labels = np.arange(16) % classes
    patches = rng.integers(0, 60, (16, 64, 64, 3))
    patches += 60 * labels[:, None, None, None] // (classes - 1) * 3
    targets = np.eye(classes, dtype=np.float32)[labels]
    torch.manual_seed(0)
    encoder = build_encoder(preset, pretrained=False)
    fit = run_job(
        fit_patch_encoder(
            encoder, patches.clip(0, 255).astype(np.uint8), targets,
            preset.patch_training,
        )
    )  # fmt: skip
    assert fit.losses[-1] < fit.losses[0]
    assert fit.probabilities(patches.astype(np.uint8)[:2]).shape == (2, classes)


@pytest.mark.parametrize("name", NAMES)
def test_every_baseline_is_built_beside_the_model(name, specs):
    preset = load_preset(name)
    tables = specs(preset)
    for baseline in preset.baselines.fusions:
        model = build_fusion(preset, dim=DIM, modalities=tables, baseline=baseline)
        assert model.name == baseline
        assert model.modalities == (Modality.IMAGE, *tables)


def test_tables_are_fitted_as_the_preset_says(cohort):
    changes = [
        "modalities.rna.clip=3",
        "modalities.rna.min_coverage=0.75",
        "modalities.rna.options.top=100",
    ]
    preset = load_preset("brca-crossattention", changes)
    spec = fit_modality_settings(preset, make_table(cohort, Modality.RNA))
    assert (spec.clip, spec.min_coverage) == (3.0, 0.75)
    assert len(spec) == 100
    (pam50,) = spec.groups.members
    assert spec.groups.names == ("PAM50",)
    assert spec.groups.learned == 32
    assert {spec.names[i] for i in pam50} == set(PAM50) & set(spec.names)
    model = build_fusion(preset, dim=DIM, modalities={Modality.RNA: spec})
    assert model.encoders["rna"].tokens == 33


def test_statistics_are_those_of_the_training_samples(cohort):
    preset = load_preset("evidence")
    table = make_table(cohort, Modality.RNA)
    train = list(table.obs_names[:16])
    spec = fit_modality_settings(preset, table, train)
    altered = table.copy()
    altered.X[16:] = 99.0
    again = fit_modality_settings(preset, altered, train)
    pd.testing.assert_frame_equal(spec.features, again.features)


def test_gene_sets_come_from_a_file(cohort, tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("one\t\t" + "\t".join(PAM50[:20]) + "\ntwo\t\tESR1\tPGR\n")
    changes = [
        f"modalities.rna.gene_sets={{source: '{path}', min_size: 2, rest: none}}"
    ]
    preset = load_preset("brca-crossattention", changes)
    spec = fit_modality_settings(preset, make_table(cohort, Modality.RNA))
    assert spec.groups.names == ("one", "two")
    preset = load_preset("brca-crossattention", ["modalities.rna.gene_sets.source=a"])
    with pytest.raises(TableReadError, match="gene sets 'a' cannot be read"):
        fit_modality_settings(preset, make_table(cohort, Modality.RNA))


@pytest.mark.real_data
def test_a_real_table_of_z_scores_has_the_pam50_genes(real_data):
    path = real_data / "omics" / "tcga_brca_rnaseq_zscores.csv.gz"
    table = read_omics(path, modality="rna")
    with pytest.raises(ConfigurationError, match="leave out min_expression"):
        fit_modality_settings(load_preset("brca-crossattention"), table)
    preset = load_preset("brca-crossattention:z-scores")
    spec = fit_modality_settings(preset, table)
    assert (len(spec), spec.unit) == (1558, "z-score")
    assert len(spec.groups.members[0]) == 7  # of fifty, in this selection of genes
    model = build_fusion(preset, dim=DIM, modalities={Modality.RNA: spec})
    assert model.encoders["rna"].tokens == 33


def test_learned_groups_of_all_and_given_groups_of_one_go_together(cohort):
    changes = [
        "modalities.rna.gene_sets={source: pam50}",
        "fusion={name: cross_attention, options: {width: 16, groups: 3}}",
    ]
    preset = load_preset("evidence", changes)
    tables = {
        m: fit_modality_settings(preset, make_table(cohort, m)) for m in OMICS[:2]
    }
    preset = load_preset(
        "evidence",
        [
            *changes,
            "modalities.clinical=",
            "fusion_training.drop.clinical=",
            "baselines.fusions=[]",
        ],
    )
    model = build_fusion(preset, dim=DIM, modalities=tables)
    assert model.encoders["rna"].tokens == 2
    assert model.encoders["methylation"].tokens == 3


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lung-mmlm", ["encoder.options.foo=1"], "no options 'foo'; known are input"),
        ("lung-mmlm", ["fusion.options.widht=1"], "no options 'widht'; known are drop"),
        ("lung-mmlm", ["fusion.name=nix"], "unknown fusion model 'nix'; known are"),
        ("lung-mmlm", ["encoder.name=nix"], "unknown encoder 'nix'; known are"),
        ("lung-mmlm", ["heads.stage.kind=nix"], "head 'stage' is of kind 'nix'"),
        ("lung-mmlm", ["baselines.fusions=[nix]"], "unknown fusion model 'nix'"),
        ("lung-mmlm", ["baselines.encoders=[nix]"], "unknown encoder 'nix'"),
        (
            "evidence",
            ["modalities.rna.gene_sets.source=pam50"],
            "preset 'evidence': modalities.rna.gene_sets makes a token of each set",
        ),
    ],
)
def test_networks_are_checked_without_being_made(name, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        check_networks(load_preset(name, changes))


def test_the_encoder_is_changed_as_the_file_says():
    text = preset_text("evidence")
    words = re.findall(r"(?<=[# ])encoder\.\w+=(?:{[^}]*}|\S+)", text)
    assert len(words) == 3
    preset = load_preset("evidence", words)
    check_networks(preset)
    assert preset.encoder.name == "h-optimus-0"
    assert preset.encoder.weights == "FILE"


def test_impossible_networks_are_one_message(cohort):
    odd = ["patch.size_px=100", "patch.stride_px=100"]
    preset = load_preset("brca-crossattention", odd)
    with pytest.raises(ConfigurationError, match="multiple of 32 px, found 100 px"):
        build_encoder(preset, pretrained=False)
    preset = load_preset("evidence", ["heads.class.kind=classes"])
    with pytest.raises(ConfigurationError, match="'class', which are the classes"):
        build_heads(preset)
    preset = load_preset("resvit-gannet", ["fusion.options.dropout=much"])
    with pytest.raises(ConfigurationError, match="'image_only' cannot be made"):
        build_fusion(preset, dim=DIM, modalities={})
    preset = load_preset("evidence")
    with pytest.raises(ConfigurationError, match="fit each of them, no others"):
        build_fusion(preset, dim=DIM, modalities={})
    preset = load_preset("resvit-gannet")
    with pytest.raises(ConfigurationError, match="takes no rna table; it takes none"):
        fit_modality_settings(preset, make_table(cohort, Modality.RNA))


def test_no_setting_goes_unread():
    """Each section is built from, trained by, or declared for a later stage."""
    assert list_presets() == NAMES
    folder = Path(patch_trainer.__file__).parent
    built = (folder / "preset_build.py").read_text(encoding="utf-8")
    trained = {"patch_training", "fusion_training"}
    described = {"name", "title", "source"}
    for section in set(section_names()) - set(LATER_STAGES) - trained - described:
        assert f"preset.{section}" in built, section
    for config, modules in (
        (
            PatchTrainingConfig,
            (
                "patch_run.py",
                "branch_heads.py",
                "patch_augmentation.py",
                "layer_rates.py",
                "../workflows/cohort_setup.py",
            ),
        ),
        (
            FusionTrainingConfig,
            (
                "fusion_run.py",
                "fusion_step.py",
                "fusion_loss.py",
                "head_targets.py",
            ),
        ),
    ):
        source = "".join((folder / m).read_text(encoding="utf-8") for m in modules)
        source += (folder / "config.py").read_text(encoding="utf-8")
        for field in fields(config):
            used = rf"(config|self)\.{field.name}\b"
            assert re.search(used, source), field.name
