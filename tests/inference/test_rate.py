from napari_mmsubtype.inference.rate import Meter


def test_the_meter_counts_only_this_runs_patches_into_the_rate():
    event = Meter("patches", 100, 90).advance(5)
    assert (event.done, event.total) == (95, 100)
    assert "patches/s" in event.message
