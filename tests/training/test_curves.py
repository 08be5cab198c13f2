from __future__ import annotations

import math

from napari_mmsubtype.training.curves import Curves


def test_epochs_are_added_one_after_another() -> None:
    curves = Curves().extended(1.0, 0.8, 0.1).extended(0.5, 0.75, 0.05)
    assert curves == Curves((1.0, 0.5), (0.8, 0.75), (0.1, 0.05))
    assert curves.last_line() == "loss 0.500, validation 0.750"


def test_without_validation_there_is_one_loss() -> None:
    curves = Curves().extended(1.0, None, 0.1)
    assert curves == Curves((1.0,), (), (0.1,))
    assert curves.last_line() == "loss 1.000"


def test_the_best_epoch_is_the_last_of_the_lowest() -> None:
    assert Curves().best_epoch == 0
    assert Curves(validation_losses=(0.5, 0.3, 0.4, 0.3, 0.6)).best_epoch == 3
    assert Curves(validation_losses=(0.5, 0.3, math.nan)).best_epoch == 1
