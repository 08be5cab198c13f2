"""``python -m napari_mmsubtype``: the command line where no script is installed."""

import sys

from napari_mmsubtype.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
