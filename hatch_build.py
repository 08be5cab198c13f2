"""Put the manifest of the top folder where napari looks: beside the package."""

import os
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManifestHook(BuildHookInterface):  # type: ignore[type-arg]
    """Ship ``napari.yaml`` inside the package, whichever way it is installed.

    ``force-include`` alone breaks editable installs, whose package folder is the source
    tree itself; there the file is linked (copied where links are forbidden).
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the manifest to a wheel, or link it into the source tree."""
        manifest = Path(self.root) / "napari.yaml"
        if version != "editable":
            build_data["force_include"][str(manifest)] = "napari_mmsubtype/napari.yaml"
            return
        package = Path(self.root) / "src" / "napari_mmsubtype"
        target = package / "napari.yaml"
        target.unlink(missing_ok=True)
        try:
            target.symlink_to(os.path.relpath(manifest, package))
        except OSError:
            shutil.copyfile(manifest, target)
