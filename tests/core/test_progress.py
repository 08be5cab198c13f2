from napari_mmsubtype.core.progress import Progress


def test_total_zero_means_unknown_by_default():
    event = Progress("open")
    assert (event.done, event.total, event.message, event.partial) == (0, 0, "", None)
