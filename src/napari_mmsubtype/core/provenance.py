"""Which software made a result, and when."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "napari-mmsubtype",
    "numpy",
    "torch",
    "torchvision",
    "zarr",
    "tifffile",
    "openslide-bin",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "umap-learn",
)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Software, platform and time behind a result.

    Attributes
    ----------
    created : str
        UTC, ISO 8601.
    python, platform : str
        Interpreter version and operating system.
    packages : dict of str to str
        Installed versions of the packages that move numbers.
    """

    created: str
    python: str
    platform: str
    packages: dict[str, str]

    @classmethod
    def collect(cls) -> Provenance:
        """Describe the running process.

        Returns
        -------
        Provenance
            Versions as installed; nothing about the user or the machine's name.
        """
        packages = {}
        for name in _PACKAGES:
            try:
                packages[name] = version(name)
            except PackageNotFoundError:
                continue
        return cls(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.machine()}",
            packages=packages,
        )

    def to_dict(self) -> dict[str, object]:
        """Turn the record into plain JSON types.

        Returns
        -------
        dict
            The fields by name.
        """
        return asdict(self)
