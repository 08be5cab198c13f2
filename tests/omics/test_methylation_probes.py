from __future__ import annotations

import pandas as pd
import pytest

from napari_mmsubtype.omics.methylation_probes import (
    keep_probes,
    plain_probe,
    recognize_platform,
)


def probes(count: int, start: int = 1_000_000) -> list[str]:
    return [f"cg{start + i:08d}" for i in range(count)]


@pytest.mark.parametrize(
    ("names", "platform"),
    [
        (probes(27_578), "HM27"),
        (probes(485_577), "HM450"),
        (probes(396_065), "HM450"),
        (probes(866_091), "EPIC"),
        (["cg00000029", "cg00000108", "cg00000109", *probes(5)], "HM450"),
        (["cg00000029", "cg00000103", "cg00000109", *probes(5)], "EPIC"),
        ([f"{name}_TC21" for name in probes(9)], "EPICv2"),
        (probes(1_464), ""),
        (["ESR1", "PGR", "GATA3"], ""),
        ([], ""),
    ],
)
def test_arrays_are_known_by_their_count_or_by_probes_of_their_own(names, platform):
    found = recognize_platform(names)
    assert found.platform == platform
    assert str(sum(n.startswith("cg") for n in names) or len(names)) in found.evidence


def test_the_suffix_of_the_newest_array_is_left_aside():
    assert plain_probe("cg00000029_TC21") == "cg00000029"
    assert plain_probe("cg00000029") == "cg00000029"
    assert plain_probe("NKX2_1") == "NKX2_1"


def test_genotypes_and_other_contexts_are_left_out_and_counted():
    names = ["cg00000029", "rs1019916", "ch.1.1000023F", "ESR1", "cg00000109"]
    kept, notes = keep_probes(names)
    assert kept.tolist() == [True, False, False, True, True]
    assert notes == (
        "1 probes genotype (rs) left out",
        "1 probes outside CpG (ch.) left out",
    )


def test_probes_that_tell_the_sex_are_left_out_where_an_annotation_says_so():
    names = ["cg00000001", "cg00000002_BC11", "cg00000003"]
    table = pd.DataFrame(
        {
            "probe": ["cg00000001", "cg00000002", "cg00000003"],
            "chrom": ["1", "chrX", "Y"],
        }
    )
    kept, notes = keep_probes(names, table)
    assert kept.tolist() == [True, False, False]
    assert notes == ("2 probes on X or Y left out",)
    assert keep_probes(names, table, sex_chromosomes=True)[0].all()
    assert keep_probes(names)[0].all()
