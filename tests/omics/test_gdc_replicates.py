from __future__ import annotations

import itertools

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.omics_gdc import write_metadata
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.gdc_replicates import (
    REPLICATE,
    mark_replicates,
    preferred_aliquot,
    read_aliquots,
)

SAMPLE = "TCGA-A6-2684-01A"


def aliquot(portion: str, plate: str) -> str:
    return f"{SAMPLE}-{portion}-{plate}-07"


@pytest.mark.parametrize(
    ("modality", "best", "other"),
    [
        ("rna", aliquot("01H", "0001"), aliquot("01R", "A278")),
        ("rna", aliquot("01R", "0001"), aliquot("01T", "A278")),
        ("rna", aliquot("01R", "A278"), aliquot("01R", "1410")),
        ("rna", aliquot("01R", "A278"), aliquot("02R", "1410")),
        ("rna", aliquot("02R", "1410"), aliquot("01R", "1410")),
        ("methylation", aliquot("01D", "1410"), aliquot("01W", "1410")),
        ("methylation", aliquot("01W", "A278"), aliquot("01D", "1410")),
        ("methylation", aliquot("01D", "A278"), aliquot("01X", "1410")),
        ("methylation", aliquot("02D", "1410"), aliquot("01D", "A278")),
    ],
)
def test_rule_of_firehose(modality, best, other):
    assert preferred_aliquot([other, best], Modality(modality)) == 1
    assert preferred_aliquot([best, other], Modality(modality)) == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from("HRTDGWX"), st.integers(0, 9999)),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    st.sampled_from([Modality.RNA, Modality.METHYLATION]),
)
def test_order_of_the_files_decides_nothing(parts, modality):
    names = [f"{SAMPLE}-{p:02d}{a}-{n:04d}-07" for p, a, n in parts]
    chosen = {
        order[preferred_aliquot(order, modality)]
        for order in itertools.permutations(names)
    }
    assert len(chosen) == 1


def test_nothing_is_preferred_by_a_guess():
    assert preferred_aliquot(["CPT0001", "CPT0002"], Modality.RNA) is None
    same = aliquot("01R", "A278")
    assert preferred_aliquot([same, same], Modality.RNA) is None
    assert preferred_aliquot([same, ""], Modality.RNA) is None


def test_samples_are_marked_one_by_one():
    obs = pd.DataFrame(
        {"aliquot": [aliquot("01R", "1410"), aliquot("01H", "1410"), "", "a", "b"]}
    )
    marked, notes = mark_replicates(["s", "s", "t", "u", "u"], obs, Modality.RNA)
    assert marked[REPLICATE].tolist() == [True, False, False, False, False]
    assert "analyte H before R before T" in notes[0]
    assert notes[1].startswith("1 samples have several files (u)")
    alone, notes = mark_replicates(["s", "t", "u", "v", "w"], obs, Modality.RNA)
    assert REPLICATE not in alone
    assert not notes


def test_metadata_of_a_cart_name_the_aliquots(tmp_path):
    assert read_aliquots([tmp_path]) == {}
    path = write_metadata(tmp_path, {"a.tsv.gz": "A-1", "b.tsv": "B-1"})
    assert read_aliquots([tmp_path, tmp_path]) == {"a.tsv": "A-1", "b.tsv": "B-1"}
    path.write_text('{"data": {"hits": []}}')
    with pytest.raises(TableReadError, match="not the metadata of a GDC cart"):
        read_aliquots([tmp_path])
