from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders.omics import GENES, log_frame
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.feature_groups import (
    REST,
    FeatureGroups,
    group_options,
    match_gene_sets,
)
from napari_mmsubtype.omics.gene_sets import GeneSet
from napari_mmsubtype.omics.preprocessing import fit_modality

FEATURES = pd.DataFrame(
    {
        "feature": ["ESR1", "NUF2", "ENSG00000141736.13", "KRT5", "MKI67", "P53"],
        "ensembl": ["ENSG00000091831", "", "", "", "ENSG00000148773.13", ""],
        "entrez": ["2099", "", "2064", "", "", ""],
        "aliases": ["ER|ESRA", "", "HER2|NEU", "", "", "TP53|KRT5"],
    }
)


def positions(*genes: str) -> tuple[int, ...]:
    found = match_gene_sets(
        [GeneSet("set", "", genes)], FEATURES, min_size=1, rest="none"
    )
    return found.groups.members[0]


@pytest.mark.parametrize(
    ("gene", "position"),
    [
        ("ESR1", 0),
        ("esr1", 0),
        ("ENSG00000091831.5", 0),
        ("2099", 0),
        ("ESR1|2099", 0),
        ("ESRA", 0),
        ("CDCA1", 1),
        ("NUF2", 1),
        ("ENSG00000141736", 2),
        ("neu", 2),
        ("ENSG00000148773", 4),
        ("TP53", 5),
        # An alias that is another feature's own name belongs to that one.
        ("KRT5", 3),
    ],
)
def test_genes_are_found_by_every_name_they_have(gene, position):
    assert positions(gene) == (position,)


def test_two_names_of_a_gene_are_one_feature():
    assert positions("ESR1", "2099", "KRT5") == (0, 3)


def test_small_sets_are_dropped_and_the_rest_has_a_token():
    sets = [
        GeneSet("big", "", ("ESR1", "KRT5", "ABSENT1")),
        GeneSet("small", "", ("MKI67", "ABSENT2")),
    ]
    found = match_gene_sets(sets, FEATURES, min_size=2)
    assert found.groups == FeatureGroups(("big", REST), ((0, 3), (1, 2, 4, 5)))
    assert found.dropped == ("small",)
    assert found.unmatched == {"big": ("ABSENT1",), "small": ("ABSENT2",)}
    text = "; ".join(found.notes)
    for words in ("1 of 2 gene sets", "2 of 6 features", "small (1)", "ABSENT1"):
        assert words in text


@pytest.mark.parametrize(
    ("rest", "tokens", "option"),
    [
        ("none", 1, [[0, 3]]),
        ("token", 2, [[0, 3], [1, 2, 4, 5]]),
        ("learned", 4, {"members": [[0, 3]], "learned": 3}),
    ],
)
def test_what_becomes_of_the_rest_can_be_chosen(rest, tokens, option):
    found = match_gene_sets(
        [GeneSet("a", "", ("ESR1", "KRT5"))], FEATURES, min_size=2, rest=rest, learned=3
    )
    assert found.groups.tokens == tokens
    assert found.groups.to_option() == option


def test_nothing_is_left_where_the_sets_cover_everything():
    sets = [GeneSet("all", "", tuple(FEATURES["feature"]))]
    for rest in ("token", "learned"):
        assert match_gene_sets(sets, FEATURES, rest=rest).groups.tokens == 1


def test_sets_of_other_identifiers_are_refused_with_examples_of_both():
    with pytest.raises(ConfigurationError, match=r"none of 1 gene sets.*YAL001C.*ESR1"):
        match_gene_sets([GeneSet("yeast", "", ("YAL001C",))], FEATURES, min_size=1)
    with pytest.raises(ConfigurationError, match="'rest', as the other features"):
        match_gene_sets([GeneSet(REST, "", ("ESR1",))], FEATURES, min_size=1)


def test_the_matrix_spells_the_members_out():
    groups = FeatureGroups(("a", "b"), ((2, 0, 2), (1,)))
    np.testing.assert_array_equal(groups.matrix(4), [[1, 0, 1, 0], [0, 1, 0, 0]])
    assert groups.members == ((0, 2), (1,))


@pytest.mark.parametrize(
    ("names", "members"),
    [((), ()), (("a",), ((0,), (1,))), (("a", "a"), ((0,), (1,))), (("a",), ((),)),
     (("a",), ((-1,),))],
)  # fmt: skip
def test_impossible_groups_are_refused(names, members):
    with pytest.raises(ConfigurationError, match="needs a name of its own"):
        FeatureGroups(names, members)


def test_a_specification_carries_groups_to_the_model():
    spec = fit_modality(log_frame(20), modality="rna", unit="log2(tpm+1)")
    groups = match_gene_sets(
        [GeneSet("luminal", "", GENES[:6])], spec.features, rest="learned"
    ).groups
    specs = {Modality.RNA: spec.with_groups(groups), Modality.CLINICAL: spec}
    assert group_options(specs) == {
        "rna": {"members": [[0, 1, 2, 3, 4, 5]], "learned": 4}
    }
    with pytest.raises(ConfigurationError, match="names feature 99"):
        spec.with_groups(FeatureGroups(("a",), ((99,),)))
