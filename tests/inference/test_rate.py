from napari_mmsubtype.inference import rate
from napari_mmsubtype.inference.rate import Meter


def test_the_meter_counts_only_this_runs_patches_into_the_rate():
    event = Meter("patches", 100, 90).advance(5)
    assert (event.done, event.total) == (95, 100)
    assert "patches/s" in event.message


def test_a_pause_is_no_time_of_work(monkeypatch):
    now = 0.0
    monkeypatch.setattr(rate.time, "perf_counter", lambda: now)
    meter = Meter("patches", 100, 0)
    now = 10.0
    assert meter.advance(10).message == "1.0 patches/s, 1:30 left"
    now = 3610.0
    meter.resume()
    now = 3620.0
    assert meter.advance(10).message == "1.0 patches/s, 1:20 left"
    # A moment is none.
    now = 3620.5
    meter.resume()
    now = 3630.0
    assert meter.advance(10).message == "1.0 patches/s, 1:10 left"
