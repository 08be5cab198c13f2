"""How losses and learning rate went, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves of a training so far.

    Attributes
    ----------
    training_losses, validation_losses : tuple of float
        Of each epoch; the second stays empty where nothing is validated.
    learning_rates : tuple of float
        At the end of each epoch.
    """

    training_losses: tuple[float, ...] = ()
    validation_losses: tuple[float, ...] = ()
    learning_rates: tuple[float, ...] = ()

    @property
    def best_epoch(self) -> int:
        """Last epoch with the lowest validation loss, from 0; 0 before any."""
        best = 0
        for epoch, loss in enumerate(self.validation_losses):
            # An epoch whose loss is not a number is never the best.
            if loss <= self.validation_losses[best]:
                best = epoch
        return best

    def extended(
        self, training: float, validation: float | None, rate: float
    ) -> Curves:
        """Add an epoch.

        Parameters
        ----------
        training : float
            Loss.
        validation : float or None
            Loss of what is held out; None where nothing is.
        rate : float
            Learning rate at its end.

        Returns
        -------
        Curves
            One epoch longer.
        """
        return Curves(
            (*self.training_losses, training),
            self.validation_losses
            if validation is None
            else (*self.validation_losses, validation),
            (*self.learning_rates, rate),
        )

    def last_line(self) -> str:
        """Describe the last epoch.

        Returns
        -------
        str
            For a progress message.
        """
        training = f"loss {self.training_losses[-1]:.3f}"
        if not self.validation_losses:
            return training
        return f"{training}, validation {self.validation_losses[-1]:.3f}"
