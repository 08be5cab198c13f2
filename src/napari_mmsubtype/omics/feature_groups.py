"""Groups of a model's features: what each omics token of the model is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.feature_names import RENAMED, parse_feature

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.omics.gene_sets import GeneSet
    from napari_mmsubtype.omics.modality_spec import ModalitySpec

REST = "rest"
"""Name of the group of the features that are in no set."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class FeatureGroups:
    """Features by group.

    Attributes
    ----------
    names : tuple of str
        One per given group, unique.
    members : tuple of tuple of int
        Positions of each group's features in the model, ascending; a feature may be
        in several groups.
    learned : int
        Number of further groups, without names, which share the features that are in
        no given group and whose memberships the model learns.
    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    learned: int = 0

    def __post_init__(self) -> None:
        members = tuple(tuple(sorted(set(map(int, m)))) for m in self.members)
        object.__setattr__(self, "names", tuple(map(str, self.names)))
        object.__setattr__(self, "members", members)
        if (
            not members
            or len(self.names) != len(members)
            or len(set(self.names)) != len(self.names)
            or not all(members)
            or min(map(min, members)) < 0
            or self.learned < 0
        ):
            msg = (
                f"{len(self.names)} names and {len(members)} groups of features; each "
                "group needs a name of its own and at least one feature"
            )
            raise ConfigurationError(msg)

    @property
    def tokens(self) -> int:
        """Number of tokens that a model makes of them."""
        return len(self.members) + self.learned

    def to_option(self) -> list[list[int]] | dict[str, object]:
        """Give the groups as a model takes them.

        Returns
        -------
        list of list of int, or dict
            For the option ``groups`` of the fusion model ``cross_attention``; plain
            JSON types.
        """
        members = [list(group) for group in self.members]
        if self.learned:
            return {"members": members, "learned": self.learned}
        return members

    def matrix(self, features: int) -> NDArray[np.float32]:
        """Spell the given groups out.

        Parameters
        ----------
        features : int
            Number of features of the model.

        Returns
        -------
        ndarray of float32, shape (group, feature)
            1 where the feature is in the group, otherwise 0.
        """
        table = np.zeros((len(self.members), features), dtype=np.float32)
        for row, group in enumerate(self.members):
            table[row, list(group)] = 1.0
        return table


@dataclass(frozen=True, slots=True)
class GeneSetMatch:
    """What gene sets become among a model's features.

    Attributes
    ----------
    groups : FeatureGroups
        The sets that are large enough, and what becomes of the other features.
    unmatched : mapping of str to tuple of str
        Genes of each set, kept or not, that the model does not have.
    dropped : tuple of str
        Sets with too few features.
    notes : tuple of str
        The same in words.
    """

    groups: FeatureGroups
    unmatched: Mapping[str, tuple[str, ...]]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]


def match_gene_sets(
    sets: Iterable[GeneSet],
    features: pd.DataFrame,
    *,
    min_size: int = 5,
    rest: Literal["token", "learned", "none"] = "token",
    learned: int = 4,
) -> GeneSetMatch:
    """Find the genes of gene sets among a model's features.

    A gene is found by symbol, Ensembl or Entrez identifier, symbol in other case, or
    alias, in this order, as the columns of a table are.

    Parameters
    ----------
    sets : iterable of GeneSet
        As `gene_sets.read_gmt`.
    features : DataFrame
        Features of the model: ``feature``, ``ensembl``, ``entrez``, ``aliases``.
    min_size : int, default: 5
        Sets with fewer features in the model are dropped.
    rest : {"token", "learned", "none"}, default: "token"
        Features that are in no set share one more group, called `REST`; or so many
        learned groups; or do not reach the model.
    learned : int, default: 4
        Number of learned groups, with ``rest="learned"``.

    Returns
    -------
    GeneSetMatch
        Groups for the model, and a report.

    Raises
    ------
    ConfigurationError
        If no set is large enough, or one is called `REST`.
    """
    index = _FeatureIndex(features)
    given = tuple(sets)
    kept: dict[str, tuple[int, ...]] = {}
    unmatched: dict[str, tuple[str, ...]] = {}
    sizes: dict[str, int] = {}
    for entry in given:
        positions = {gene: index.find(gene) for gene in entry.genes}
        unmatched[entry.name] = tuple(g for g, p in positions.items() if p is None)
        found = sorted({p for p in positions.values() if p is not None})
        sizes[entry.name] = len(found)
        if len(found) >= max(1, min_size):
            kept[entry.name] = tuple(found)
    dropped = tuple(name for name in unmatched if name not in kept)
    if not kept:
        genes = [gene for entry in given for gene in entry.genes]
        msg = (
            f"none of {len(given)} gene sets has {min_size} of the model's "
            f"{len(features)} features (sets hold {_some(genes)}, the model "
            f"{_some(list(features['feature']))}); give sets with identifiers such as "
            "the model's, or lower the minimal size"
        )
        raise ConfigurationError(msg)
    covered = {position for group in kept.values() for position in group}
    others = tuple(p for p in range(len(features)) if p not in covered)
    count = 0
    if others and rest == "token":
        if REST in kept:
            msg = f"a gene set is called {REST!r}, as the other features are; rename it"
            raise ConfigurationError(msg)
        kept[REST] = others
    elif others and rest == "learned":
        count = learned
    groups = FeatureGroups(tuple(kept), tuple(kept.values()), count)
    notes = [
        f"{len(given) - len(dropped)} of {len(given)} gene sets have at least "
        f"{min_size} of the model's features",
        f"{len(covered)} of {len(features)} features are in a set; the other "
        f"{len(others)} {_fate(rest, len(others), learned)}",
    ]
    if dropped:
        listed = [f"{name} ({sizes[name]})" for name in dropped]
        notes.append(f"sets left out, with their features: {_some(listed)}")
    absent = list(dict.fromkeys(g for genes in unmatched.values() for g in genes))
    if absent:
        notes.append(f"{len(absent)} genes of the sets are not in the model: "
                     f"{_some(absent)}")  # fmt: skip
    return GeneSetMatch(groups, unmatched, dropped, tuple(notes))


def group_options(
    specs: Mapping[Modality, ModalitySpec],
) -> dict[str, list[list[int]] | dict[str, object]]:
    """Collect the groups of all modalities as a fusion model takes them.

    Parameters
    ----------
    specs : mapping of Modality to ModalitySpec
        What a model knows of its modalities; those without groups are left out.

    Returns
    -------
    dict of str to list or dict
        For ``create_fusion("cross_attention", ..., groups=...)``.
    """
    return {
        str(modality): spec.groups.to_option()
        for modality, spec in specs.items()
        if spec.groups is not None
    }


class _FeatureIndex:
    """A model's features by every name they have, the surer names first."""

    def __init__(self, features: pd.DataFrame) -> None:
        names = [str(name) for name in features["feature"]]
        folded = {name.casefold() for name in names}
        old = {after: before for before, after in RENAMED.items()}
        ways: list[dict[str, int]] = [{} for _ in range(5)]
        columns = [features[c] for c in ("ensembl", "entrez", "aliases")]
        for position, name in enumerate(names):
            ensembl, entrez, aliases = (str(c.iloc[position]) for c in columns)
            parsed = parse_feature(name)
            others = [*aliases.split("|"), old.get(name, ""), RENAMED.get(name, "")]
            keys = (
                (name,),
                (parse_feature(ensembl).ensembl or parsed.ensembl,),
                (entrez or parsed.entrez,),
                (name.casefold(), parsed.symbol.casefold()),
                # An alias that is another feature's own name belongs to that one.
                tuple(k for o in others if (k := o.strip().casefold()) not in folded),
            )
            for way, found in zip(ways, keys, strict=True):
                for key in filter(None, found):
                    way.setdefault(key, position)
        self._ways = ways

    def find(self, gene: str) -> int | None:
        """Give the position of a gene, if the model has it."""
        parsed = parse_feature(gene)
        folded = (parsed.symbol or gene).casefold()
        keys = (gene, parsed.ensembl, parsed.entrez, folded, folded)
        for way, key in zip(self._ways, keys, strict=True):
            if key and key in way:
                return way[key]
        return None


def _fate(rest: str, others: int, learned: int) -> str:
    """Say what becomes of the features that are in no set."""
    if rest == "none":
        return "do not reach the model"
    if rest == "learned":
        return f"share {learned if others else 0} learned groups"
    return f"form the group {REST!r}"


def _some(names: Sequence[str]) -> str:
    """Quote the first of many names."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
