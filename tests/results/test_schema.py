from napari_mmsubtype.results.schema import PatchStatus


def test_pending_is_what_an_untouched_array_holds():
    assert PatchStatus.PENDING == 0
    assert len({*PatchStatus}) == 4
