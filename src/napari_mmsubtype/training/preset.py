"""A preset: everything that makes one system, from classes to schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.core.patch_grid import PatchSpec  # noqa: TC001
from napari_mmsubtype.core.record_reader import read_record, to_plain
from napari_mmsubtype.core.subtypes import Subtype  # noqa: TC001
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.config import (
    FusionTrainingConfig,  # noqa: TC001 - annotations are read, here and above
    PatchTrainingConfig,  # noqa: TC001
)
from napari_mmsubtype.training.preset_sections import (
    BaselineSettings,
    EncoderSettings,
    FusionSettings,
    GeneSetSettings,
    ModalitySettings,
    SynthesisSettings,
    ValidationSettings,
)

LATER_STAGES = {
    "validation": "cross-validation",
    "baselines": "cross-validation",
    "synthesis": "image synthesis",
}
"""Sections that are checked here and carried out by a later stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One system: what is told apart, from what, by which networks, trained how.

    Attributes
    ----------
    name : str
        What it is called.
    title : str
        What it is, in one line.
    source : str
        Where it is described.
    classes : tuple of Subtype
        In the order of the logits.
    patch : PatchSpec
        What a patch is; its size is the encoder's input.
    encoder : EncoderSettings
        Of patches.
    patch_training : PatchTrainingConfig or None
        Training of the encoder on patches that carry the label of their slide or
        image; None leaves the encoder as its weights are.
    modalities : mapping of Modality to ModalitySettings
        Tables besides the image; may be empty.
    fusion : FusionSettings
        Of patches and tables.
    heads : mapping of str to mapping
        Questions besides the classes, as `heads.read_heads` takes them.
    fusion_training : FusionTrainingConfig
        Of the fusion model.
    validation : ValidationSettings
        Folds and seeds.
    baselines : BaselineSettings
        What runs beside it.
    synthesis : SynthesisSettings or None
        Synthetic training patches.
    """

    name: str
    title: str
    source: str
    classes: tuple[Subtype, ...]
    patch: PatchSpec
    encoder: EncoderSettings
    patch_training: PatchTrainingConfig | None = None
    modalities: Mapping[Modality, ModalitySettings] = field(default_factory=dict)
    fusion: FusionSettings
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fusion_training: FusionTrainingConfig
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    baselines: BaselineSettings = field(default_factory=BaselineSettings)
    synthesis: SynthesisSettings | None = None

    def __post_init__(self) -> None:
        names = [subtype.name for subtype in self.classes]
        if len(set(names)) < max(len(names), 2):
            msg = f"classes must be two or more of different names, found {names}"
            raise ConfigurationError(msg)
        if Modality.IMAGE in self.modalities:
            msg = f"modalities are tables, of {', '.join(OMICS)}; the image is a given"
            raise ConfigurationError(msg)
        modalities = {m: self.modalities[m] for m in OMICS if m in self.modalities}
        object.__setattr__(self, "modalities", modalities)
        self._check_tables()
        for setting, known in (
            ("drop", {Modality.IMAGE, *self.modalities}),
            ("head_weights", set(self.heads)),
        ):
            named = getattr(self.fusion_training, setting)
            if absent := sorted(set(named) - known):
                msg = (
                    f"fusion_training.{setting} names {', '.join(absent)}, which the "
                    "preset does not have; remove it there"
                )
                raise ConfigurationError(msg)

    def _check_tables(self) -> None:
        """Refuse settings that would be passed over."""
        plain = to_plain(ModalitySettings())
        for modality, settings in self.modalities.items():
            given = to_plain(settings)
            for path in settings.foreign(modality):
                if _at(given, path) != _at(plain, path):
                    msg = (
                        f"modalities.{modality}.{path} has no meaning for a table of "
                        "this kind; remove it"
                    )
                    raise ConfigurationError(msg)
        for name in self.baselines.fusions:
            table = name.removesuffix("_only")
            if name in {f"{m}_only" for m in OMICS} and table not in self.modalities:
                msg = f"baseline {name!r} needs modalities.{table}; remove it or add it"
                raise ConfigurationError(msg)

    def with_seed(self, seed: int) -> Preset:
        """Give the preset of one repetition.

        Parameters
        ----------
        seed : int
            One of ``validation.seeds``, or any other.

        Returns
        -------
        Preset
            Both trainings run from this seed.
        """
        patch_training = self.patch_training
        return replace(
            self,
            patch_training=patch_training and replace(patch_training, seed=seed),
            fusion_training=replace(self.fusion_training, seed=seed),
        )

    def to_dict(self) -> dict[str, Any]:
        """Turn the preset into plain types.

        Returns
        -------
        dict
            As a preset file holds them; `read_preset` reverses it.
        """
        content: dict[str, Any] = to_plain(self)
        for name in _TRAININGS:
            if content[name] is not None:
                del content[name]["seed"]
        plain = to_plain(ModalitySettings(gene_sets=GeneSetSettings(source="")))
        for modality, settings in self.modalities.items():
            place = content["modalities"][modality.value]
            for path in settings.idle(modality):
                section, _, last = path.rpartition(".")
                # A value that is switched off is kept, for when it is switched on.
                if not section or _at(place, path) == _at(plain, path):
                    (place[section] if section else place).pop(last)
        return content


_TRAININGS = ("patch_training", "fusion_training")


def _at(content: Mapping[str, Any], path: str) -> Any:
    """Look up a setting; None where its section is."""
    found: Any = content
    for part in path.split("."):
        found = None if found is None else found[part]
    return found


def read_preset(content: object, where: str) -> Preset:
    """Make a preset from settings by name.

    Parameters
    ----------
    content : object
        As YAML gives them. A table or a head that is None is left out, as is a chance
        to drop it or its weight.
    where : str
        What they are, for messages.

    Returns
    -------
    Preset
        Complete and checked, with the first of ``validation.seeds``.

    Raises
    ------
    ConfigurationError
        If a setting is unknown, missing, of the wrong type or impossible.
    """
    if isinstance(content, Mapping):
        for name in _TRAININGS:
            section = content.get(name)
            if isinstance(section, Mapping) and "seed" in section:
                msg = (
                    f"{where}: {name} has a seed; every seed of a preset stands in "
                    "validation.seeds"
                )
                raise ConfigurationError(msg)
        content = _without_empty(content)
    preset = read_record(Preset, content, where)
    return preset.with_seed(preset.validation.seeds[0])


def _without_empty(content: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out tables, heads and what is said of them where they are None."""

    def filled(section: Any) -> Any:
        if not isinstance(section, Mapping):
            return section
        return {key: value for key, value in section.items() if value is not None}

    found = dict(content)
    for name in ("modalities", "heads"):
        if name in found:
            found[name] = filled(found[name])
    training = found.get("fusion_training")
    if isinstance(training, Mapping):
        found["fusion_training"] = {
            name: filled(value) if name in ("drop", "head_weights") else value
            for name, value in training.items()
        }
    return found


def section_names() -> tuple[str, ...]:
    """List the sections of a preset.

    Returns
    -------
    tuple of str
        In the order of a file.
    """
    return tuple(f.name for f in fields(Preset))
