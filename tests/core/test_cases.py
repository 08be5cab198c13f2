from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.core.cases import Modality, ordered, subset_key, subsets

some = st.lists(st.sampled_from(list(Modality)), min_size=1)


@given(some)
def test_subsets_lists_each_non_empty_subset_once(modalities):
    listed = subsets(modalities)
    count = len(set(modalities))
    assert len(listed) == len(set(listed)) == 2**count - 1
    assert listed[0] == ordered(modalities)
    assert set(chain.from_iterable(listed)) == set(modalities)


def test_order_is_image_first_whatever_is_given():
    assert subset_key([Modality.CLINICAL, Modality.IMAGE, Modality.RNA]) == (
        "image+rna+clinical"
    )
