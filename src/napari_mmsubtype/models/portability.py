"""Which encoders a bundle can hold; needs no network."""

from __future__ import annotations

from napari_mmsubtype.errors import ConfigurationError

# Families of `registry.create_encoder` whose networks are code in a file of their own.
_WITH_CODE = ("wsinfer",)


def require_portable(name: str) -> None:
    """Refuse an encoder that name, options and tensors do not describe in full.

    Parameters
    ----------
    name : str
        As `registry.create_encoder`.

    Raises
    ------
    ConfigurationError
        If its network is code in a file, which a bundle never holds or runs.
    """
    family, colon, _ = name.partition(":")
    if colon and family in _WITH_CODE:
        msg = (
            f"encoder {name!r} is code in a file of its own (TorchScript), which a "
            "bundle neither holds nor runs; take the same network by its name, such as "
            "timm:<name>, with a file of its weights"
        )
        raise ConfigurationError(msg)
