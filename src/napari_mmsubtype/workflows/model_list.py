"""Which models a cross-validation runs: presets, and what they have to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_mmsubtype.core.cases import Modality, ordered, subset_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_mmsubtype.training.preset import Preset

LOGISTIC_OMICS = "omics"
MISSINGNESS, SITE = "missingness", "site"
_ONE = "_only"


@dataclass(frozen=True, slots=True)
class FusionVariant:
    """A preset, or a change of it that is trained in the same way.

    Attributes
    ----------
    name : str
        Unique in a cross-validation, for example ``evidence/rna_only``.
    kind : str
        ``fusion``, ``baseline``, ``ablation`` or ``control``.
    title : str
        What it is, in one line.
    preset : str
        Name of the preset.
    modalities : tuple of Modality
        That it may look at.
    fusion : str or None
        Fusion model in the place of the preset's own.
    shuffled : bool
        Whether it is trained on shuffled labels.
    """

    name: str
    kind: str
    title: str
    preset: str
    modalities: tuple[Modality, ...]
    fusion: str | None = None
    shuffled: bool = False


@dataclass(frozen=True, slots=True)
class SimpleModel:
    """A logistic regression beside the presets.

    Attributes
    ----------
    name : str
        ``logistic/rna``, ``probe/site`` and so on.
    kind : str
        ``logistic`` or ``probe``.
    title : str
        What it is, in one line.
    modalities : tuple of Modality
        That it looks at; empty for probes.
    """

    name: str
    kind: str
    title: str
    modalities: tuple[Modality, ...]


def fusion_variants(preset: Preset) -> list[FusionVariant]:
    """List what is trained for one preset.

    Parameters
    ----------
    preset : Preset
        With the tables that the cohort has.

    Returns
    -------
    list of FusionVariant
        The preset first, then baselines of one modality, other baselines, ablations
        and the control.
    """
    every = ordered((Modality.IMAGE, *preset.modalities))
    made = [FusionVariant(preset.name, "fusion", preset.title, preset.name, every)]

    def _add(suffix: str, kind: str, title: str, **change: object) -> None:
        given: dict[str, object] = {"modalities": every, **change}
        made.append(
            FusionVariant(f"{preset.name}/{suffix}", kind, title, preset.name, **given)  # type: ignore[arg-type]
        )

    if len(every) > 1:
        for modality in every:
            name = f"{modality}{_ONE}"
            _add(name, "baseline", f"{modality} alone",
                modalities=(modality,), fusion=name)  # fmt: skip
        others = dict.fromkeys(("late", *preset.baselines.fusions))
        for name in others:
            if not name.endswith(_ONE) and name != preset.fusion.name:
                _add(name, "baseline", f"fusion {name}", fusion=name)
    if len(every) > 2:
        for modality in every:
            left = tuple(m for m in every if m != modality)
            _add(f"without_{modality}", "ablation", f"trained without {modality}",
                modalities=left)  # fmt: skip
    _add("random_labels", "control", "trained on shuffled labels", shuffled=True)
    return made


def simple_models(
    modalities: Sequence[Modality], *, with_sites: bool
) -> list[SimpleModel]:
    """List the logistic regressions.

    Parameters
    ----------
    modalities : sequence of Modality
        Of the cohort.
    with_sites : bool
        Whether sites are known.

    Returns
    -------
    list of SimpleModel
        One per modality, all tables together, and the probes.
    """
    every = ordered(modalities)
    tables = tuple(m for m in every if m is not Modality.IMAGE)
    made = []
    for modality in every:
        what = "mean embedding" if modality is Modality.IMAGE else str(modality)
        title = f"logistic regression on {what}"
        made.append(SimpleModel(f"logistic/{modality}", "logistic", title, (modality,)))
    if len(tables) > 1:
        title = f"logistic regression on {subset_key(tables)}"
        name = f"logistic/{LOGISTIC_OMICS}"
        made.append(SimpleModel(name, "logistic", title, tables))
    if len(every) > 1:
        title = "logistic regression on which modalities are there"
        made.append(SimpleModel(f"probe/{MISSINGNESS}", "probe", title, ()))
    if with_sites:
        title = "logistic regression on the site"
        made.append(SimpleModel(f"probe/{SITE}", "probe", title, ()))
    return made
