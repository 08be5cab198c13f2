"""From a preset to what it describes: features, encoder, heads, fusion model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.fusion import check_fusion_options, create_fusion
from napari_mmsubtype.models.heads import CLASS_HEAD, Heads, read_heads
from napari_mmsubtype.models.registry import check_encoder_options, create_encoder
from napari_mmsubtype.omics.feature_groups import group_options, match_gene_sets
from napari_mmsubtype.omics.fitting import fit_table
from napari_mmsubtype.omics.gene_programs import PAM50 as PAM50_GENES
from napari_mmsubtype.omics.gene_sets import GeneSet, read_gmt
from napari_mmsubtype.training.preset_sections import PAM50

if TYPE_CHECKING:
    import anndata
    import pandas as pd

    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.omics.modality_spec import ModalitySpec
    from napari_mmsubtype.training.preset import Preset

_TOKEN_FUSION = "cross_attention"


def check_networks(preset: Preset) -> None:
    """Check every name and option of a preset's networks, without making them.

    Parameters
    ----------
    preset : Preset
        Of which the records are checked already.

    Raises
    ------
    ConfigurationError
        If an encoder, fusion model, head or option is unknown or impossible.
    """
    try:
        check_encoder_options(preset.encoder.name, preset.encoder.options)
        check_fusion_options(preset.fusion.name, preset.fusion.options)
        for name in preset.baselines.encoders:
            check_encoder_options(name, {})
        for name in preset.baselines.fusions:
            check_fusion_options(name, {})
        build_heads(preset)
        _check_gene_sets(preset)
    except ConfigurationError as err:
        msg = f"preset {preset.name!r}: {err}"
        raise ConfigurationError(msg) from err


def fit_modality_settings(
    preset: Preset,
    table: anndata.AnnData,
    samples: Sequence[str] | None = None,
    *,
    labels: Sequence[object] | None = None,
    annotation: pd.DataFrame | None = None,
) -> ModalitySpec:
    """Learn the features of a table from training samples, as a preset says.

    Parameters
    ----------
    preset : Preset
        With the modality of the table.
    table : AnnData
        As `table.read_omics`.
    samples : sequence of str or None, default: None
        Row names of the training samples; None takes every row.
    labels : sequence or None, default: None
        Class of each training sample: clinical columns that tell it are refused.
    annotation : DataFrame or None, default: None
        Methylation probes, as `probe_annotation.tidy_annotation`.

    Returns
    -------
    ModalitySpec
        With a group of features for each gene set, where the preset has any.

    Raises
    ------
    ConfigurationError
        If the preset does not take the table, or as `fitting.fit_table`.
    TableReadError
        If the gene sets cannot be read.
    """
    modality = Modality(str(table.uns["mmsubtype"]["modality"]))
    if modality not in preset.modalities:
        msg = (
            f"preset {preset.name!r} takes no {modality} table; it takes "
            f"{', '.join(preset.modalities) or 'none'}"
        )
        raise ConfigurationError(msg)
    settings = preset.modalities[modality]
    clinical = modality is Modality.CLINICAL
    spec = fit_table(
        table,
        samples,
        clip=settings.clip,
        min_coverage=settings.min_coverage,
        schema=settings.schema if clinical else None,
        options=None if clinical else settings.options,
        annotation=annotation,
        labels=labels,
    )
    if settings.gene_sets is None:
        return spec
    chosen = settings.gene_sets
    match = match_gene_sets(
        _read_sets(chosen.source),
        spec.features,
        min_size=chosen.min_size,
        rest=chosen.rest,
        learned=chosen.learned,
    )
    return spec.with_groups(match.groups)


def build_encoder(preset: Preset, *, pretrained: bool = True) -> Encoder:
    """Make the encoder of a preset.

    Parameters
    ----------
    preset : Preset
        Which.
    pretrained : bool, default: True
        Whether to fill it with the preset's weights; otherwise they are random.

    Returns
    -------
    Encoder
        For patches of the preset's size, in evaluation mode.

    Raises
    ------
    ConfigurationError
        If an option is unknown or impossible, or the weights cannot be had.
    """
    settings = preset.encoder
    options = dict(settings.options)
    try:
        check_encoder_options(settings.name, options)
        return create_encoder(
            settings.name,
            weights=settings.weights if pretrained else None,
            input_size=preset.patch.size_px,
            **options,
        )
    except (ConfigurationError, TypeError, ValueError) as err:
        msg = f"preset {preset.name!r}: the encoder cannot be made: {err}"
        raise ConfigurationError(msg) from err


def build_heads(preset: Preset) -> Heads:
    """Make the heads of a preset: its classes, and what else it asks.

    Parameters
    ----------
    preset : Preset
        Which.

    Returns
    -------
    Heads
        The classes first.

    Raises
    ------
    ConfigurationError
        If a head is not described as one of its kind.
    """
    names = [subtype.name for subtype in preset.classes]
    classes = {CLASS_HEAD: {"kind": "classes", "labels": names}}
    if CLASS_HEAD in preset.heads:
        msg = f"heads has {CLASS_HEAD!r}, which are the classes; set classes instead"
        raise ConfigurationError(msg)
    return read_heads({**classes, **preset.heads})


def build_fusion(
    preset: Preset,
    *,
    dim: int,
    modalities: Mapping[Modality, ModalitySpec],
    baseline: str | None = None,
) -> FusionModel:
    """Make the fusion model of a preset, or one of its baselines.

    Parameters
    ----------
    preset : Preset
        Which.
    dim : int
        Length of the encoder's embedding.
    modalities : mapping of Modality to ModalitySpec
        Every table of the preset, as `fit_modality_settings` learned it.
    baseline : str or None, default: None
        A fusion model in the place of the preset's own, with its usual options.

    Returns
    -------
    FusionModel
        Random under the current seed, with a logit for each column of `build_heads`.

    Raises
    ------
    ConfigurationError
        If tables are missing, or an option is unknown or impossible.
    """
    if set(modalities) != set(preset.modalities):
        msg = (
            f"preset {preset.name!r} takes tables {list(map(str, preset.modalities))}, "
            f"found {list(map(str, modalities))}; fit each of them, no others"
        )
        raise ConfigurationError(msg)
    name = baseline or preset.fusion.name
    options: dict[str, Any] = {} if baseline else dict(preset.fusion.options)
    if name == _TOKEN_FUSION and (given := group_options(modalities)):
        options["groups"] = {**_learned_groups(options, modalities), **given}
    try:
        if baseline is None:
            _check_gene_sets(preset)
        check_fusion_options(name, options)
        return create_fusion(
            name,
            dim=dim,
            classes=build_heads(preset).size,
            omics={str(m): len(spec) for m, spec in modalities.items()},
            **options,
        )
    except (ConfigurationError, TypeError, ValueError) as err:
        msg = f"preset {preset.name!r}: fusion model {name!r} cannot be made: {err}"
        raise ConfigurationError(msg) from err


def _check_gene_sets(preset: Preset) -> None:
    """Refuse gene sets that the fusion model would not look at."""
    chosen = [m for m, s in preset.modalities.items() if s.gene_sets is not None]
    if chosen and preset.fusion.name != _TOKEN_FUSION:
        msg = (
            f"modalities.{chosen[0]}.gene_sets makes a token of each set, which only "
            f"the fusion model {_TOKEN_FUSION!r} takes, found {preset.fusion.name!r}; "
            "set gene_sets to null"
        )
        raise ConfigurationError(msg)


def _learned_groups(
    options: Mapping[str, Any], modalities: Mapping[Modality, ModalitySpec]
) -> dict[str, Any]:
    """Say by modality what the preset says of the groups of all."""
    groups = options.get("groups", {})
    if isinstance(groups, Mapping):
        return dict(groups)
    return {str(m): groups for m in modalities if m is not Modality.CLINICAL}


def _read_sets(source: str) -> tuple[GeneSet, ...]:
    """Give the gene sets of a name or of a file."""
    if source == PAM50:
        return (GeneSet("PAM50", "Parker et al. 2009", PAM50_GENES),)
    return read_gmt(source)
